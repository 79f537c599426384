/**
 * CHAP as iSCSI uses it (RFC 7143, 12.1; RFC 1994): a challenge one way, `H(identifier ‖ secret ‖ challenge)` back.
 *
 * Values stand in text keys as hexadecimal (`0x…`) or base64 (`0b…`) constants.
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** One way to hash: its number in CHAP_A (IANA, PPP authentication algorithms). */
export interface ChapAlgorithm {
  readonly number: number;
  readonly hash: string;
  readonly bytes: number;
}

const ALGORITHMS: readonly ChapAlgorithm[] = [
  { number: 5, hash: "md5", bytes: 16 },
  { number: 7, hash: "sha256", bytes: 32 },
  { number: 8, hash: "sha3-256", bytes: 32 },
];
/** A challenge may have so many bytes (RFC 7143, 12.1.3). */
const CHALLENGE_BYTES_MAX = 1024;

/** The first algorithm of the initiator's list (`8,7,5`: the order is its preference) that is spoken here. */
export function chooseAlgorithm(list: string): ChapAlgorithm | undefined {
  for (const item of list.split(",")) {
    const found = ALGORITHMS.find(({ number }) => String(number) === item);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What answers the challenge. */
export function chapResponse(
  algorithm: ChapAlgorithm,
  identifier: number,
  secret: string,
  challenge: Buffer,
): Buffer {
  return createHash(algorithm.hash)
    .update(Buffer.of(identifier & 0xff))
    .update(secret, "utf8")
    .update(challenge)
    .digest();
}

/** Whether both are the same bytes; how long that takes tells nothing about where they differ. */
export function isSameResponse(ours: Buffer, theirs: Buffer): boolean {
  return ours.length === theirs.length && timingSafeEqual(ours, theirs);
}

/** The bytes of a hexadecimal or base64 constant; undefined for anything else and for none or too many of them. */
export function decodeBinaryValue(text: string): Buffer | undefined {
  const prefix = text.slice(0, 2).toLowerCase();
  const digits = text.slice(2);
  let bytes: Buffer;
  // An odd number of digits: the zero in front was left out.
  if (prefix === "0x" && /^[0-9a-fA-F]+$/.test(digits)) {
    bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  } else if (prefix === "0b" && /^[A-Za-z0-9+/]+={0,2}$/.test(digits)) bytes = Buffer.from(digits, "base64");
  else return undefined;
  return bytes.length > 0 && bytes.length <= CHALLENGE_BYTES_MAX ? bytes : undefined;
}

export function encodeBinaryValue(bytes: Buffer): string {
  return `0x${bytes.toString("hex")}`;
}
