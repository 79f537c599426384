/** The Data Lifecycle Manager's own words for what goes wrong. */
import { GatewayError } from "../gateway/errors.ts";
import { PolicyError } from "../gateway/policies.ts";
import type { OperationTable } from "./operation.ts";
import { RestError } from "./rest-error.ts";
import type { RestService } from "./wire/rest-json.ts";
import { DLM_MODEL, MISSING, memberOf } from "./wire/validator.ts";

export function dlmService<Services>(operations: OperationTable<Services>): RestService<Services> {
  return {
    name: "dlm",
    model: DLM_MODEL,
    operations,
    invalid(message, constraints = []) {
      const required = constraints.filter(({ constraint }) => constraint === MISSING).map(memberOf);
      return invalid(message, required.length === 0 ? {} : { required });
    },
    denied: (message) => new RestError("AccessDeniedException", 403, message),
    translate(error) {
      if (error instanceof GatewayError && ["InvalidParameters", "InvalidSchedule"].includes(error.code))
        return invalid(error.message);
      if (!(error instanceof PolicyError)) return undefined;
      if (error.kind === "invalid") return invalid(error.message, error.parameters);
      if (error.kind === "limit")
        return new RestError("LimitExceededException", 429, error.message, { ResourceType: "POLICY" });
      const fields = { Code: "ResourceNotFound", ResourceType: "POLICY", ResourceIds: error.ids };
      return new RestError("ResourceNotFoundException", 404, error.message, fields);
    },
  };
}

function invalid(message: string, parameters: PolicyError["parameters"] = {}): RestError {
  const { required, exclusive } = parameters;
  const code =
    required !== undefined
      ? "MissingParameter"
      : exclusive !== undefined
        ? "InvalidParameterCombination"
        : "InvalidParameter";
  return new RestError("InvalidRequestException", 400, message, {
    Code: code,
    ...(required !== undefined && { RequiredParameters: required }),
    ...(exclusive !== undefined && { MutuallyExclusiveParameters: exclusive }),
  });
}
