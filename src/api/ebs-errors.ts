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

export function ebsService<Services>(operations: OperationTable<Services>): RestService<Services> {
  return {
    name: "ebs",
    model: EBS_MODEL,
    operations,
    invalid: (message) => invalid(message, "INVALID_PARAMETER_VALUE"),
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

function invalid(message: string, reason: string): RestError {
  return new RestError("ValidationException", 400, message.slice(0, MESSAGE_LENGTH_MAX), { Reason: reason });
}
