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

/**
 * A smaller range is fetched with what lies beside it, a stretch of the pack; so much of such stretches is kept. A
 * stretch goes on a little into the next one, for the range that begins at its end.
 */
const SMALL_BYTES = 32 * 1024;
const STRETCH_BYTES = 256 * 1024;
const STRETCHES_BYTES_MAX = 16 * 1024 * 1024;
/** Who goes through a pack from one end to the other gets twice as much each time, so many stretches at last. */
const STRETCHES_AT_A_TIME_MAX = 8;
/** The packs of which it is remembered how far somebody has come. */
const WALKS_MAX = 64;
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

/** Of whoever has no limit. */
export const NO_LIMIT: MayFetch = async () => {};

/** How far the last request for stretches of a pack went, and how many those were. */
interface Walk {
  readonly end: number;
  readonly count: number;
}

export class PackSource {
  readonly #store: ObjectStore;
  readonly #index: ChunkIndex;
  readonly #stretches = new RecentMap<Stretch>(STRETCHES_BYTES_MAX, ({ bytes }) => bytes.length);
  readonly #fetching = new Map<string, Promise<unknown>>();
  readonly #walks = new RecentMap<Walk>(WALKS_MAX);
  readonly #requests = new Permits(REQUESTS_MAX);

  constructor(store: ObjectStore, index: ChunkIndex) {
    this.#store = store;
    this.#index = index;
  }

  /** Bytes of the pack, the range among them. Rejects with MissingPack, ShortPack, or another VaultError. */
  async read(packId: string, range: ByteRange, mayFetch: MayFetch): Promise<Stretch> {
    if (range.lengthBytes > SMALL_BYTES) return this.readExactly(packId, range, mayFetch);
    const number = Math.floor(range.offsetBytes / STRETCH_BYTES);
    const find = () => {
      const there = this.#stretches.get(stretchKey(packId, number));
      const end = range.offsetBytes + range.lengthBytes;
      return there !== undefined && there.startBytes + there.bytes.length >= end ? there : undefined;
    };
    const known = find();
    if (known !== undefined) return known;
    const running = this.#fetching.get(stretchKey(packId, number));
    try {
      await (running ?? this.#fetchStretches(packId, number, range, mayFetch));
    } catch (error) {
      if (!(error instanceof ShortPack)) throw error;
    }
    // It was fetched for somebody else and is too short; or the pack is, and what is wanted may still be in it.
    return find() ?? this.readExactly(packId, range, mayFetch);
  }

  /** What was brought from there was not what it should be: the next one who wants it asks the bucket again. */
  forget(packId: string, offsetBytes: number): void {
    this.#stretches.delete(stretchKey(packId, Math.floor(offsetBytes / STRETCH_BYTES)));
  }

  /** Fetches the stretch of that number, in which the range begins, and those behind it that are likely wanted next. */
  #fetchStretches(packId: string, number: number, range: ByteRange, mayFetch: MayFetch): Promise<void> {
    const count = this.#countAt(packId, number, mayFetch);
    const keys = Array.from({ length: count }, (_, i) => stretchKey(packId, number + i));
    const fetching = this.#fetchSome(packId, number, count, range, mayFetch).finally(() => {
      for (const key of keys) if (this.#fetching.get(key) === fetching) this.#fetching.delete(key);
    });
    for (const key of keys) if (!this.#fetching.has(key)) this.#fetching.set(key, fetching);
    return fetching;
  }

  /** How many stretches to fetch. Where there is a limit, others wait for each byte: then one. */
  #countAt(packId: string, number: number, mayFetch: MayFetch): number {
    const last = this.#walks.get(packId);
    const goesOn = last !== undefined && number >= last.end && number < last.end + 2;
    const count = goesOn && mayFetch === NO_LIMIT ? Math.min(2 * last.count, STRETCHES_AT_A_TIME_MAX) : 1;
    this.#walks.set(packId, { end: number + count, count });
    return count;
  }

  async #fetchSome(
    packId: string,
    number: number,
    count: number,
    { offsetBytes, lengthBytes }: ByteRange,
    mayFetch: MayFetch,
  ): Promise<void> {
    const startBytes = number * STRETCH_BYTES;
    const wantedEnd = offsetBytes + lengthBytes;
    const end = startBytes + count * STRETCH_BYTES + SMALL_BYTES;
    const endBytes = Math.max(wantedEnd, Math.min(end, this.#index.endOf(packId)));
    const range = { offsetBytes: startBytes, lengthBytes: endBytes - startBytes };
    const { bytes } = await this.readExactly(packId, range, mayFetch);
    for (let i = 0; i < count; i++) {
      const part = bytes.subarray(i * STRETCH_BYTES, (i + 1) * STRETCH_BYTES + SMALL_BYTES);
      if (part.length === 0) return;
      // Each as bytes of its own: one that stays must not keep them all.
      const own = count === 1 ? part : Buffer.from(part);
      this.#stretches.set(stretchKey(packId, number + i), {
        startBytes: startBytes + i * STRETCH_BYTES,
        bytes: own,
      });
    }
  }

  /** The same, and just these bytes. */
  async readExactly(packId: string, range: ByteRange, mayFetch: MayFetch): Promise<Stretch> {
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

function stretchKey(packId: string, number: number): string {
  return `${packId} ${number}`;
}
