import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { CacheOrder } from "./cache-order.ts";

/** A cache of clean blocks in front of the order: reads bring blocks in. */
class Cache {
  readonly order = new CacheOrder();
  readonly #slotOf = new Map<number, number>();
  readonly #blockOf: number[] = [];
  readonly #size: number;
  hits = 0;
  misses = 0;

  constructor(size: number) {
    this.#size = size;
    this.order.grow(size);
  }

  read(block: number): void {
    const slot = this.#slotOf.get(block);
    if (slot !== undefined) {
      this.hits += 1;
      this.order.used(slot);
      return;
    }
    this.misses += 1;
    const into = this.#slotOf.size < this.#size ? this.#slotOf.size : this.#take();
    this.#slotOf.set(block, into);
    this.#blockOf[into] = block;
    this.order.entered(into);
    this.order.add(into, block);
  }

  has(block: number): boolean {
    return this.#slotOf.has(block);
  }

  #take(): number {
    const slot = this.order.take((taken) => this.#blockOf[taken] ?? -1);
    assert(slot >= 0);
    this.#slotOf.delete(this.#blockOf[slot] ?? -1);
    return slot;
  }
}

const SLOTS = 1000;
const HOT = 500;

describe("the order in which clean slots go", () => {
  test("a scan of ten times the cache leaves what is in use where it is", () => {
    const cache = new Cache(SLOTS);
    const random = new SeededRandom(1);
    for (let i = 0; i < 20 * HOT; i++) cache.read(random.below(HOT));
    cache.hits = 0;
    cache.misses = 0;
    for (let scanned = 0; scanned < 10 * SLOTS; scanned++) {
      // Each block of the scan is read in 16 pieces, as a guest reads that copies a disk.
      for (let piece = 0; piece < 16; piece++) cache.read(10_000 + scanned);
      cache.read(random.below(HOT));
    }
    const hotMisses = cache.misses - 10 * SLOTS;
    assert(hotMisses < 0.02 * 10 * SLOTS, `${hotMisses} of ${10 * SLOTS} reads of hot blocks missed`);
    let there = 0;
    for (let block = 0; block < HOT; block++) if (cache.has(block)) there += 1;
    assert(there > 0.95 * HOT, `${there} of ${HOT} hot blocks are left`);
  });

  test("what comes back soon after it was dropped stays", () => {
    const cache = new Cache(100);
    for (let block = 0; block < 200; block++) cache.read(block);
    assert(!cache.has(50));
    cache.read(50);
    for (let block = 1000; block < 1080; block++) cache.read(block);
    assert(cache.has(50));
  });

  test("never gives a slot that is not clean, nor one twice", () => {
    const order = new CacheOrder();
    order.grow(64);
    const random = new SeededRandom(7);
    const clean = new Set<number>();
    for (let i = 0; i < 20_000; i++) {
      const slot = random.below(64);
      const what = random.below(4);
      if (what === 0) {
        order.add(slot, slot * 3);
        clean.add(slot);
      } else if (what === 1) {
        order.remove(slot);
        clean.delete(slot);
      } else if (what === 2) order.used(slot);
      else {
        const taken = order.take((of) => of * 3);
        if (clean.size === 0) assert.equal(taken, -1);
        else assert(clean.delete(taken), `${taken} was not clean`);
      }
      assert.equal(order.cleanSlots, clean.size);
    }
  });
});
