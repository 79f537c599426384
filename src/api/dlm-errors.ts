/** The Data Lifecycle Manager's own words for what goes wrong. */
import { GatewayError } from "../gateway/errors.ts";
import { PolicyError } from "../gateway/policies.ts";
import type { OperationTable } from "./operation.ts";
import { RestError } from "./rest-error.ts";
import type { RestService } from "./wire/rest-json.ts";
import { DLM_MODEL } from "./wire/validator.ts";

export function dlmService<Services>(operations: OperationTable<Services>): RestService<Services> {
  return {
    name: "dlm",
    model: DLM_MODEL,
    operations,
    invalid,
    denied: (message) => new RestError("AccessDeniedException", 403, message),
    translate(error) {
      if (error instanceof GatewayError && ["InvalidParameters", "InvalidSchedule"].includes(error.code))
        return invalid(error.message);
      if (!(error instanceof PolicyError)) return undefined;
      if (error.kind === "invalid") return invalid(error.message);
      if (error.kind === "limit")
        return new RestError("LimitExceededException", 429, error.message, { ResourceType: "POLICY" });
      const fields = { Code: "ResourceNotFound", ResourceType: "POLICY", ResourceIds: error.ids };
      return new RestError("ResourceNotFoundException", 404, error.message, fields);
    },
  };
}

function invalid(message: string): RestError {
  return new RestError("InvalidRequestException", 400, message, { Code: "InvalidParameter" });
}
