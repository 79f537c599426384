/**
 * Readers of one file that wait for bytes to come from its disk, in the order of their coming.
 *
 * The disk was told of all of them already, by the read that did not wait, and works on them beside each other. So only
 * a few are waited for in other threads; each time one has come, those that came with it go on too: a thread's turn for
 * each of them would cost more than the read.
 */
import { strict as assert } from "node:assert";
import { type Clock, systemClock } from "./clock.ts";

/** Reads that are waited for at a time: one that takes long must not hold up the others. */
const LANES = 2;
/** Readers behind the one whose bytes have come that are looked at. */
const LOOKED_AT_MAX = 64;
/** All of them are looked at so often: a disk may try for half a minute to read what it can't, in every lane. */
const LOOK_EVERY_MS = 50;

/** What the waiting needs of the file. */
export interface ArrivalSource {
  /** Whether the range is in memory now; asked without waiting. */
  isThere(positionBytes: number, lengthBytes: number): boolean;
  /** Waits for the range, in another thread; rejects where it can't be read. */
  fetch(positionBytes: number, lengthBytes: number): Promise<void>;
}

interface Waiter {
  readonly positionBytes: number;
  readonly lengthBytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Arrivals {
  readonly #source: ArrivalSource;
  readonly #after: Clock["after"];
  #waiters: Waiter[] = [];
  #lanes = 0;
  #isWatching = false;

  constructor(source: ArrivalSource, after: Clock["after"] = systemClock.after) {
    this.#source = source;
    this.#after = after;
  }

  /**
   * Resolves when the range has come: it is in memory, unless that was needed for something else since. Rejects where it
   * can't be read.
   */
  wait(positionBytes: number, lengthBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ positionBytes, lengthBytes, resolve, reject });
      if (this.#lanes < LANES) this.#next();
      else this.#watch();
    });
  }

  #next(): void {
    const first = this.#waiters.shift();
    if (first === undefined) return;
    this.#lanes += 1;
    const ended = (tell: () => void): void => {
      this.#lanes -= 1;
      assert(this.#lanes >= 0);
      tell();
      this.#release(LOOKED_AT_MAX);
      this.#next();
    };
    void this.#source.fetch(first.positionBytes, first.lengthBytes).then(
      () => ended(first.resolve),
      (error: unknown) => ended(() => first.reject(error)),
    );
  }

  /** Looks at those who wait now and then, until there are none. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#after(LOOK_EVERY_MS, () => {
      this.#isWatching = false;
      this.#release(this.#waiters.length);
      if (this.#waiters.length > 0) this.#watch();
    });
  }

  /** Lets those of the first `max` go on whose bytes are there. */
  #release(max: number): void {
    const looked = this.#waiters.splice(0, max);
    const still = looked.filter((waiter) => {
      const isThere = this.#source.isThere(waiter.positionBytes, waiter.lengthBytes);
      if (isThere) waiter.resolve();
      return !isThere;
    });
    this.#waiters.unshift(...still);
  }
}
