/** A store that tries again what may succeed later: bounded, with exponential pauses and full jitter. */
import { type Clock, delay } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

export interface RetryLimits {
  readonly attempts: number;
  readonly pauseMs: number;
  readonly pauseMsMax: number;
}

export const DEFAULT_RETRY_LIMITS: RetryLimits = { attempts: 5, pauseMs: 100, pauseMsMax: 5_000 };

/**
 * Note for callers of `put` with `ifAbsent`: when an attempt without a clear answer is followed by one that is told
 * "exists", the object may be the caller's own. Only its content tells: read it.
 */
export class RetryingStore implements ObjectStore {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: RetryLimits;

  constructor(store: ObjectStore, clock: Clock, random: Random, limits: RetryLimits = DEFAULT_RETRY_LIMITS) {
    this.name = store.name;
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
  }

  put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    return this.#retry(() => this.#store.put(key, body, options));
  }

  get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#retry(() => this.#store.get(key, range));
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#retry(() => this.#store.head(key));
  }

  /** A list is begun anew when it breaks off, and passes over what it has already given. */
  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    let last: string | undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const info of this.#store.list(prefix)) {
          if (last !== undefined && info.key <= last) continue;
          last = info.key;
          yield info;
        }
        return;
      } catch (error) {
        await this.#pause(error, attempt);
      }
    }
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#retry(() => this.#store.delete(keys));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #retry<T>(action: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await action();
      } catch (error) {
        await this.#pause(error, attempt);
      }
    }
  }

  /** Waits before the next attempt, or throws the error where there is none. */
  async #pause(error: unknown, attempt: number): Promise<void> {
    if (!(error instanceof StoreError) || !error.retryable || attempt >= this.#limits.attempts) throw error;
    const most = Math.min(this.#limits.pauseMsMax, this.#limits.pauseMs * 2 ** (attempt - 1));
    const share = this.#random.bytes(4).readUInt32LE(0) / 2 ** 32;
    await delay(this.#clock, most * share);
  }
}
