/**
 * A limit on bytes per second that can be changed, or lifted, at any time.
 *
 * What is taken may be more than there is: it goes as soon as the bucket is not empty, and leaves a debt that those
 * behind it wait for. So a large piece needs no large bucket, and over any time no more passes than the rate allows,
 * one bucket and one piece apart.
 */
import type { Clock } from "./clock.ts";

/** Who has bytes to move asks it first. */
export interface ByteLimit {
  /** Bytes per second; undefined where there is no limit. */
  readonly rate?: number | undefined;

  /**
   * Resolves when so many bytes may go. `isBackground`: after everybody else who waits. Rejects with the signal's
   * reason when it is aborted first.
   */
  take(
    bytes: number,
    options?: { readonly isBackground?: boolean; readonly signal?: AbortSignal },
  ): Promise<void>;
}

interface Waiting {
  readonly bytes: number;
  readonly isBackground: boolean;
  readonly resolve: () => void;
}

/** What can pass at once after a pause: so many milliseconds' worth. */
const BURST_MS = 500;
const WAIT_MS_MIN = 5;

export class TokenBucket implements ByteLimit {
  readonly #clock: Clock;
  #bytesPerSecond: number | undefined;
  #bytes = 0;
  #filledAtMs = 0;
  readonly #queue: Waiting[] = [];
  #cancelTimer: (() => void) | undefined;

  /** Without a limit until `setRate`. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The limit from now on, also for those who wait; undefined lifts it. */
  setRate(bytesPerSecond: number | undefined): void {
    this.#fill();
    this.#bytesPerSecond = bytesPerSecond;
    this.#bytes = Math.min(this.#bytes, this.#burst());
    this.#serve();
  }

  get rate(): number | undefined {
    return this.#bytesPerSecond;
  }

  take(
    bytes: number,
    options: { readonly isBackground?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    if (this.#bytesPerSecond === undefined) return Promise.resolve();
    const { isBackground = false, signal } = options;
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { bytes, isBackground, resolve: () => done(resolve) };
      const abort = () => {
        const at = this.#queue.indexOf(waiting);
        if (at >= 0) this.#queue.splice(at, 1);
        done(() => reject(signal?.reason));
      };
      const done = (end: () => void) => {
        signal?.removeEventListener("abort", abort);
        end();
      };
      signal?.addEventListener("abort", abort);
      if (signal?.aborted === true) {
        abort();
        return;
      }
      const behind = isBackground ? -1 : this.#queue.findIndex((other) => other.isBackground);
      if (behind < 0) this.#queue.push(waiting);
      else this.#queue.splice(behind, 0, waiting);
      this.#serve();
    });
  }

  #serve(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#fill();
    while (this.#queue.length > 0 && (this.#bytesPerSecond === undefined || this.#bytes > 0)) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      if (this.#bytesPerSecond !== undefined) this.#bytes -= next.bytes;
      next.resolve();
    }
    if (this.#queue.length === 0 || this.#bytesPerSecond === undefined) return;
    const waitMs = Math.max(WAIT_MS_MIN, (1000 * (1 - this.#bytes)) / this.#bytesPerSecond);
    this.#cancelTimer = this.#clock.after(waitMs, () => this.#serve());
  }

  #burst(): number {
    return ((this.#bytesPerSecond ?? 0) * BURST_MS) / 1000;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#bytesPerSecond !== undefined) {
      const more = (this.#bytesPerSecond * (nowMs - this.#filledAtMs)) / 1000;
      this.#bytes = Math.min(this.#burst(), this.#bytes + more);
    }
    this.#filledAtMs = nowMs;
  }
}
