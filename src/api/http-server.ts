/**
 * The API over HTTP: one endpoint for all services. Whose request it is shows in its target header (Storage Gateway),
 * its form (EC2) or its path (EBS); who may ask shows in its signature, which is checked before anything is parsed.
 */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { ApiCall } from "../admin/api-call.ts";
import type { AccessKeys, Identity } from "../gateway/access-keys.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { AccessDeniedError, isMutating } from "./access.ts";
import { dlmService } from "./dlm-errors.ts";
import { ebsService } from "./ebs-errors.ts";
import { Ec2Error } from "./ec2-error.ts";
import type { CallTrace, OperationTable, RequestContext } from "./operation.ts";
import { type Probes, routeProbes } from "./probes.ts";
import { RestError } from "./rest-error.ts";
import { answerJsonError, JsonProtocol, jsonError, type WireAnswer, WireError } from "./wire/json11.ts";
import { PlainJsonProtocol } from "./wire/plain-json.ts";
import { answerXmlError, QueryProtocol, xmlError } from "./wire/query-xml.ts";
import { RestJsonProtocol } from "./wire/rest-json.ts";
import { type Caller, SignatureError, SigningKeys, verifySignature } from "./wire/sigv4.ts";

interface PageRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: FastifyRequest["headers"];
}

interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface ApiServerOptions<Services> {
  readonly storageGateway: OperationTable<Services>;
  readonly ec2: OperationTable<Services>;
  readonly ebs: OperationTable<Services>;
  readonly dlm: OperationTable<Services>;
  /** This gateway's own operations. */
  readonly sluicegate: OperationTable<Services>;
  readonly services: Services;
  readonly accessKeys: AccessKeys;
  /** What /healthz, /readyz and /metrics answer. */
  readonly probes: Probes;
  /** Told of every request after it was answered. Must not throw. */
  readonly onCall: (call: ApiCall) => void;
  /** A new key to activate a gateway with. */
  readonly activationKey: () => Promise<string>;
  /** What is for people: undefined where a request is for the API. */
  readonly page: (request: PageRequest) => Promise<PageAnswer | undefined>;
  /** An error that the caller is told nothing of. */
  readonly onInternalError: (requestId: string, error: unknown) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly region: string;
  readonly accountId: string;
}

const BODY_BYTES_MAX = 1024 * 1024;
/** A request with a larger body, or one of a length that nobody knows, takes one of so many places while it is here. */
const SMALL_BODY_BYTES = 64 * 1024;
const LARGE_BODIES_MAX = 256;
const BUSY = "Too many requests with large bodies at a time. Please try again.";
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 60_000;

export class ApiServer<Services> {
  readonly #options: ApiServerOptions<Services>;
  readonly #json: JsonProtocol<Services>;
  readonly #plain: PlainJsonProtocol<Services>;
  readonly #query: QueryProtocol<Services>;
  readonly #ebs: RestJsonProtocol<Services>;
  readonly #dlm: RestJsonProtocol<Services>;
  readonly #signingKeys = new SigningKeys();
  readonly #server: FastifyInstance;

