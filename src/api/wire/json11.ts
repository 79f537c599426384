/**
 * AWS JSON 1.1, as the Storage Gateway API speaks it: the operation in `X-Amz-Target`, shapes by the SDK's own schemas.
 */
import * as storageGateway from "@aws-sdk/client-storage-gateway";
import { JsonCodec } from "@aws-sdk/core/protocols";
import { GATEWAY_ERRORS, GatewayError, isUnavailable } from "../../gateway/errors.ts";
import { AccessDeniedError, Operations } from "../access.ts";
import type { OperationTable, RequestContext } from "../operation.ts";
import { jsonOf } from "./json-answer.ts";
import { SignatureError } from "./sigv4.ts";
import { type ServiceModel, STORAGE_GATEWAY_MODEL, validate, validationMessage } from "./validator.ts";

/** What goes back over HTTP. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** An error without a shape of its own in the model. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly type: string;
  readonly httpStatus: number;

  constructor(type: string, message: string, httpStatus = 400) {
    super(message);
    this.type = type;
    this.httpStatus = httpStatus;
  }
}

const CONTENT_TYPE = "application/x-amz-json-1.1";
const TARGET = /^StorageGateway_20\d{6}\.(\w+)$/;
const EPOCH_SECONDS = 7;
/** Terraform asks this of every gateway, and looks for these words in the answer. */
const FILE_GATEWAY_ONLY = new Set(["DescribeSMBSettings"]);

type Schema = Parameters<
  InstanceType<typeof JsonCodec>["createDeserializer"] extends () => infer D
    ? D extends { read(schema: infer S, data: never): unknown }
      ? (schema: S) => void
      : never
    : never
>[0];

export class JsonProtocol<Services> {
  readonly #operations: Operations<Services>;
  readonly #services: Services;
  readonly #codec = new JsonCodec({
    timestampFormat: { useTrait: true, default: EPOCH_SECONDS },
    jsonName: false,
  });

  constructor(operations: OperationTable<Services>, services: Services) {
    this.#operations = new Operations(operations, "storagegateway");
    this.#services = services;
  }

  /** Carries out one request whose signature was checked. Rejects only with what `answerError` takes. */
  async answer(target: string, body: Buffer, context: RequestContext): Promise<WireAnswer> {
    const name = TARGET.exec(target)?.[1] ?? "";
    if (!Object.hasOwn(STORAGE_GATEWAY_MODEL.operations, name)) {
      throw new WireError("UnknownOperationException", "The operation is not known.");
    }
    const operation = this.#operations.find(name, context);
    if (operation === undefined) {
      throw new GatewayError(
        FILE_GATEWAY_ONLY.has(name) ? "UnsupportedOperationForGatewayType" : "NotSupported",
      );
    }
    const input = await this.#decode(name, body);
    const errors = validate(STORAGE_GATEWAY_MODEL, name, input);
    if (errors.length > 0) throw new WireError("ValidationException", validationMessage(errors));
    const output: unknown = await operation.handle(this.#services, input, context);
    return {
      status: 200,
      headers: { "content-type": CONTENT_TYPE, "x-amzn-requestid": context.requestId },
      body: jsonOf(schemaOf(name, "Output"), output),
    };
  }

  async #decode(name: string, body: Buffer): Promise<unknown> {
    const value = parseObject(body);
    checkTypes(STORAGE_GATEWAY_MODEL, name, value);
    return this.#codec
      .createDeserializer()
      .read(schemaOf(name, "Input"), body.length === 0 ? Buffer.from("{}") : body);
  }
}

