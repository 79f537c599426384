/**
 * Makes sure of "if absent", which all that gateways agree upon rests on (invariant 6): some S3 servers refuse the
 * condition, some pass over it in silence. So a bucket is put to the test before it is believed, once, when the first
 * conditional write is due.
 *
 * Where the bucket can't, the condition is replaced by a look before the write. That is enough for one gateway; of two
 * that race nothing keeps both from winning, and so whoever runs it is told.
 */
import type { Random } from "../platform/random.ts";
import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

/** Under which name a bucket is tried out. */
export const TRIAL_PREFIX = "trials/";
/** Writers of one key at the same time: one of them has to win. */
const RIVALS = 4;

/** Whether the store keeps a write "if absent" to what it says. Leaves nothing behind. Rejects with a StoreError. */
export async function hasConditionalWrites(store: ObjectStore, random: Random): Promise<boolean> {
  const key = `${TRIAL_PREFIX}${random.bytes(16).toString("hex")}`;
  try {
    const rivals = Array.from({ length: RIVALS }, (_, i) =>
      store.put(key, Buffer.from([i]), { ifAbsent: true }),
    );
    const answers = await Promise.all(rivals);
    if (answers.filter((answer) => answer === "created").length > 1) return false;
    return (await store.put(key, Buffer.from([RIVALS]), { ifAbsent: true })) === "exists";
  } catch (error) {
    if (error instanceof StoreError && error.kind === "unsupported") return false;
    throw error;
  } finally {
    await store.delete([key]);
  }
}

export class ConditionalStore implements ObjectStore {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #random: Random;
  readonly #onProblem: (message: string) => void;
  #trial: Promise<boolean> | undefined;

  constructor(store: ObjectStore, random: Random, onProblem: (message: string) => void) {
    this.name = store.name;
    this.#store = store;
    this.#random = random;
    this.#onProblem = onProblem;
  }

  async put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
    if (options?.ifAbsent !== true || (await this.#isConditional()))
      return this.#store.put(key, body, options);
    if ((await this.#store.head(key)) !== undefined) return "exists";
    return this.#store.put(key, body);
  }

  get(key: string, range?: ByteRange): Promise<Buffer> {
    return this.#store.get(key, range);
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

  /** Tries the bucket out, once; a trial that fails is made again by the next who needs it. */
  #isConditional(): Promise<boolean> {
    this.#trial ??= hasConditionalWrites(this.#store, this.#random).then(
      (isConditional) => {
        if (!isConditional)
          this.#onProblem(
            `${this.name} has no conditional writes: nothing keeps two gateways from writing the same volume. ` +
              "Use this bucket from one gateway only, and end it for good before you recover it elsewhere",
          );
        return isConditional;
      },
      (error: unknown) => {
        this.#trial = undefined;
        throw error;
      },
    );
    return this.#trial;
  }
}