  constructor(options: ApiServerOptions<Services>) {
    this.#options = options;
    this.#json = new JsonProtocol(options.storageGateway, options.services);
    this.#plain = new PlainJsonProtocol(options.sluicegate, options.services);
    this.#query = new QueryProtocol(options.ec2, options.services);
    this.#ebs = new RestJsonProtocol(ebsService(options.ebs), options.services);
    this.#dlm = new RestJsonProtocol(dlmService(options.dlm), options.services);
    this.#server = Fastify({
      logger: false,
      bodyLimit: BODY_BYTES_MAX,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      forceCloseConnections: "idle",
      exposeHeadRoutes: false,
    });
    this.#route();
  }

  /** Listens; answers the address in use (port 0 chooses a free one). */
  async listen(host: string, port: number): Promise<{ host: string; port: number }> {
    await this.#server.listen({ host, port });
    const address = this.#server.addresses()[0];
    return { host, port: typeof address === "object" ? address.port : port };
  }

  /** Stops taking requests and waits for those under way. */
  async close(): Promise<void> {
    await this.#server.close();
  }

  #route(): void {
    const server = this.#server;
    // The signature covers the bytes: they are kept as they came.
    server.removeAllContentTypeParsers();
    server.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    let largeBodies = 0;
    server.addHook("onRequest", (request, reply, done) => {
      if (!hasLargeBody(request)) {
        done();
        return;
      }
      if (largeBodies >= LARGE_BODIES_MAX) {
        const busy =
          this.#restOf(request) === undefined
            ? new WireError("ThrottlingException", BUSY)
            : new RestError("RequestThrottledException", 400, BUSY);
        reply.header("connection", "close");
        this.#send(reply, this.#failure(request, this.#requestId(), busy));
        return;
      }
      largeBodies += 1;
      reply.raw.once("close", () => {
        largeBodies -= 1;
      });
      done();
    });
    routeProbes(server, this.#options.probes);
    server.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
      const tooLarge = error.statusCode === 413;
      const known =
        error.statusCode !== undefined && error.statusCode < 500
          ? new WireError(
              tooLarge ? "RequestEntityTooLarge" : "SerializationException",
              tooLarge
                ? `A request's body has at most ${BODY_BYTES_MAX} bytes.`
                : "The request can't be read.",
              error.statusCode,
            )
          : error;
      this.#send(reply, this.#failure(request, this.#requestId(), known));
    });
    server.setNotFoundHandler((request, reply) => this.#handle(request, reply));
    server.post("/", (request, reply) => this.#handle(request, reply));
    server.get("/", (request, reply) =>
      isActivation(request) ? this.#activate(request, reply) : this.#handle(request, reply),
    );
  }

  /** `GET /?activationRegion=…`: a key for ActivateGateway, for whoever reaches this. It is good for nothing else. */
  async #activate(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { activationRegion, gatewayType } = request.query as Record<string, unknown>;
    if (activationRegion !== this.#options.region) {
      return reply.code(400).type("text/plain").send(`activationRegion: this is ${this.#options.region}\n`);
    }
    const query = new URLSearchParams({
      gatewayType: typeof gatewayType === "string" ? gatewayType : "CACHED",
      activationKey: await this.#options.activationKey(),
      activationRegion,
    });
    const host = request.headers.host ?? "";
    const origin = /^[\w.:[\]-]{1,255}$/.test(host) ? `http://${host}` : "";
    return reply
      .code(302)
      .headers({ location: `${origin}/?${query}`, "cache-control": "no-store" })
      .send("");
  }

  async #handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const page = await this.#options.page(request);
    if (page !== undefined) return reply.code(page.status).headers(page.headers).send(page.body);
    const requestId = this.#requestId();
    const trace: CallTrace = {};
    const beganMs = this.#options.clock.monotonicMs();
    let answer: WireAnswer;
    let problem: unknown;
    try {
      answer = await this.#answer(request, requestId, trace);
    } catch (error) {
      problem = error ?? new Error("an error without a value");
      answer = this.#failure(request, requestId, error);
    }
    this.#tell(request, requestId, trace, answer.status, problem, beganMs);
    return this.#send(reply, answer);
  }

  #tell(
    request: FastifyRequest,
    requestId: string,
    { service = "unknown", operation = "", caller, input, output }: CallTrace,
    status: number,
    problem: unknown,
    beganMs: number,
  ): void {
    const userAgent = request.headers["user-agent"];
    this.#options.onCall({
      ...{ requestId, service, operation, status, input, output },
      isMutating: operation !== "" && isMutating(operation),
      ...(caller !== undefined && { caller }),
      remoteAddress: request.ip,
      ...(userAgent !== undefined && { userAgent }),
      ...(problem !== undefined && {
        error: errorOf(this.#restOf(request)?.error(problem), problem, status),
      }),
      tookMs: this.#options.clock.monotonicMs() - beganMs,
    });
  }

  async #answer(request: FastifyRequest, requestId: string, trace: CallTrace): Promise<WireAnswer> {
    const { clock, region, accountId, accessKeys } = this.#options;
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    checkSingleHeaders(request.raw.rawHeaders);
    const caller: Caller<Identity> = verifySignature(
      { method: request.method, url: request.url, headers: request.headers, body },
      {
        nowMs: clock.nowMs(),
        region,
        keys: this.#signingKeys,
        find: (id, token) => accessKeys.find(id, token),
      },
    );
    const { accessKeyId, identity } = caller;
    accessKeys.used(accessKeyId);
    trace.caller = { accessKeyId, ...identity };
    const context: RequestContext = { requestId, accessKeyId, identity, accountId, region, trace };
    const target = request.headers["x-amz-target"];
    if (typeof target === "string") {
      checkService(caller, "storagegateway");
      if (PlainJsonProtocol.isMeant(target)) return this.#plain.answer(target, body, context);
      return this.#json.answer(target, body, context);
    }
    const rest = this.#restOf(request);
    if (rest !== undefined) {
      checkService(caller, rest.service);
      const { method, url, headers } = request;
      return rest.answer({ method, url, headers, body }, context);
    }
    if (isQuery(request, caller)) {
      checkService(caller, "ec2");
      // A presigned request has its form in the URL, also where it is a POST.
      const isInUrl = request.method === "GET" || body.length === 0;
      const form = isInUrl ? (request.url.split("?")[1] ?? "") : body.toString("utf8");
      return this.#query.answer(new URLSearchParams(form), context);
    }
    throw new WireError("UnknownOperationException", "The request names no operation.", 404);
  }

  /** The REST service that a request's path belongs to. */
  #restOf({ url }: FastifyRequest): RestJsonProtocol<Services> | undefined {
    if (/^\/snapshots([/?]|$)/.test(url)) return this.#ebs;
    return /^\/(policies|tags)([/?]|$)/.test(url) ? this.#dlm : undefined;
  }

  #failure(request: FastifyRequest, requestId: string, error: unknown): WireAnswer {
    const rest = this.#restOf(request);
    if (rest !== undefined) {
      if (rest.error(error) === undefined) this.#options.onInternalError(requestId, error);
      return rest.answerError(error, requestId);
    }
    const asXml = request.headers["x-amz-target"] === undefined && isForm(request);
    const known = asXml ? xmlError(error) : jsonError(error);
    if (known === undefined && !(error instanceof WireError) && !(error instanceof Ec2Error)) {
      this.#options.onInternalError(requestId, error);
    }
    return asXml ? answerXmlError(error, requestId) : answerJsonError(error, requestId);
  }

  #send(reply: FastifyReply, answer: WireAnswer): FastifyReply {
    return reply
      .code(answer.status)
      .headers(answer.headers)
      .send(typeof answer.body === "string" ? Buffer.from(answer.body, "utf8") : answer.body);
  }

  #requestId(): string {
    const hex = this.#options.random.bytes(16).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}

