/**
 * Buffers for Data-Out that has to be collected, within the limits of a session and of all sessions together.
 *
 * What is given back is kept for the next that need it, and goes back to the system when it has not been needed for a
 * while.
 */
import type { Clock } from "../platform/clock.ts";
import { release, tidy } from "./released-memory.ts";

const SIZE_MIN_BYTES = 4096;
/** What nobody has needed for one to two of these is given back. */
const IDLE_MS = 10_000;

export class DataBuffers {
  readonly #limitBytes: number;
  readonly #clock: Clock;
  /** By size; the one used last stands at the end. */
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;
  #usedBytes = 0;
  /** The fewest bytes that were free at any time since the timer was set. */
  #spareBytes = 0;
  #isTimed = false;

  /** All buffers together, in use or kept, are of at most `limitBytes`. */
  constructor(limitBytes: number, clock: Clock) {
    this.#limitBytes = limitBytes;
    this.#clock = clock;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Whether it has to be shared with care: three quarters are in use. */
  get isScarce(): boolean {
    return this.#usedBytes > 0.75 * this.#limitBytes;
  }

  /** Bytes that nobody uses and that are kept all the same. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of at least `lengthBytes`, content undefined; undefined where the limit is reached. */
  take(lengthBytes: number): Buffer | undefined {
    const size = sizeClass(lengthBytes);
    if (this.#usedBytes + size > this.#limitBytes) return undefined;
    this.#usedBytes += size;
    const kept = this.#free.get(size)?.pop();
    if (kept === undefined) {
      const over = this.#usedBytes + this.#freeBytes - this.#limitBytes;
      if (over > 0) this.#discard(over);
    } else this.#freeBytes -= size;
    this.#spareBytes = Math.min(this.#spareBytes, this.#freeBytes);
    return kept ?? Buffer.allocUnsafeSlow(size);
  }

  /** Takes a buffer back that `take` gave; nothing may read or write it any more. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    this.#usedBytes -= size;
    const list = this.#free.get(size) ?? [];
    list.push(buffer);
    this.#free.set(size, list);
    this.#freeBytes += size;
    if (!this.#isTimed) this.#watch();
  }

  #watch(): void {
    this.#isTimed = true;
    this.#spareBytes = this.#freeBytes;
    this.#clock.after(IDLE_MS, () => {
      this.#isTimed = false;
      this.#discard(this.#spareBytes);
      tidy();
      if (this.#freeBytes > 0) this.#watch();
    });
  }

  /** Gives so many bytes of what is kept back to the system, and what has been unused for longest first. */
  #discard(bytes: number): void {
    let left = bytes;
    for (const [size, list] of this.#free) {
      const count = Math.min(list.length, Math.ceil(left / size));
      if (count <= 0) continue;
      for (const buffer of list.splice(0, count)) release(buffer);
      this.#freeBytes -= count * size;
      left -= count * size;
    }
    this.#spareBytes = Math.min(this.#spareBytes, this.#freeBytes);
  }
}

function sizeClass(lengthBytes: number): number {
  return Math.max(SIZE_MIN_BYTES, 2 ** Math.ceil(Math.log2(Math.max(lengthBytes, 1))));
}
