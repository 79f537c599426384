import type { Random } from "../../src/platform/random.ts";

/** Random numbers that a seed repeats (xorshift128+, state from SplitMix64). Fit for simulations, not for keys. */
export class SeededRandom implements Random {
  #a: bigint;
  #b: bigint;

  constructor(seed: number) {
    this.#a = splitMix(BigInt(seed) + 1n);
    this.#b = splitMix(this.#a);
  }

  /** Goes on as one of this seed would from its beginning. */
  reseed(seed: number): void {
    this.#a = splitMix(BigInt(seed) + 1n);
    this.#b = splitMix(this.#a);
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    let word = 0;
    for (let i = 0; i < count; i++) {
      if (i % 4 === 0) word = this.#next32();
      bytes[i] = word & 0xff;
      word >>>= 8;
    }
    return bytes;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor((this.#next32() / 2 ** 32) * limit);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#next32() / 2 ** 32 < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  #next32(): number {
    let x = this.#a;
    const y = this.#b;
    this.#a = y;
    x ^= (x << 23n) & MASK;
    this.#b = x ^ y ^ (x >> 17n) ^ (y >> 26n);
    return Number(((this.#b + y) & MASK) >> 32n);
  }
}

const MASK = (1n << 64n) - 1n;

function splitMix(seed: bigint): bigint {
  let z = (seed + 0x9e3779b97f4a7c15n) & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}
