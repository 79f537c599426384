import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "../../src/objects/object-store.ts";
import type { SeededRandom } from "../kit/seeded-random.ts";

const TURNS_MAX = 4;

/**
 * A bucket behind a bad line, as one process sees it: answers take a while and overtake each other, some calls fail
 * before they have their effect and some after it, some PUTs arrive twice, and a listing may break off.
 */
export class SimStore implements ObjectStore {
  readonly name = "simulated";
  readonly #store: ObjectStore;
  readonly #random: SeededRandom;
  readonly #isAlive: () => boolean;
  readonly #failing: () => number;

  /** `failing`: the probability of a failure, asked at every call. Nothing that begins after death arrives. */
  constructor(store: ObjectStore, random: SeededRandom, isAlive: () => boolean, failing: () => number) {
    this.#store = store;
    this.#random = random;
    this.#isAlive = isAlive;
    this.#failing = failing;
  }

  async put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    const result = await this.#call(key, () => this.#store.put(key, body, options));
    // Delivered twice: the second time a conditional one finds its own object, any other writes the same again.
    if (this.#random.chance(this.#failing() / 4)) return this.#store.put(key, body, options);
    return result;
  }

  get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#call(key, () => this.#store.get(key, range));
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#call(key, () => this.#store.head(key));
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    await this.#call(prefix, async () => {});
    for await (const info of this.#store.list(prefix)) {
      if (this.#random.chance(this.#failing() / 8)) throw this.#noAnswer(prefix);
      yield info;
    }
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#call(keys.join(), () => this.#store.delete(keys));
  }

  async close(): Promise<void> {}

  async #call<T>(key: string, action: () => Promise<T>): Promise<T> {
    if (!this.#isAlive()) throw this.#noAnswer(key);
    for (let i = this.#random.below(TURNS_MAX); i > 0; i--) await turn();
    if (this.#random.chance(this.#failing())) throw this.#noAnswer(key);
    const result = await action();
    for (let i = this.#random.below(TURNS_MAX); i > 0; i--) await turn();
    if (this.#random.chance(this.#failing())) throw this.#noAnswer(key);
    return result;
  }

  #noAnswer(key: string): StoreError {
    return new StoreError("unavailable", `${key}: no answer`, { ambiguous: true });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
