/** The EBS direct API's own words for what goes wrong. */
import { DirectError, type DirectErrorKind } from "../gateway/direct-error.ts";
import { GatewayError } from "../gateway/errors.ts";
import type { OperationTable } from "./operation.ts";
import { RestError } from "./rest-error.ts";
import type { RestService } from "./wire/rest-json.ts";
import { EBS_MODEL } from "./wire/validator.ts";

const MESSAGE_LENGTH_MAX = 256;

const TYPES: Readonly<Record<DirectErrorKind, readonly [type: string, status: number]>> = {
  validation: ["ValidationException", 400],
  notFound: ["ResourceNotFoundException", 404],
  conflict: ["ConflictException", 409],
  tooMany: ["ConcurrentLimitExceededException", 400],
  quota: ["ServiceQuotaExceededException", 402],
};

const REASONS: Readonly<Record<string, string>> = {
  snapshotid: "INVALID_SNAPSHOT_ID",
  firstsnapshotid: "INVALID_SNAPSHOT_ID",
  secondsnapshotid: "INVALID_SNAPSHOT_ID",
  parentsnapshotid: "INVALID_SNAPSHOT_ID",
  blocktoken: "INVALID_BLOCK_TOKEN",
  nexttoken: "INVALID_PAGE_TOKEN",
  blockindex: "INVALID_BLOCK",
  datalength: "INVALID_BLOCK",
  volumesize: "INVALID_VOLUME_SIZE",
  kmskeyarn: "INVALID_CUSTOMER_KEY",
  tags: "INVALID_TAG",
};

export function ebsService<Services>(operations: OperationTable<Services>): RestService<Services> {
  return {
    name: "ebs",
    model: EBS_MODEL,
    operations,
    invalid: (message, constraints) => invalid(message, reasonOf(constraints?.[0]?.path ?? "")),
    denied: (message) =>
      new RestError("AccessDeniedException", 403, message, { Reason: "UNAUTHORIZED_ACCOUNT" }),
    translate(error) {
      if (error instanceof GatewayError && error.code === "InvalidParameters")
        return invalid(error.message, "INVALID_TAG");
      if (!(error instanceof DirectError)) return undefined;
      const [type, status] = TYPES[error.kind];
      return new RestError(
        type,
        status,
        error.message,
        error.reason === undefined ? {} : { Reason: error.reason },
      );
    },
  };
}

/** The reason that names the member, where there is one; members are as in the model, or with a small first letter. */
function reasonOf(path: string): string {
  return REASONS[path.split(".")[0]?.toLowerCase() ?? ""] ?? "INVALID_PARAMETER_VALUE";
}

function invalid(message: string, reason: string): RestError {
  return new RestError("ValidationException", 400, message.slice(0, MESSAGE_LENGTH_MAX), { Reason: reason });
}
