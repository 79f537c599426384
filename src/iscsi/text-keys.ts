/** Text parameters: `key=value` pairs, each ended by a zero byte (RFC 7143, 6.1). */
import { ProtocolError } from "./protocol-error.ts";

export const TEXT_BYTES_MAX = 64 * 1024;
const PAIRS_MAX = 128;
/** Names of keys (6.1); the standard's own begin with a capital, which is not held against anybody. */
const KEY = /^[A-Za-z][A-Za-z0-9.\-+@_/:]{0,62}$/;

/** The pairs in their order. Throws a ProtocolError for text that is none. */
export function decodeText(data: Buffer): [key: string, value: string][] {
  if (data.length > TEXT_BYTES_MAX) throw new ProtocolError("text of more than 64 KiB");
  const pairs: [string, string][] = [];
  for (const part of data.toString("utf8").split("\0")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(equals, 0));
    if (!KEY.test(key)) throw new ProtocolError("text that is not key=value");
    pairs.push([key, part.slice(equals + 1)]);
    if (pairs.length > PAIRS_MAX) throw new ProtocolError("too many text keys");
  }
  return pairs;
}

export function encodeText(pairs: Iterable<readonly [key: string, value: string]>): Buffer {
  let text = "";
  for (const [key, value] of pairs) text += `${key}=${value}\0`;
  return Buffer.from(text, "utf8");
}
