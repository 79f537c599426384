/**
 * REST with JSON, as EBS direct and the Data Lifecycle Manager speak it: method and path name the operation; members are
 * in path, query, headers or body, as the service model says.
 */
import { GATEWAY_ERRORS, isUnavailable } from "../../gateway/errors.ts";
import { AccessDeniedError, Operations } from "../access.ts";
import type { OperationTable, RequestContext } from "../operation.ts";
import { RestError } from "../rest-error.ts";
import { checkTypes, parseObject, type WireAnswer, WireError } from "./json11.ts";
import { SignatureError } from "./sigv4.ts";
import {
  type Broken,
  broken,
  brokenMessage,
  known,
  type ServiceModel,
  type Shape,
  validationMessage,
} from "./validator.ts";

/** A service: its operations, its model, and its own words for what is wrong with a request. */
export interface RestService<Services> {
  /** Its name in policies, such as `ebs`. */
  readonly name: string;
  readonly model: ServiceModel;
  readonly operations: OperationTable<Services>;
  /** The error for a request that can't be read, or breaks the model's constraints: these. */
  readonly invalid: (message: string, constraints?: readonly Broken[]) => RestError;
  /** The error for a caller whose key may not do this. */
  readonly denied: (message: string) => RestError;
  /** An error of the domain in the service's words; undefined for one that the caller is told nothing of. */
  readonly translate: (error: unknown) => RestError | undefined;
}

export interface RestRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

interface Route {
  readonly name: string;
  readonly method: string;
  readonly pattern: RegExp;
  readonly labels: readonly string[];
}

const JSON_TYPE = "application/json";
const BYTES_TYPE = "application/octet-stream";

export class RestJsonProtocol<Services> {
  readonly #service: RestService<Services>;
  readonly #services: Services;
  readonly #operations: Operations<Services>;
  readonly #routes: readonly Route[];

