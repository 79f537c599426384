import { randomBytes } from "node:crypto";

/** Where random bytes come from: injected, so that a simulation can replay them. */
export interface Random {
  /** `count` bytes; the system's are fit for keys and nonces. */
  bytes(count: number): Buffer;
}

/** The operating system's cryptographic generator. */
export const systemRandom: Random = { bytes: randomBytes };
