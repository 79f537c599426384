/**
 * Checks AWS Signature Version 4, in the Authorization header or in the query string ("presigned").
 *
 * The request is put into the canonical form, signed again with the secret of the key that it names, and the two
 * signatures are compared in constant time.
 */
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from "node:crypto";

export interface SignedRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** What is known of an access key id, or of the session whose token came with it. */
export type FoundSecret<Identity> =
  | { readonly state: "good"; readonly secretAccessKey: string; readonly identity: Identity }
  | { readonly state: "unknown" }
  | { readonly state: "expired" };

export interface VerifyOptions<Identity> {
  readonly nowMs: number;
  readonly region: string;
  readonly keys: SigningKeys;
  find(accessKeyId: string, sessionToken: string | undefined): FoundSecret<Identity>;
}

const KEYS_MAX = 1000;

/**
 * Signing keys that were derived before. A client has one for each day and service, and deriving it costs more than all
 * the rest of a check; what it is derived from is the whole name that it is found by, so it is never a wrong one.
 */
export class SigningKeys {
  readonly #keys = new Map<string, KeyObject>();

  of(secretAccessKey: string, date: string, region: string, service: string): KeyObject {
    const name = `${date}/${region}/${service}/${secretAccessKey}`;
    let key = this.#keys.get(name);
    if (key === undefined) {
      const ofDate = hmac(`AWS4${secretAccessKey}`, date);
      key = createSecretKey(hmac(hmac(hmac(ofDate, region), service), "aws4_request"));
      // Sessions and days pass: what is still in use is derived again.
      if (this.#keys.size >= KEYS_MAX) this.#keys.clear();
      this.#keys.set(name, key);
    }
    return key;
  }
}

/** Who signed, for which service. */
export interface Caller<Identity> {
  readonly accessKeyId: string;
  readonly service: string;
  readonly identity: Identity;
}

export type SignatureErrorCode =
  | "MissingAuthenticationToken"
  | "IncompleteSignature"
  | "UnrecognizedClient"
  | "InvalidSignature"
  | "ExpiredToken"
  | "RequestExpired";

/** The request is not signed as it has to be. Each protocol has its own names for the codes. */
export class SignatureError extends Error {
  override readonly name = "SignatureError";
  readonly code: SignatureErrorCode;

