/**
 * Tokens of sessions: what a session may do and until when, sealed under the secret of the access key that it was made
 * with. Nothing is kept of a session: it ends with its time, or with its key.
 *
 *     token  = base64url(JSON {v: 1, key, role, exp, nonce}) "." base64url(HMAC-SHA-256(secret, "token" payload))
 *     secret = base64(HMAC-SHA-256(secret of the key, "secret" payload))
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../platform/random.ts";
import type { AccessKey, Role } from "./credentials.ts";

/** What a client signs with until the session ends. */
export interface SessionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly role: Role;
  readonly expiresAtMs: number;
}

/** A token whose seal is whole. */
export interface OpenedToken {
  readonly key: AccessKey;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly role: Role;
  readonly expiresAtMs: number;
}

const VERSION = 1;
const NONCE_BYTES = 16;
const TOKEN_CHARS_MAX = 2048;
const ID_PREFIX = "ASIA";

interface Payload {
  readonly v: number;
  readonly key: string;
  readonly role: Role;
  readonly exp: number;
  readonly nonce: string;
}

/** Credentials of a new session of `key`. */
export function makeSession(
  key: AccessKey,
  role: Role,
  expiresAtMs: number,
  random: Random,
): SessionCredentials {
  const nonce = random.bytes(NONCE_BYTES).toString("hex");
  const payload = encode({ v: VERSION, key: key.accessKeyId, role, exp: expiresAtMs, nonce });
  return {
    accessKeyId: idOf(nonce),
    secretAccessKey: seal(key, "secret", payload).toString("base64"),
    sessionToken: `${payload}.${seal(key, "token", payload).toString("base64url")}`,
    role,
    expiresAtMs,
  };
}

/** What the token says; undefined where it is not one of ours, or its key is gone. Its time is not looked at. */
export function openToken(
  token: string,
  keyOf: (accessKeyId: string) => AccessKey | undefined,
): OpenedToken | undefined {
  if (token.length > TOKEN_CHARS_MAX) return undefined;
  const [payload = "", given = "", ...more] = token.split(".");
  const said = decode(payload);
  const key = said === undefined ? undefined : keyOf(said.key);
  if (said === undefined || key === undefined || more.length > 0) return undefined;
  const expected = seal(key, "token", payload);
  const bytes = Buffer.from(given, "base64url");
  if (bytes.length !== expected.length || !timingSafeEqual(bytes, expected)) return undefined;
  return {
    key,
    accessKeyId: idOf(said.nonce),
    secretAccessKey: seal(key, "secret", payload).toString("base64"),
    role: said.role,
    expiresAtMs: said.exp,
  };
}

function idOf(nonce: string): string {
  return ID_PREFIX + nonce.slice(0, 16).toUpperCase();
}

function seal(key: AccessKey, purpose: "token" | "secret", payload: string): Buffer {
  return createHmac("sha256", key.secretAccessKey).update(`sluicegate ${purpose} ${payload}`).digest();
}

function encode(payload: Payload): string {
  return Buffer.from(JSON.stringify(payload), "utf8").toString("base64url");
}

/** Not to be believed before the seal is checked, except for which key it names. */
function decode(text: string): Payload | undefined {
  try {
    const payload = JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as Partial<Payload> | null;
    const { v, key, role, exp, nonce } = payload ?? {};
    const isRole = role === "admin" || role === "read-only";
    const good = v === VERSION && typeof key === "string" && isRole && Number.isSafeInteger(exp);
    return good && typeof nonce === "string" ? (payload as Payload) : undefined;
  } catch {
    // Whatever it is, it is no token of ours.
    return undefined;
  }
}
