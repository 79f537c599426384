/** A store that counts its requests, and knows from their outcomes whether it can be reached. */
import type { Clock } from "../platform/clock.ts";
import { LATENCY_CLASSES, latencyClass } from "../platform/latency-histogram.ts";
import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

const OPERATIONS = ["put", "get", "head", "list", "delete"] as const;
type Operation = (typeof OPERATIONS)[number];

/** Requests of one kind since the start. One that was told "no such object" was answered: it has not failed. */
export interface RequestFigures {
  readonly operation: Operation;
  readonly count: number;
  readonly failed: number;
  /** Of the bodies, both ways. */
  readonly bytes: number;
  readonly totalUs: number;
  /** By class: platform/latency-histogram.ts. */
  readonly latencies: readonly number[];
}

export interface Reachability {
  readonly state: "unknown" | "reachable" | "unreachable";
  readonly sinceMs: number;
  /** Why it is not. */
  readonly reason?: string;
}

interface Counters {
  count: number;
  failed: number;
  bytes: number;
  totalUs: number;
  readonly latencies: Float64Array;
}

export class MeasuredStore implements ObjectStore {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #counters = new Map<Operation, Counters>();
  #reachability: Reachability;
  #answeredAtMs = Number.NEGATIVE_INFINITY;

  constructor(store: ObjectStore, clock: Clock) {
    this.name = store.name;
    this.#store = store;
    this.#clock = clock;
    this.#reachability = { state: "unknown", sinceMs: clock.nowMs() };
    for (const operation of OPERATIONS) {
      const latencies = new Float64Array(LATENCY_CLASSES);
      this.#counters.set(operation, { count: 0, failed: 0, bytes: 0, totalUs: 0, latencies });
    }
  }

  get figures(): RequestFigures[] {
    return [...this.#counters].map(([operation, counters]) => ({
      operation,
      ...counters,
      latencies: Array.from(counters.latencies),
    }));
  }

  get reachability(): Reachability {
    return this.#reachability;
  }

  /**
   * Asks for an object that has to be there, unless something was asked within `withinMs`. A store without it is the wrong
   * one, or none: unreachable. Never rejects.
   */
  async probe(key: string, withinMs: number): Promise<Reachability> {
    if (this.#clock.monotonicMs() - this.#answeredAtMs < withinMs) return this.#reachability;
    try {
      if ((await this.head(key)) === undefined) this.#reached(`${this.name} has no ${key}`);
    } catch {
      // What came of it is in `reachability` now.
    }
    return this.#reachability;
  }

  put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    return this.#measured(
      "put",
      () => this.#store.put(key, body, options),
      () => body.length,
    );
  }

  get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#measured(
      "get",
      () => this.#store.get(key, range),
      (body) => body.length,
    );
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#measured("head", () => this.#store.head(key));
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const beganMs = this.#clock.monotonicMs();
    try {
      yield* this.#store.list(prefix);
    } catch (error) {
      this.#ended("list", beganMs, 0, error);
      throw error;
    }
    this.#ended("list", beganMs, 0);
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#measured("delete", () => this.#store.delete(keys));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #measured<T>(
    operation: Operation,
    action: () => Promise<T>,
    bytesOf: (result: T) => number = () => 0,
  ): Promise<T> {
    const beganMs = this.#clock.monotonicMs();
    let result: T;
    try {
      result = await action();
    } catch (error) {
      this.#ended(operation, beganMs, 0, error);
      throw error;
    }
    this.#ended(operation, beganMs, bytesOf(result));
    return result;
  }

  #ended(operation: Operation, beganMs: number, bytes: number, error?: unknown): void {
    const counters = this.#counters.get(operation);
    if (counters === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const tookUs = (nowMs - beganMs) * 1000;
    const failure = failureOf(error);
    counters.count += 1;
    counters.bytes += bytes;
    counters.totalUs += tookUs;
    const at = latencyClass(tookUs);
    counters.latencies[at] = (counters.latencies[at] ?? 0) + 1;
    if (failure !== undefined) counters.failed += 1;
    this.#answeredAtMs = nowMs;
    this.#reached(failure);
  }

  #reached(failure: string | undefined): void {
    const state = failure === undefined ? "reachable" : "unreachable";
    if (state === "reachable" && this.#reachability.state === state) return;
    const sinceMs = this.#reachability.state === state ? this.#reachability.sinceMs : this.#clock.nowMs();
    this.#reachability = { state, sinceMs, ...(failure !== undefined && { reason: failure }) };
  }
}

/** What an error says about the store itself, or undefined where it says nothing: the store has answered. */
function failureOf(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof StoreError && error.kind !== "unavailable" && error.kind !== "denied")
    return undefined;
  return error instanceof Error ? error.message : String(error);
}
