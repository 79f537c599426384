/**
 * The EC2 Query protocol (2016-11-15): a form in, XML out, both by the SDK's own schemas.
 *
 * The SDK's EC2 package is large, so it is loaded with the first EC2 request.
 */
import { XmlShapeSerializer } from "@aws-sdk/core/protocols";
import { NormalizedSchema } from "@smithy/core/schema";
import { GatewayError, type GatewayErrorCode } from "../../gateway/errors.ts";
import { AccessDeniedError, Operations } from "../access.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { OperationTable, RequestContext } from "../operation.ts";
import type { WireAnswer } from "./json11.ts";
import { SignatureError } from "./sigv4.ts";
import { EC2_MODEL, MISSING, validate, validationMessage } from "./validator.ts";

const NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/";
const DATE_TIME = 5;
const LIST_ITEMS_MAX = 1000;
const DEPTH_MAX = 8;

type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];
type Schema = Parameters<XmlShapeSerializer["write"]>[0];
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
    const input = parseStructure(NormalizedSchema.of(resolve(inputSchema)), form, "", 0);
    const errors = validate(EC2_MODEL, name, input);
    const missing = errors.find((error) => error.endsWith(MISSING));
    if (missing !== undefined) throw new Ec2Error("MissingParameter", validationMessage([missing]));
    if (errors.length > 0) throw new Ec2Error("InvalidParameterValue", validationMessage(errors));
    const output: unknown = await operation.handle(this.#services, input, context);
    return {
      status: 200,
      headers: headersOf(context.requestId),
      body: encode(name, outputSchema, output, context),
    };
  }
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
  if (error instanceof AccessDeniedError) {
    return { code: "UnauthorizedOperation", message: error.message, status: 403 };
  }
  if (error instanceof SignatureError) {
    const [code, status] = SIGNATURE_ERRORS[error.code];
    return { code, status, message: error.message };
  }
  if (error instanceof GatewayError) {
    return { code: GATEWAY_ERRORS[error.code] ?? error.code, message: error.message, status: 400 };
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

const GATEWAY_ERRORS: Partial<Record<GatewayErrorCode, string>> = {
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
function resolve(schema: SchemaRef): Schema {
  const given: unknown = schema;
  return (typeof given === "function" ? given() : given) as Schema;
}

/** The member's name in a form: its query name, or its XML name with a capital first letter. */
function formName(member: string, schema: NormalizedSchema): string {
  const traits = schema.getMergedTraits() as { ec2QueryName?: string; xmlName?: string };
  const name = traits.ec2QueryName ?? traits.xmlName ?? member;
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function parseStructure(
  schema: NormalizedSchema,
  form: URLSearchParams,
  prefix: string,
  depth: number,
): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  if (depth > DEPTH_MAX) return value;
  for (const [member, memberSchema] of schema.structIterator()) {
    const parsed = parseMember(memberSchema, form, prefix + formName(member, memberSchema), depth);
    if (parsed !== undefined) value[member] = parsed;
  }
  return value;
}

function parseMember(schema: NormalizedSchema, form: URLSearchParams, name: string, depth: number): unknown {
  if (schema.isListSchema()) return parseList(schema, form, name, depth);
  if (schema.isStructSchema()) {
    if (!hasPrefix(form, `${name}.`)) return undefined;
    return parseStructure(schema, form, `${name}.`, depth + 1);
  }
  const text = form.get(name);
  if (text === null) return undefined;
  if (schema.isBooleanSchema()) {
    if (!/^(true|false)$/i.test(text)) throw invalidValue(name, text);
    return text.toLowerCase() === "true";
  }
  if (schema.isNumericSchema()) {
    if (!/^-?\d{1,15}(\.\d+)?$/.test(text)) throw invalidValue(name, text);
    return Number(text);
  }
  if (schema.isTimestampSchema()) {
    const date = new Date(text);
    if (Number.isNaN(date.getTime())) throw invalidValue(name, text);
    return date;
  }
  return text;
}

function parseList(
  schema: NormalizedSchema,
  form: URLSearchParams,
  name: string,
  depth: number,
): unknown[] | undefined {
  const items: unknown[] = [];
  for (let i = 1; i <= LIST_ITEMS_MAX; i++) {
    const at = `${name}.${i}`;
    if (!form.has(at) && !hasPrefix(form, `${at}.`)) break;
    items.push(parseMember(schema.getValueSchema(), form, at, depth + 1));
  }
  return items.length > 0 ? items : undefined;
}

function hasPrefix(form: URLSearchParams, prefix: string): boolean {
  for (const key of form.keys()) if (key.startsWith(prefix)) return true;
  return false;
}

function invalidValue(name: string, text: string): Ec2Error {
  return new Ec2Error("InvalidParameterValue", `Invalid value '${text.slice(0, 64)}' for ${name}.`);
}

function encode(name: string, schema: SchemaRef, output: unknown, context: RequestContext): string {
  const resolved = resolve(schema);
  const open = `<${name}Response xmlns="${NAMESPACE}"><requestId>${context.requestId}</requestId>`;
  const normalized = NormalizedSchema.of(resolved);
  if (!normalized.isStructSchema()) return `${open}<return>true</return></${name}Response>`;
  const serializer = new XmlShapeSerializer({
    timestampFormat: { useTrait: true, default: DATE_TIME },
    xmlNamespace: NAMESPACE,
    serviceNamespace: "com.amazonaws.ec2",
  });
  serializer.write(resolved, output);
  // The serializer wraps the members in the shape's own name; EC2 wants that of the answer around them.
  const members = /^<[^>]*?\/>$|^<[^>]*>([\s\S]*)<\/[^>]*>$/.exec(String(serializer.flush()))?.[1] ?? "";
  return `${open}${members.replace(NO_XML, "\uFFFD")}</${name}Response>`;
}

/** What no XML 1.0 document may hold, however it is written: one such character and no client reads the answer. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_XML = /[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]|\p{Cs}/gu;

function escapeXml(text: string): string {
  return text.replace(NO_XML, "\uFFFD").replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
