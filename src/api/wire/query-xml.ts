/**
 * The EC2 Query protocol (2016-11-15): a form in, XML out, both by the SDK's own schemas.
 *
 * The SDK's EC2 package is large, so it is loaded with the first EC2 request.
 */
import { NormalizedSchema } from "@smithy/core/schema";
import {
  ClientTokenError,
  GATEWAY_ERRORS,
  GatewayError,
  type GatewayErrorCode,
  isUnavailable,
} from "../../gateway/errors.ts";
import { AccessDeniedError, Operations } from "../access.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { OperationTable, RequestContext } from "../operation.ts";
import { type WireAnswer, WireError } from "./json11.ts";
import { escapeXml, membersOf } from "./query-answer.ts";
import { parseForm } from "./query-form.ts";
import { SignatureError } from "./sigv4.ts";
import { type Broken, broken, EC2_MODEL, MISSING, memberOf } from "./validator.ts";

const NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/";
const SHOWN_CHARS = 64;
const NOT_VALIDATED = "AWS was not able to validate the provided access credentials";

type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];
type Ec2Package = Readonly<Record<string, SchemaRef>>;

export class QueryProtocol<Services> {
  readonly #operations: Operations<Services>;
  readonly #services: Services;
  #package: Promise<Ec2Package> | undefined;

  constructor(operations: OperationTable<Services>, services: Services) {
    this.#operations = new Operations(operations, "ec2");
    this.#services = services;
  }

  /** Carries out one request whose signature was checked. */
  async answer(form: URLSearchParams, context: RequestContext): Promise<WireAnswer> {
    const name = form.get("Action") ?? "";
    if (!/^[A-Za-z]{1,64}$/.test(name)) throw new Ec2Error("MissingAction", "The request has no Action.");
    this.#package ??= import("@aws-sdk/client-ec2") as unknown as Promise<Ec2Package>;
    const ec2 = await this.#package;
    const operationSchema = ec2[`${name}$`];
    if (!Array.isArray(operationSchema) || !Object.hasOwn(ec2, `${name}Command`)) {
      throw new Ec2Error("InvalidAction", `The action ${name} is not valid for this web service.`);
    }
    const operation = this.#operations.find(name, context);
    if (operation === undefined) {
      throw new Ec2Error("UnsupportedOperation", `The action ${name} is not supported here.`);
    }
    // An operation's schema ends in those of its input and output.
    const [inputSchema, outputSchema] = operationSchema.slice(-2) as [SchemaRef, SchemaRef];
    const input = parseForm(resolve(inputSchema), form);
    const errors = broken(EC2_MODEL, name, input);
    if (errors.length > 0) throw invalidInput(errors);
    const output: unknown = await operation.handle(this.#services, input, context);
    return {
      status: 200,
      headers: headersOf(context.requestId),
      body: encode(name, outputSchema, output, context),
    };
  }
}

/** The first of them in EC2's words; what is missing comes before what is wrong. */
function invalidInput(errors: readonly Broken[]): Ec2Error {
  const missing = errors.find(({ constraint }) => constraint === MISSING);
  if (missing !== undefined)
    return new Ec2Error("MissingParameter", `The request must contain the parameter ${memberOf(missing)}`);
  const [first = { path: "", constraint: "", value: "" }] = errors;
  const shown = String(first.value).slice(0, SHOWN_CHARS);
  return new Ec2Error(
    "InvalidParameterValue",
    `Value (${shown}) for parameter ${memberOf(first)} is invalid. ${first.constraint}`,
  );
}

/** The HTTP answer for an error of the Query API. */
export function answerXmlError(error: unknown, requestId: string): WireAnswer {
  const { code, message, status } = xmlError(error) ?? {
    code: "InternalError",
    message: "An internal error has occurred.",
    status: 500,
  };
  const body =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>${escapeXml(code)}</Code>` +
    `<Message>${escapeXml(message)}</Message></Error></Errors><RequestID>${requestId}</RequestID></Response>`;
  return { status, headers: headersOf(requestId), body };
}

/** An error as EC2 spells it; undefined for one that is nobody's business but ours. */
export function xmlError(error: unknown): { code: string; message: string; status: number } | undefined {
  if (error instanceof Ec2Error)
    return { code: error.code, message: error.message, status: error.httpStatus };
  if (error instanceof WireError)
    return { code: error.type, message: error.message, status: error.httpStatus };
  if (error instanceof AccessDeniedError) {
    return { code: "UnauthorizedOperation", message: error.message, status: 403 };
  }
  if (error instanceof SignatureError) {
    const [code, status] = SIGNATURE_ERRORS[error.code];
    // The one text of these that tools look for.
    const message = code === "AuthFailure" ? NOT_VALIDATED : error.message;
    return { code, status, message };
  }
  if (error instanceof ClientTokenError)
    return { code: "IdempotentParameterMismatch", message: error.message, status: 400 };
  if (isUnavailable(error)) {
    return { code: "ServiceUnavailable", message: GATEWAY_ERRORS.ServiceUnavailable, status: 503 };
  }
  if (error instanceof GatewayError) {
    return { code: EC2_CODES[error.code] ?? error.code, message: error.message, status: 400 };
  }
  return undefined;
}

const SIGNATURE_ERRORS: Readonly<Record<SignatureError["code"], readonly [string, number]>> = {
  MissingAuthenticationToken: ["MissingAuthenticationToken", 403],
  IncompleteSignature: ["IncompleteSignature", 400],
  UnrecognizedClient: ["AuthFailure", 401],
  InvalidSignature: ["SignatureDoesNotMatch", 403],
  ExpiredToken: ["RequestExpired", 400],
  RequestExpired: ["RequestExpired", 400],
};

const EC2_CODES: Partial<Record<GatewayErrorCode, string>> = {
  VolumeNotFound: "InvalidVolume.NotFound",
  SnapshotNotFound: "InvalidSnapshot.NotFound",
  InvalidParameters: "InvalidParameterValue",
  VolumeNotReady: "IncorrectState",
  VolumeInUse: "VolumeInUse",
  SnapshotInProgress: "IncorrectState",
  SnapshotLocked: "SnapshotLocked",
  SnapshotNotLocked: "IncorrectState",
  SnapshotIdInvalid: "InvalidParameterValue",
  MaximumVolumeCountExceeded: "VolumeLimitExceeded",
  GatewayNotFound: "InvalidParameterValue",
  UnsupportedOperationForGatewayType: "UnsupportedOperation",
  NotSupported: "UnsupportedOperation",
};

function headersOf(requestId: string): Record<string, string> {
  return { "content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": requestId };
}

/** A schema, or a function that gives it, as an operation's schema holds them. */
function resolve(schema: SchemaRef): SchemaRef {
  const given: unknown = schema;
  return (typeof given === "function" ? given() : given) as SchemaRef;
}

function encode(name: string, schema: SchemaRef, output: unknown, context: RequestContext): string {
  const resolved = resolve(schema);
  const open = `<${name}Response xmlns="${NAMESPACE}"><requestId>${context.requestId}</requestId>`;
  const normalized = NormalizedSchema.of(resolved);
  if (!normalized.isStructSchema()) return `${open}<return>true</return></${name}Response>`;
  return `${open}${membersOf(resolved, output)}</${name}Response>`;
}
