/**
 * Activation keys: proof that whoever activates a gateway could reach it. A key is a moment and some randomness,
 * sealed under a secret of this service, so nothing is kept of keys that nobody uses.
 *
 * 25 letters of base32 in five groups: 4 bytes of minutes since 1970, 2 random bytes, and the first 9 bytes of an
 * HMAC-SHA-256 over them; the last 5 bits are zero.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../platform/random.ts";
import { GatewayError } from "./errors.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const FORM = /^([A-Z0-9]{5})-([A-Z0-9]{5})-([A-Z0-9]{5})-([A-Z0-9]{5})-([A-Z0-9]{5})$/;
const KEY_BYTES = 15;
const SAID_BYTES = 6;
const MINUTE_MS = 60_000;
const GOOD_FOR_MS = 30 * MINUTE_MS;

/** A new activation key. */
export function makeActivationKey(secret: Buffer, nowMs: number, random: Random): string {
  const said = Buffer.alloc(SAID_BYTES);
  said.writeUInt32BE(Math.floor(nowMs / MINUTE_MS), 0);
  random.bytes(SAID_BYTES - 4).copy(said, 4);
  const bytes = Buffer.concat([said, seal(secret, said)]);
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  bits <<= 5n;
  let letters = "";
  for (let i = 0; i < 25; i++) letters = ALPHABET[Number((bits >> BigInt(5 * i)) & 31n)] + letters;
  return letters.match(/.{5}/g)?.join("-") ?? "";
}

/** Throws ActivationKeyInvalid, ActivationKeyNotFound or ActivationKeyExpired unless the key is good now. */
export function checkActivationKey(key: string, secret: Buffer, nowMs: number): void {
  const letters = FORM.exec(key)?.slice(1).join("");
  if (letters === undefined) throw new GatewayError("ActivationKeyInvalid");
  const bytes = decode(letters);
  if (bytes === undefined) throw new GatewayError("ActivationKeyNotFound");
  const said = bytes.subarray(0, SAID_BYTES);
  if (!timingSafeEqual(bytes.subarray(SAID_BYTES), seal(secret, said))) {
    throw new GatewayError("ActivationKeyNotFound");
  }
  const ageMs = nowMs - said.readUInt32BE(0) * MINUTE_MS;
  if (ageMs > GOOD_FOR_MS || ageMs < -GOOD_FOR_MS) throw new GatewayError("ActivationKeyExpired");
}

function decode(letters: string): Buffer | undefined {
  let bits = 0n;
  for (const letter of letters) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) return undefined;
    bits = (bits << 5n) | BigInt(value);
  }
  if ((bits & 31n) !== 0n) return undefined;
  return Buffer.from((bits >> 5n).toString(16).padStart(2 * KEY_BYTES, "0"), "hex");
}

function seal(secret: Buffer, said: Buffer): Buffer {
  return createHmac("sha256", secret)
    .update("activation")
    .update(said)
    .digest()
    .subarray(0, KEY_BYTES - SAID_BYTES);
}