/** An error as the service answers it; undefined for one that is nobody's business but ours. */
export function jsonError(
  error: unknown,
): { type: string; status: number; message: string; errorCode?: string } | undefined {
  if (error instanceof WireError)
    return { type: error.type, status: error.httpStatus, message: error.message };
  if (error instanceof AccessDeniedError) {
    return { type: "AccessDeniedException", status: 400, message: error.message };
  }
  if (error instanceof SignatureError) {
    const [type, status] = SIGNATURE_ERRORS[error.code];
    return { type, status, message: error.message };
  }
  if (isUnavailable(error)) {
    return {
      type: "ServiceUnavailableError",
      status: 503,
      message: GATEWAY_ERRORS.ServiceUnavailable,
      errorCode: "ServiceUnavailable",
    };
  }
  if (error instanceof GatewayError) {
    const internal = error.code === "InternalError" || error.code === "GatewayInternalError";
    return {
      type: internal ? "InternalServerError" : "InvalidGatewayRequestException",
      status: internal ? 500 : 400,
      message: error.message,
      errorCode: error.code,
    };
  }
  return undefined;
}

const SIGNATURE_ERRORS: Readonly<Record<SignatureError["code"], readonly [string, number]>> = {
  MissingAuthenticationToken: ["MissingAuthenticationToken", 403],
  IncompleteSignature: ["IncompleteSignatureException", 400],
  UnrecognizedClient: ["UnrecognizedClientException", 400],
  InvalidSignature: ["InvalidSignatureException", 400],
  ExpiredToken: ["ExpiredTokenException", 400],
  RequestExpired: ["RequestExpired", 400],
};

/** The HTTP answer for an error; what is not known to the caller becomes InternalServerError. */
export function answerJsonError(error: unknown, requestId: string): WireAnswer {
  const { type, status, message, errorCode } = jsonError(error) ?? {
    type: "InternalServerError",
    status: 500,
    message: "An internal error occurred.",
    errorCode: "InternalError",
  };
  // `errorDetails` is left out: older clients can't read it as the guide shows it.
  const body = { __type: type, message, ...(errorCode !== undefined && { error: { errorCode } }) };
  return {
    status,
    headers: { "content-type": CONTENT_TYPE, "x-amzn-requestid": requestId, "x-amzn-errortype": type },
    body: JSON.stringify(body),
  };
}

function schemaOf(name: string, side: "Input" | "Output"): Schema {
  return (storageGateway as unknown as Record<string, Schema>)[`${name}${side}$`] as Schema;
}

/** The JSON object of a body; an empty one where there is none. Throws a WireError for anything else. */
export function parseObject(body: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = body.length === 0 ? {} : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new WireError("SerializationException", "The body is not JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new WireError("SerializationException", "The body is not a JSON object.");
  }
  return value as Record<string, unknown>;
}

/** Throws a WireError for a member whose JSON type is not the model's. */
export function checkTypes(model: ServiceModel, operation: string, value: unknown): void {
  const wrong = wrongType(model, model.operations[operation] ?? "", value, "");
  if (wrong !== undefined) throw new WireError("SerializationException", wrong);
}

/** The first member whose JSON type is not the model's; undefined where all fit. */
function wrongType(model: ServiceModel, shapeName: string, value: unknown, path: string): string | undefined {
  const shape = model.shapes[shapeName];
  if (shape === undefined || value === undefined || value === null) return undefined;
  const is = (type: string) =>
    typeof value === type ? undefined : `${path || "The body"} has the wrong type.`;
  switch (shape.type) {
    case "structure": {
      if (typeof value !== "object" || Array.isArray(value)) return is("an object");
      for (const [name, member] of Object.entries(shape.members ?? {})) {
        const wrong = wrongType(
          model,
          member,
          (value as Record<string, unknown>)[name],
          path ? `${path}.${name}` : name,
        );
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    }
    case "list": {
      if (!Array.isArray(value)) return is("a list");
      for (const item of value) {
        if (item === null) return `${path} has an empty item.`;
        const wrong = wrongType(model, shape.member ?? "", item, path);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    }
    case "map": {
      if (typeof value !== "object" || Array.isArray(value)) return is("an object");
      for (const item of Object.values(value)) {
        const wrong =
          item === null ? `${path} has an empty item.` : wrongType(model, shape.value ?? "", item, path);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    }
    case "string":
      return is("string");
    case "boolean":
      return is("boolean");
    case "integer":
    case "long":
      return Number.isSafeInteger(value) ? undefined : is("a whole number");
    case "double":
    case "timestamp":
      return is("number");
    default:
      return undefined;
  }
}