  constructor(code: SignatureErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const SKEW_MS_MAX = 15 * 60 * 1000;
const PRESIGNED_S_MAX = 7 * 24 * 3600;
const SERVICES = new Set(["storagegateway", "ec2", "ebs", "dlm"]);
const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD";
/** They say what is asked for, by whom, and when: where they are, they have to be signed. */
const MEANINGFUL_HEADERS = ["x-amz-target", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

interface Claim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly timestamp: string;
  /** Set for a presigned request: how long it is good for. */
  readonly expiresS?: number;
}

/** Who sent the request. Throws a SignatureError where it is not signed as it has to be. */
export function verifySignature<Identity>(
  request: SignedRequest,
  options: VerifyOptions<Identity>,
): Caller<Identity> {
  const [path = "/", queryText = ""] = splitOnce(request.url, "?");
  const query = new URLSearchParams(queryText);
  const claim = readHeader(request) ?? readQuery(query);
  if (claim === undefined) {
    throw new SignatureError("MissingAuthenticationToken", "Missing Authentication Token");
  }
  checkScope(claim, options.region);
  checkSignedHeaders(request, claim);
  checkTime(claim, options.nowMs);
  const token = single(request, "x-amz-security-token") ?? query.get("X-Amz-Security-Token") ?? undefined;
  const found = options.find(claim.accessKeyId, token);
  if (found.state === "expired") {
    throw new SignatureError("ExpiredToken", "The security token included in the request is expired.");
  }
  if (found.state === "unknown") {
    throw new SignatureError("UnrecognizedClient", "The security token included in the request is invalid.");
  }
  const canonical = [
    request.method,
    canonicalPath(path),
    canonicalQuery(query),
    ...claim.signedHeaders.map((name) => `${name}:${headerValue(request, name)}`),
    "",
    claim.signedHeaders.join(";"),
    payloadHash(request, claim),
  ].join("\n");
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const toSign = `${ALGORITHM}\n${claim.timestamp}\n${scope}\n${sha256(canonical)}`;
  const { date, region, service } = claim;
  const expected = hmac(options.keys.of(found.secretAccessKey, date, region, service), toSign);
  const given = Buffer.from(claim.signature, "hex");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new SignatureError(
      "InvalidSignature",
      "The request signature we calculated does not match the signature you provided. " +
        "Check your AWS Secret Access Key and signing method.",
    );
  }
  return { accessKeyId: claim.accessKeyId, service: claim.service, identity: found.identity };
}

function readHeader(request: SignedRequest): Claim | undefined {
  const header = single(request, "authorization");
  if (header === undefined || header === "") return undefined;
  if (!header.startsWith(`${ALGORITHM} `)) throw incomplete("an algorithm other than AWS4-HMAC-SHA256");
  const parts = new Map(
    header
      .slice(ALGORITHM.length + 1)
      .split(",")
      .map((part) => splitOnce(part.trim(), "=") as [string, string]),
  );
  const timestamp = single(request, "x-amz-date") ?? "";
  return readClaim(
    parts.get("Credential"),
    parts.get("SignedHeaders"),
    parts.get("Signature"),
    timestamp,
    undefined,
  );
}

function readQuery(query: URLSearchParams): Claim | undefined {
  if (query.get("X-Amz-Algorithm") === null) return undefined;
  if (query.get("X-Amz-Algorithm") !== ALGORITHM)
    throw incomplete("an algorithm other than AWS4-HMAC-SHA256");
  const expiresS = Number(query.get("X-Amz-Expires") ?? "0");
  if (!Number.isInteger(expiresS) || expiresS < 1 || expiresS > PRESIGNED_S_MAX) {
    throw incomplete("X-Amz-Expires out of range");
  }
  return readClaim(
    query.get("X-Amz-Credential") ?? undefined,
    query.get("X-Amz-SignedHeaders") ?? undefined,
    query.get("X-Amz-Signature") ?? undefined,
    query.get("X-Amz-Date") ?? "",
    expiresS,
  );
}

function readClaim(
  credential: string | undefined,
  signedHeaders: string | undefined,
  signature: string | undefined,
  timestamp: string,
  expiresS: number | undefined,
): Claim {
  const scope = credential?.split("/") ?? [];
  const [accessKeyId, date, region, service, end] = scope.slice(-5);
  const whole = accessKeyId && date && region && service && end === "aws4_request" && scope.length === 5;
  if (!whole) throw incomplete("no Credential of five parts");
  if (signedHeaders === undefined || signedHeaders === "") throw incomplete("no SignedHeaders");
  if (signature === undefined || !/^[0-9a-f]{64}$/.test(signature)) throw incomplete("no Signature");
  if (!/^\d{8}T\d{6}Z$/.test(timestamp)) throw incomplete("no X-Amz-Date of the form YYYYMMDDTHHMMSSZ");
  if (!timestamp.startsWith(date)) throw incomplete("a Credential of another day than X-Amz-Date");
  const names = signedHeaders.split(";");
  if (!names.includes("host")) throw incomplete("a host header that is not signed");
  return {
    accessKeyId,
    date,
    region,
    service,
    signedHeaders: names,
    signature,
    timestamp,
    ...(expiresS !== undefined && { expiresS }),
  };
}

function checkScope(claim: Claim, region: string): void {
  if (claim.region !== region) {
    throw new SignatureError(
      "InvalidSignature",
      `Credential should be scoped to a valid region: ${region}, not ${claim.region}.`,
    );
  }
  if (!SERVICES.has(claim.service)) {
    throw new SignatureError("InvalidSignature", `Credential should be scoped to a service served here.`);
  }
}

/** What changes the meaning of a request must not be added to a signed one by somebody else. */
function checkSignedHeaders(request: SignedRequest, claim: Claim): void {
  for (const name of MEANINGFUL_HEADERS) {
    if (request.headers[name] === undefined || claim.signedHeaders.includes(name)) continue;
    throw new SignatureError(
      "InvalidSignature",
      `There were headers present in the request which were not signed: ${name}`,
    );
  }
}

function checkTime(claim: Claim, nowMs: number): void {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(claim.timestamp)?.map(Number) ?? [];
  const signedMs = Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
  const lateMs = nowMs - signedMs;
  const goodForMs = claim.expiresS === undefined ? SKEW_MS_MAX : claim.expiresS * 1000;
  if (lateMs <= goodForMs && lateMs >= -SKEW_MS_MAX) return;
  const now = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
  throw new SignatureError(
    "RequestExpired",
    `Request has expired: it was signed at ${claim.timestamp}, now is ${now}.`,
  );
}

function payloadHash(request: SignedRequest, claim: Claim): string {
  const declared = single(request, "x-amz-content-sha256");
  if (declared === UNSIGNED_PAYLOAD && claim.service === "ebs") return UNSIGNED_PAYLOAD;
  if (declared?.startsWith("STREAMING-")) {
    throw new SignatureError("InvalidSignature", "A body that is signed in chunks is not supported.");
  }
  const actual = sha256(request.body);
  if (declared === UNSIGNED_PAYLOAD) {
    throw new SignatureError("InvalidSignature", `The body has to be signed for ${claim.service}.`);
  }
  if (declared !== undefined && declared !== actual) {
    throw new SignatureError("InvalidSignature", "The body is not the one that was signed.");
  }
  return actual;
}

/** Path segments are encoded once more, as all services but S3 want it. */
function canonicalPath(path: string): string {
  if (path === "/") return path;
  const segments = path.split("/").map((segment) => encode(segment));
  return segments.join("/") || "/";
}

function canonicalQuery(query: URLSearchParams): string {
  return (
    [...query]
      .filter(([key]) => key !== "X-Amz-Signature")
      .map(([key, value]) => [encode(key), encode(value)] as const)
      // By name, then by value: a name that begins another comes first, whatever character "=" is.
      .sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
      .map(([key, value]) => `${key}=${value}`)
      .join("&")
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function headerValue(request: SignedRequest, name: string): string {
  const value = request.headers[name];
  const values = value === undefined ? [] : typeof value === "string" ? [value] : value;
  return values.map((text) => text.trim().replace(/\s+/g, " ")).join(",");
}

function single(request: SignedRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : value?.[0];
}

function hmac(key: string | Buffer | KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}

function sha256(data: string | Buffer): string {
  return hash("sha256", data, "hex");
}

/** RFC 3986: everything but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

function incomplete(what: string): SignatureError {
  return new SignatureError("IncompleteSignature", `The Authorization is incomplete: ${what}.`);
}
