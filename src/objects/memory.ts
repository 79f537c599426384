import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

/** A bucket in memory: for tests and simulations. */
export class MemoryStore implements ObjectStore {
  readonly name = "memory";
  readonly #objects = new Map<string, Buffer>();

  async put(key: string, body: Buffer, options: PutOptions = {}): Promise<"created" | "exists"> {
    if (options.ifAbsent === true && this.#objects.has(key)) return "exists";
    this.#objects.set(key, Buffer.from(body));
    return "created";
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    const object = this.#objects.get(key);
    if (object === undefined) throw new StoreError("notFound", `${key} is not there`);
    if (range === undefined) return Buffer.from(object);
    const end = range.offsetBytes + range.lengthBytes;
    if (end > object.length) throw new StoreError("invalid", `${key} ends before byte ${end}`);
    return Buffer.from(object.subarray(range.offsetBytes, end));
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const object = this.#objects.get(key);
    return object === undefined ? undefined : { key, sizeBytes: object.length };
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix));
    for (const key of keys.sort(compareKeys)) {
      const object = this.#objects.get(key);
      if (object !== undefined) yield { key, sizeBytes: object.length };
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#objects.delete(key);
  }

  async close(): Promise<void> {}
}

/** The order of keys in a bucket: that of their bytes. Keys are ASCII, so code units do. */
export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
