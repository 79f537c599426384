/**
 * From a block's number to a slot's, for as many blocks as a cache has slots: 8 bytes an entry and no object.
 * Open addressing with linear probing; an entry that goes away makes those behind it move up.
 */
import { strict as assert } from "node:assert";

/** The answer where a block has no entry. */
export const NO_ENTRY = -1;

const CAPACITY_MIN = 64;
const BLOCK_MAX = 2 ** 31 - 1;

export class BlockTable {
  #keys = new Int32Array(CAPACITY_MIN).fill(NO_ENTRY);
  #values = new Int32Array(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The block's entry, or NO_ENTRY. */
  get(block: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    for (let at = hash(block) & mask; ; at = (at + 1) & mask) {
      const key = keys[at];
      if (key === block) return this.#values[at] ?? NO_ENTRY;
      if (key === NO_ENTRY) return NO_ENTRY;
    }
  }

  set(block: number, value: number): void {
    assert(block >= 0 && block <= BLOCK_MAX && value >= 0);
    // At most two thirds full, so that probes stay short.
    if ((this.#size + 1) * 3 > this.#keys.length * 2) this.#resize(this.#keys.length * 2);
    const at = this.#placeOf(block);
    if (this.#keys[at] === NO_ENTRY) this.#size += 1;
    this.#keys[at] = block;
    this.#values[at] = value;
  }

  delete(block: number): void {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let hole = this.#placeOf(block);
    if (keys[hole] === NO_ENTRY) return;
    this.#size -= 1;
    for (let at = (hole + 1) & mask; keys[at] !== NO_ENTRY; at = (at + 1) & mask) {
      const home = hash(keys[at] ?? 0) & mask;
      // An entry may move up only as far as its home.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at] ?? NO_ENTRY;
      this.#values[hole] = this.#values[at] ?? 0;
      hole = at;
    }
    keys[hole] = NO_ENTRY;
    if (keys.length > CAPACITY_MIN && this.#size * 8 < keys.length) this.#resize(keys.length / 2);
  }

  /** The blocks that have an entry, in no order. The table must not change meanwhile. */
  *blocks(): Iterable<number> {
    for (const key of this.#keys) if (key !== NO_ENTRY) yield key;
  }

  #placeOf(block: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let at = hash(block) & mask;
    while (keys[at] !== block && keys[at] !== NO_ENTRY) at = (at + 1) & mask;
    return at;
  }

  #resize(capacity: number): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Int32Array(capacity).fill(NO_ENTRY);
    this.#values = new Int32Array(capacity);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] ?? NO_ENTRY;
      if (key === NO_ENTRY) continue;
      const at = this.#placeOf(key);
      this.#keys[at] = key;
      this.#values[at] = values[i] ?? 0;
    }
  }
}

/** Spreads neighbours: the finalizer of MurmurHash3. */
function hash(block: number): number {
  let h = block ^ (block >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