/** A signature is good for one service: what was signed for another one means something else there. */
function checkService(caller: Caller<Identity>, service: string): void {
  if (caller.service === service) return;
  throw new SignatureError(
    "InvalidSignature",
    `Credential should be scoped to correct service: '${service}', not '${caller.service}'.`,
  );
}

/** Of these every reader has to see the same one. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  ...["authorization", "host", "x-amz-date", "x-amz-target", "x-amz-security-token"],
  ...["x-amz-content-sha256", "content-type", "content-length"],
]);

function checkSingleHeaders(rawHeaders: readonly string[]): void {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase();
    if (!SINGLE_HEADERS.has(name)) continue;
    if (seen.has(name)) throw new SignatureError("IncompleteSignature", `The header ${name} is there twice.`);
    seen.add(name);
  }
}

function hasLargeBody({ headers }: FastifyRequest): boolean {
  if (headers["transfer-encoding"] !== undefined) return true;
  return Number(headers["content-length"] ?? 0) > SMALL_BODY_BYTES;
}

/** Whether it was the caller that was turned away, and not the request. */
function isRefusal(problem: unknown): boolean {
  return problem instanceof AccessDeniedError || problem instanceof SignatureError;
}

/** What the activity log says of an error: what the caller was told of it. */
function errorOf(
  rest: RestError | undefined,
  problem: unknown,
  status: number,
): NonNullable<ApiCall["error"]> {
  const json = rest ?? jsonError(problem);
  const xml = json === undefined ? xmlError(problem) : undefined;
  return {
    code:
      (json && "errorCode" in json ? json.errorCode : undefined) ??
      json?.type ??
      xml?.code ??
      "InternalError",
    message: json?.message ?? xml?.message ?? "An internal error has occurred.",
    isDenied: status === 401 || status === 403 || isRefusal(problem),
  };
}

function isActivation(request: FastifyRequest): boolean {
  return (request.query as Record<string, unknown>).activationRegion !== undefined && !isKeyed(request);
}

/** Where the answer to an activation leads to: no question any more. */
function isKeyed(request: FastifyRequest): boolean {
  return (request.query as Record<string, unknown>).activationKey !== undefined;
}

function isForm(request: FastifyRequest): boolean {
  const type = request.headers["content-type"] ?? "";
  return type.startsWith("application/x-www-form-urlencoded") || request.url.includes("Action=");
}

function isQuery(request: FastifyRequest, caller: Caller<Identity>): boolean {
  return caller.service === "ec2" || isForm(request);
}
