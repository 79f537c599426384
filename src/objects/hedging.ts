/**
 * A store that asks again where an answer is slow: of a thousand requests to a large bucket some always take a hundred
 * times as long as the others, and a guest waits for the slowest. The first answer counts; the other is dropped.
 *
 * Only for parts of objects, which are small and change nothing. What it may cost is bounded: one request in ten.
 */
import type { Clock } from "../platform/clock.ts";
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions } from "./object-store.ts";

/** The times that were last taken, by which "slow" is measured. */
const SAMPLES = 64;
const SAMPLES_MIN = 8;
/** Slow is so many times as long as nine of ten answers take, and never less than that. */
const SLOW_FACTOR = 3;
const SLOW_MS_MIN = 200;
/** What is larger takes its time, and is waited for by nobody. */
const HEDGED_BYTES_MAX = 1024 * 1024;
/** Each request earns this part of a second one, up to so many. */
const EARNED = 0.1;
const EARNED_MAX = 4;

export class HedgingStore implements ObjectStore {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #tookMs: number[] = [];
  #next = 0;
  #slowMs = Number.POSITIVE_INFINITY;
  #earned = 0;

  constructor(store: ObjectStore, clock: Clock) {
    this.name = store.name;
    this.#store = store;
    this.#clock = clock;
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    if (range === undefined || range.lengthBytes > HEDGED_BYTES_MAX) return this.#store.get(key, range);
    this.#earned = Math.min(EARNED_MAX, this.#earned + EARNED);
    const startMs = this.#clock.monotonicMs();
    const bytes = await this.#hedged(() => this.#store.get(key, range));
    this.#sample(this.#clock.monotonicMs() - startMs);
    return bytes;
  }

  put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    return this.#store.put(key, body, options);
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#store.head(key);
  }

  list(prefix: string): AsyncIterable<ObjectInfo> {
    return this.#store.list(prefix);
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#store.delete(keys);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** The first of the answers; a failure only where none is left to come. */
  #hedged(ask: () => Promise<Buffer>): Promise<Buffer> {
    if (!Number.isFinite(this.#slowMs)) return ask();
    return new Promise((resolve, reject) => {
      let running = 0;
      let cancel = () => {};
      const run = () => {
        running += 1;
        ask().then(
          (bytes) => {
            cancel();
            resolve(bytes);
          },
          (error: unknown) => {
            running -= 1;
            if (running > 0) return;
            // One that fails fast is for the retries to try again, with their pauses.
            cancel();
            reject(error);
          },
        );
      };
      cancel = this.#clock.after(this.#slowMs, () => {
        if (this.#earned < 1) return;
        this.#earned -= 1;
        run();
      });
      run();
    });
  }

  #sample(tookMs: number): void {
    this.#tookMs[this.#next] = tookMs;
    this.#next = (this.#next + 1) % SAMPLES;
    if (this.#tookMs.length < SAMPLES_MIN || this.#next % SAMPLES_MIN !== 0) return;
    const sorted = [...this.#tookMs].sort((a, b) => a - b);
    const usual = sorted[Math.floor(sorted.length * 0.9)] ?? 0;
    this.#slowMs = Math.max(SLOW_MS_MIN, usual * SLOW_FACTOR);
  }
}
