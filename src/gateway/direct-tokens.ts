/**
 * Tokens of the EBS direct API: they say what they are good for and until when, and are sealed with a key of this gateway,
 * so that nobody can make one up or use it for anything else.
 *
 * Base64 of: expiry (6 bytes, milliseconds since the Unix epoch), position (6 bytes), HMAC-SHA-256 over purpose, expiry and
 * position, cut to 16 bytes. What the purpose names (snapshots, and a block) is not in the token.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

const NUMBER_BYTES = 6;
const SEAL_BYTES = 16;
const TOKEN_BYTES = 2 * NUMBER_BYTES + SEAL_BYTES;
const KEY_BYTES = 32;

export class DirectTokens {
  readonly #key: Buffer;

  /** `secret` stays the same for the life of the gateway: at least 32 random bytes. */
  constructor(secret: Buffer) {
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", "sluicegate ebs direct tokens", KEY_BYTES));
  }

  make(purpose: string, position: number, expiresAtMs: number): string {
    const token = Buffer.alloc(TOKEN_BYTES);
    token.writeUIntBE(Math.floor(expiresAtMs), 0, NUMBER_BYTES);
    token.writeUIntBE(position, NUMBER_BYTES, NUMBER_BYTES);
    this.#seal(purpose, token).copy(token, 2 * NUMBER_BYTES);
    return token.toString("base64");
  }

  /** The position that the token holds; undefined where it is not good for this purpose, or not any more. */
  read(purpose: string, text: string, nowMs: number): number | undefined {
    const token = Buffer.from(text, "base64");
    // Base64 can be spelled in several ways; a token has one.
    if (token.length !== TOKEN_BYTES || token.toString("base64") !== text) return undefined;
    if (!timingSafeEqual(this.#seal(purpose, token), token.subarray(2 * NUMBER_BYTES))) return undefined;
    if (token.readUIntBE(0, NUMBER_BYTES) < nowMs) return undefined;
    return token.readUIntBE(NUMBER_BYTES, NUMBER_BYTES);
  }

  #seal(purpose: string, token: Buffer): Buffer {
    const hmac = createHmac("sha256", this.#key)
      .update(`${purpose}\n`)
      .update(token.subarray(0, 2 * NUMBER_BYTES));
    return hmac.digest().subarray(0, SEAL_BYTES);
  }
}
