/** Text parameters: `key=value` pairs, each ended by a zero byte (RFC 7143, 6.1). */
import { ProtocolError } from "./protocol-error.ts";

export const TEXT_BYTES_MAX = 64 * 1024;
const PAIRS_MAX = 128;
const KEY_LENGTH_MAX = 63;

/** The pairs in their order. Throws a ProtocolError for text that is none. */
export function decodeText(data: Buffer): [key: string, value: string][] {
  if (data.length > TEXT_BYTES_MAX) throw new ProtocolError("text of more than 64 KiB");
  const pairs: [string, string][] = [];
  for (const part of data.toString("utf8").split("\0")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    if (equals < 1 || equals > KEY_LENGTH_MAX) throw new ProtocolError("text that is not key=value");
    pairs.push([part.slice(0, equals), part.slice(equals + 1)]);
    if (pairs.length > PAIRS_MAX) throw new ProtocolError("too many text keys");
  }
  return pairs;
}

export function encodeText(pairs: Iterable<readonly [key: string, value: string]>): Buffer {
  let text = "";
  for (const [key, value] of pairs) text += `${key}=${value}\0`;
  return Buffer.from(text, "utf8");
}