  constructor(service: RestService<Services>, services: Services) {
    this.#service = service;
    this.#services = services;
    this.#operations = new Operations(service.operations, service.name);
    this.#routes = Object.entries(service.model.rest ?? {}).map(([name, { method, uri }]) =>
      routeOf(name, method, uri),
    );
  }

  /** Its name in signatures. */
  get service(): string {
    return this.#service.name;
  }

  /** Carries out one request whose signature was checked. Rejects only with what `answerError` takes. */
  async answer(request: RestRequest, context: RequestContext): Promise<WireAnswer> {
    const [path = "", query = ""] = request.url.split("?", 2);
    const { route, labels } = this.#route(request.method, path);
    const operation = this.#operations.find(route.name, context);
    if (operation === undefined)
      throw new RestError("UnknownOperationException", 404, `${route.name} is not built here.`);
    const input = this.#decode(route.name, labels, new URLSearchParams(query), request);
    const output: unknown = await operation.handle(this.#services, input, context);
    return this.#encode(route.name, output, context.requestId);
  }

  /** An error as the service answers it; undefined for one that is nobody's business but ours. */
  error(error: unknown): RestError | undefined {
    if (error instanceof RestError) return error;
    if (error instanceof WireError) return this.#service.invalid(error.message);
    if (error instanceof SignatureError)
      return new RestError(SIGNATURE_ERRORS[error.code], 403, error.message);
    if (error instanceof AccessDeniedError) return this.#service.denied(error.message);
    if (isUnavailable(error))
      return new RestError("InternalServerException", 503, GATEWAY_ERRORS.ServiceUnavailable);
    return this.#service.translate(error);
  }

  /** The HTTP answer for an error. */
  answerError(error: unknown, requestId: string): WireAnswer {
    const { type, httpStatus, message, fields } =
      this.error(error) ?? new RestError("InternalServerException", 500, "An internal error occurred.");
    return {
      status: httpStatus,
      headers: { "content-type": JSON_TYPE, "x-amzn-requestid": requestId, "x-amzn-errortype": type },
      body: JSON.stringify({ Message: message, ...fields }),
    };
  }

  #route(method: string, path: string): { route: Route; labels: ReadonlyMap<string, string> } {
    for (const route of this.#routes) {
      const match = route.method === method ? route.pattern.exec(path) : null;
      if (match === null) continue;
      const labels = new Map(route.labels.map((label, i) => [label, this.#unescape(match[i + 1] ?? "")]));
      return { route, labels };
    }
    throw new RestError("UnknownOperationException", 404, "The request names no operation.");
  }

  #unescape(text: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      throw this.#service.invalid("The path can't be read.");
    }
  }

  #decode(
    name: string,
    labels: ReadonlyMap<string, string>,
    query: URLSearchParams,
    { headers, body }: RestRequest,
  ): Record<string, unknown> {
    const { model } = this.#service;
    const shapeName = model.operations[name];
    if (shapeName === null || shapeName === undefined) return {};
    const shape = model.shapes[shapeName];
    const places = shape?.places ?? {};
    const hasPayload = Object.values(places).some((place) => place.in === "payload");
    const inBody = hasPayload ? {} : parseObject(body);
    checkTypes(model, name, inBody);
    const input: Record<string, unknown> = {};
    for (const [member, memberShape] of Object.entries(shape?.members ?? {})) {
      const place = places[member];
      const take = (texts: readonly string[]) => this.#parse(member, memberShape, texts);
      if (place === undefined) input[member] = known(model, memberShape, inBody[member]);
      else if (place.in === "payload") input[member] = body;
      else if (place.in === "uri") input[member] = take([labels.get(place.name ?? "") ?? ""]);
      else if (place.in === "querystring") input[member] = take(query.getAll(place.name ?? ""));
      else input[member] = take([headers[(place.name ?? "").toLowerCase()] ?? []].flat());
    }
    const errors = broken(model, name, input);
    if (errors.length > 0) throw this.#service.invalid(validationMessage(errors.map(brokenMessage)), errors);
    return input;
  }

  /** What stands in path, query or headers, where everything is text. */
  #parse(member: string, shapeName: string, texts: readonly string[]): unknown {
    const [text] = texts;
    if (text === undefined) return undefined;
    const shape = this.#service.model.shapes[shapeName];
    if (shape?.type === "list") return texts.map((each) => this.#parse(member, shape.member ?? "", [each]));
    if (shape?.type === "integer" || shape?.type === "long") {
      if (!/^-?\d{1,15}$/.test(text))
        throw this.#service.invalid(`${member} is not a whole number.`, [
          { path: member, constraint: "Member must be a whole number", value: text },
        ]);
      return Number(text);
    }
    if (shape?.type === "boolean") return text === "true";
    return text;
  }

  #encode(name: string, output: unknown, requestId: string): WireAnswer {
    const { model } = this.#service;
    const rest = model.rest?.[name];
    const shape = model.shapes[rest?.output ?? ""];
    const headers: Record<string, string> = { "content-type": JSON_TYPE, "x-amzn-requestid": requestId };
    const body: Record<string, unknown> = {};
    let payload: Uint8Array | undefined;
    for (const [member, memberShape] of Object.entries(shape?.members ?? {})) {
      const value = (output as Record<string, unknown>)[member];
      if (value === undefined) continue;
      const place = shape?.places?.[member];
      if (place === undefined) body[member] = encoded(model, memberShape, value);
      else if (place.in === "payload") payload = value as Uint8Array;
      else headers[(place.name ?? "").toLowerCase()] = String(value);
    }
    if (payload !== undefined) headers["content-type"] = BYTES_TYPE;
    return { status: rest?.status ?? 200, headers, body: payload ?? JSON.stringify(body) };
  }
}

const SIGNATURE_ERRORS: Readonly<Record<SignatureError["code"], string>> = {
  MissingAuthenticationToken: "MissingAuthenticationTokenException",
  IncompleteSignature: "IncompleteSignatureException",
  UnrecognizedClient: "UnrecognizedClientException",
  InvalidSignature: "InvalidSignatureException",
  ExpiredToken: "ExpiredTokenException",
  RequestExpired: "RequestExpired",
};

/** A path such as `/snapshots/{id}/blocks`; some clients end it with a slash. */
function routeOf(name: string, method: string, uri: string): Route {
  const labels: string[] = [];
  const source = uri.replace(/\/+$/, "").replace(/\{(\w+)\+?\}/g, (_, label: string) => {
    labels.push(label);
    return "([^/]+)";
  });
  return { name, method, labels, pattern: new RegExp(`^${source}/?$`) };
}

/** The value as JSON has it: times as seconds since the Unix epoch, or as text where the model says so. */
function encoded(model: ServiceModel, shapeName: string, value: unknown): unknown {
  const shape: Shape | undefined = model.shapes[shapeName];
  if (value === undefined || value === null) return undefined;
  if (value instanceof Date)
    return shape?.timestampFormat === "iso8601" ? value.toISOString() : value.getTime() / 1000;
  if (shape?.type === "list" && Array.isArray(value))
    return value.map((item) => encoded(model, shape.member ?? "", item));
  if (shape?.type !== "structure") return value;
  return Object.fromEntries(
    Object.entries(shape.members ?? {}).map(([name, member]) => [
      name,
      encoded(model, member, (value as Record<string, unknown>)[name]),
    ]),
  );
}
