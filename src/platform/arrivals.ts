/**
 * Readers of one file that wait for bytes to come from its disk, in the order of their coming.
 *
 * The disk was told of all of them already, by the read that did not wait, and works on them beside each other. So only
 * a few are waited for in other threads; each time one has come, those that came with it go on too: a thread's turn for
 * each of them would cost more than the read.
 */
import { strict as assert } from "node:assert";

/** Reads that are waited for at a time: one that takes long must not hold up the others. */
const LANES = 2;
/** Readers behind the one whose bytes have come that are looked at. */
const LOOKED_AT_MAX = 64;

/** What the waiting needs of the file. */
export interface ArrivalSource {
  /** Whether the range is in memory now; asked without waiting. */
  isThere(positionBytes: number, lengthBytes: number): boolean;
  /** Waits for the range, in another thread. Never rejects: who reads it then meets what is wrong with it. */
  fetch(positionBytes: number, lengthBytes: number): Promise<void>;
}

interface Waiter {
  readonly positionBytes: number;
  readonly lengthBytes: number;
  readonly resolve: () => void;
}

export class Arrivals {
  readonly #source: ArrivalSource;
  #waiters: Waiter[] = [];
  #lanes = 0;

  constructor(source: ArrivalSource) {
    this.#source = source;
  }

  /** Resolves when the range has come: it is in memory, unless that was needed for something else since. */
  wait(positionBytes: number, lengthBytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ positionBytes, lengthBytes, resolve });
      if (this.#lanes < LANES) this.#next();
    });
  }

  #next(): void {
    const first = this.#waiters.shift();
    if (first === undefined) return;
    this.#lanes += 1;
    void this.#source.fetch(first.positionBytes, first.lengthBytes).then(() => {
      this.#lanes -= 1;
      assert(this.#lanes >= 0);
      first.resolve();
      this.#release();
      this.#next();
    });
  }

  /** Lets those go on whose bytes are there. */
  #release(): void {
    const looked = this.#waiters.splice(0, LOOKED_AT_MAX);
    const still = looked.filter((waiter) => {
      const isThere = this.#source.isThere(waiter.positionBytes, waiter.lengthBytes);
      if (isThere) waiter.resolve();
      return !isThere;
    });
    this.#waiters.unshift(...still);
  }
}
