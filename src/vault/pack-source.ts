/**
 * Brings bytes of packs from the bucket. Pages and deltas are small and lie in the order of their blocks: who wants one
 * most often wants those beside it next, so they come by stretches, which are kept for a while.
 */
import { type ByteRange, type ObjectStore, StoreError } from "../objects/object-store.ts";
import { Permits } from "../platform/permits.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { packKey } from "./keys.ts";
import { RecentMap } from "./recent-map.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** A smaller range is fetched with what lies beside it, a stretch of the pack; so much of such stretches is kept. */
const SMALL_BYTES = 32 * 1024;
const STRETCH_BYTES = 256 * 1024;
const STRETCHES_BYTES_MAX = 16 * 1024 * 1024;
/** Requests to the bucket at a time. */
const REQUESTS_MAX = 16;

/** Resolves when so many bytes may be fetched. */
export type MayFetch = (bytes: number) => Promise<void>;

/** Bytes of a pack, and where they begin in it. */
export interface Stretch {
  readonly startBytes: number;
  readonly bytes: Buffer;
}

/** The index names a pack that is not in the bucket. */
export class MissingPack extends VaultError {
  readonly packId: string;

  constructor(packId: string) {
    super("notFound", `pack ${packId} is not in the bucket`);
    this.packId = packId;
  }
}

/** A pack ends before a record that it should have. */
export class ShortPack extends VaultError {
  constructor(packId: string, cause: StoreError) {
    super("corrupt", `pack ${packId} is cut short: ${cause.message}`, { cause });
  }
}

export class PackSource {
  readonly #store: ObjectStore;
  readonly #index: ChunkIndex;
  readonly #stretches = new RecentMap<Stretch>(STRETCHES_BYTES_MAX, ({ bytes }) => bytes.length);
  readonly #fetching = new Map<string, Promise<Stretch>>();
  readonly #requests = new Permits(REQUESTS_MAX);

  constructor(store: ObjectStore, index: ChunkIndex) {
    this.#store = store;
    this.#index = index;
  }

  /** Bytes of the pack, the range among them. Rejects with MissingPack, ShortPack, or another VaultError. */
  async read(packId: string, range: ByteRange, mayFetch: MayFetch): Promise<Stretch> {
    if (range.lengthBytes > SMALL_BYTES) return this.#exactly(packId, range, mayFetch);
    const key = stretchKey(packId, range.offsetBytes);
    const covers = ({ startBytes, bytes }: Stretch) =>
      startBytes + bytes.length >= range.offsetBytes + range.lengthBytes;
    const there = this.#stretches.get(key);
    if (there !== undefined && covers(there)) return there;
    let running = this.#fetching.get(key);
    if (running === undefined) {
      running = this.#fetchStretch(packId, range, key, mayFetch).finally(() => this.#fetching.delete(key));
      this.#fetching.set(key, running);
    }
    const stretch = await running.catch((error: unknown) => {
      if (!(error instanceof ShortPack)) throw error;
      return undefined;
    });
    if (stretch !== undefined && covers(stretch)) return stretch;
    // It was fetched for somebody else and is too short; or the pack is, and what is wanted may still be in it.
    return this.#exactly(packId, range, mayFetch);
  }

  /** What was brought from there was not what it should be: the next one who wants it asks the bucket again. */
  forget(packId: string, offsetBytes: number): void {
    this.#stretches.delete(stretchKey(packId, offsetBytes));
  }

  async #fetchStretch(
    packId: string,
    { offsetBytes, lengthBytes }: ByteRange,
    key: string,
    mayFetch: MayFetch,
  ): Promise<Stretch> {
    const startBytes = offsetBytes - (offsetBytes % STRETCH_BYTES);
    const endBytes = Math.max(
      offsetBytes + lengthBytes,
      Math.min(startBytes + STRETCH_BYTES, this.#index.endOf(packId)),
    );
    const range = { offsetBytes: startBytes, lengthBytes: endBytes - startBytes };
    const stretch = await this.#exactly(packId, range, mayFetch);
    this.#stretches.set(key, stretch);
    return stretch;
  }

  async #exactly(packId: string, range: ByteRange, mayFetch: MayFetch): Promise<Stretch> {
    // Whoever waits for his turn under a limit holds no permit.
    await mayFetch(range.lengthBytes);
    try {
      const bytes = await this.#requests.run(() => this.#store.get(packKey(packId), range));
      return { startBytes: range.offsetBytes, bytes };
    } catch (error) {
      if (error instanceof StoreError && error.kind === "notFound") throw new MissingPack(packId);
      if (error instanceof StoreError && error.kind === "invalid") throw new ShortPack(packId, error);
      throw fromStoreError(error, `reading pack ${packId}`);
    }
  }
}

function stretchKey(packId: string, offsetBytes: number): string {
  return `${packId} ${Math.floor(offsetBytes / STRETCH_BYTES)}`;
}
