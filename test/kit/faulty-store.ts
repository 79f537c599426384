import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "../../src/objects/object-store.ts";

export type StoreCall = "put" | "get" | "head" | "list" | "delete";

/** What is to go wrong with one call: before it has its effect, or after it. */
export type Fault = "before" | "after" | undefined;

/** A store on which calls fail when the test says so, as a network does. */
export class FaultyStore implements ObjectStore {
  readonly name = "faulty";
  readonly #store: ObjectStore;
  /** Asked at every call. */
  fault: (call: StoreCall, key: string) => Fault = () => undefined;
  /** Calls so far. */
  readonly calls: Record<StoreCall, number> = { put: 0, get: 0, head: 0, list: 0, delete: 0 };
  putBytes = 0;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    this.putBytes += body.length;
    return this.#run("put", key, () => this.#store.put(key, body, options));
  }

  get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#run("get", key, () => this.#store.get(key, range));
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#run("head", key, () => this.#store.head(key));
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    await this.#run("list", prefix, async () => {});
    yield* this.#store.list(prefix);
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#run("delete", keys.join(), () => this.#store.delete(keys));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #run<T>(call: StoreCall, key: string, action: () => Promise<T>): Promise<T> {
    this.calls[call] += 1;
    const fault = this.fault(call, key);
    if (fault === "before")
      throw new StoreError("unavailable", `${call} ${key}: no answer`, { ambiguous: true });
    const result = await action();
    if (fault === "after")
      throw new StoreError("unavailable", `${call} ${key}: no answer`, { ambiguous: true });
    return result;
  }
}
