/**
 * Keeps the chunk index whole: rebuilds it from the bucket when it is new or damaged, enters what others have written,
 * and names new packs in index objects.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { type ChunkIndex, IndexDamagedError } from "./chunk-index.ts";
import { decodeIndex, encodeIndex, type PackDirectory } from "./index-object.ts";
import { INDEX_PREFIX, indexKey, PACKS_PREFIX, packIdOf, packKey } from "./keys.ts";
import { type DirectoryEntry, PACK_TAIL_BYTES, type PackReader } from "./pack.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { type OnProblem, tolerate } from "./tolerate.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** Packs that one index object names. */
const PACKS_PER_INDEX_MAX = 256;
/** Index objects below this size are small; more than so many of them are put together. */
const SMALL_INDEX_BYTES = 512 * 1024;
const SMALL_INDEXES_MAX = 32;
/** The bucket is not listed more often than this for records that are nowhere. */
const REFRESH_EVERY_MS = 10_000;

export interface IndexKeeperParts {
  readonly store: ObjectStore;
  readonly index: ChunkIndex;
  /** The index is empty and has to be rebuilt before it is used. */
  readonly isFresh: boolean;
  readonly sealer: ObjectSealer;
  readonly packReader: PackReader;
  readonly vaultId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: () => Promise<void>;
  readonly onProblem: OnProblem;
}

export class IndexKeeper {
  readonly #parts: IndexKeeperParts;
  #isFresh: boolean;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | undefined;
  #ready: Promise<void> | undefined;
  #publishing: Promise<void> = Promise.resolve();

  constructor(parts: IndexKeeperParts) {
    this.#parts = parts;
    this.#isFresh = parts.isFresh;
  }

  /** Does what needs the index, once it is whole. One that turns out to be damaged is made anew from the bucket. */
  async whole<T>(action: () => Promise<T>): Promise<T> {
    try {
      if (this.#isFresh) await this.#rebuilt();
      return await action();
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error;
      this.#parts.onProblem(`${error.message}: it is made anew from the bucket`);
      this.#parts.index.reset();
      this.#isFresh = true;
      this.#ready = undefined;
      throw new VaultError("unavailable", "the chunk index is being made anew", { cause: error });
    }
  }

  /** Resolves when the index is whole. A rebuild that fails is tried again by the next caller. */
  #rebuilt(): Promise<void> {
    const rebuild = async () => {
      try {
        await this.#enterUnknownPacks();
        this.#parts.index.markComplete(this.#parts.vaultId);
        this.#isFresh = false;
      } catch (error) {
        this.#ready = undefined;
        throw fromStoreError(error, "rebuilding the chunk index");
      }
    };
    this.#ready ??= rebuild();
    return this.#ready;
  }

  /** Looks for records that the index does not know; unless it is urgent, at most once in a while. */
  refresh(isUrgent = false): Promise<void> {
    if (this.#refreshing !== undefined) return this.#refreshing;
    if (!isUrgent && this.#parts.clock.monotonicMs() - this.#refreshedAtMs < REFRESH_EVERY_MS)
      return Promise.resolve();
    this.#refreshing = this.#enterUnknownPacks()
      .then(
        () => {
          this.#refreshedAtMs = this.#parts.clock.monotonicMs();
        },
        (error: unknown) => {
          throw fromStoreError(error, "refreshing the chunk index");
        },
      )
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Drops packs that are known here and gone from the bucket. */
  async dropLost(): Promise<void> {
    const there = await this.listPacks();
    const lost = this.#parts.index.packIds().filter((packId) => !there.has(packId));
    if (lost.length > 0) this.#parts.index.dropPacks(lost);
  }

  /** The packs in the bucket, with their sizes in bytes. */
  async listPacks(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    try {
      for await (const { key, sizeBytes } of this.#parts.store.list(PACKS_PREFIX)) {
        const packId = packIdOf(key);
        if (packId !== undefined) found.set(packId, sizeBytes);
      }
    } catch (error) {
      throw fromStoreError(error, "listing the packs");
    }
    return found;
  }

  /**
   * From index objects first: they name many packs each. Then from the packs that none of them names. A pack that an
   * index object names is believed only where it is in the bucket.
   */
  async #enterUnknownPacks(): Promise<void> {
    const { store, index, sealer, pause, onProblem } = this.#parts;
    const there = await this.listPacks();
    for await (const { key } of store.list(INDEX_PREFIX)) {
      await tolerate(onProblem, key, async () => {
        const packs = decodeIndex(sealer.unseal(key, await store.get(key)));
        for (const { packId, entries } of packs) {
          if (!there.has(packId)) continue;
          index.addPack(packId, entries, true);
          await pause();
        }
      });
    }
    for (const [packId, sizeBytes] of there) {
      if (index.hasPack(packId) || index.isDead(packId)) continue;
      await tolerate(onProblem, packKey(packId), async () => {
        index.addPack(packId, await this.#readDirectory(packId, sizeBytes), false);
      });
    }
  }

  async #readDirectory(packId: string, packBytes: number): Promise<DirectoryEntry[]> {
    let lengthBytes = Math.min(PACK_TAIL_BYTES, packBytes);
    for (;;) {
      const range = { offsetBytes: packBytes - lengthBytes, lengthBytes };
      const found = this.#parts.packReader.readDirectory(
        packId,
        await this.#parts.store.get(packKey(packId), range),
        packBytes,
      );
      if (Array.isArray(found)) return found;
      lengthBytes = found.needBytes;
    }
  }

  /**
   * Writes the index objects anew that name packs which are gone, and those that are small, as few. The new ones are
   * there before the old ones go.
   */
  async tidy(gone: ReadonlySet<string>): Promise<void> {
    const { store, sealer, onProblem, pause } = this.#parts;
    const packs = new Map<string, PackDirectory>();
    const old: string[] = [];
    let small = 0;
    const take = async (key: string, wants: (found: readonly PackDirectory[]) => boolean) => {
      await tolerate(onProblem, key, async () => {
        const found = decodeIndex(sealer.unseal(key, await store.get(key)));
        if (!wants(found)) return;
        for (const pack of found) if (!gone.has(pack.packId)) packs.set(pack.packId, pack);
        old.push(key);
      });
      await pause();
    };
    try {
      const objects: { key: string; sizeBytes: number }[] = [];
      for await (const object of store.list(INDEX_PREFIX)) objects.push(object);
      const isSmall = ({ sizeBytes }: { sizeBytes: number }) => sizeBytes < SMALL_INDEX_BYTES;
      small = objects.filter(isSmall).length;
      for (const object of objects) {
        const isMerged = isSmall(object) && small > SMALL_INDEXES_MAX;
        await take(object.key, (found) => isMerged || found.some(({ packId }) => gone.has(packId)));
      }
      const all = [...packs.values()];
      for (let at = 0; at < all.length; at += PACKS_PER_INDEX_MAX) {
        const key = indexKey(this.#parts.random.bytes(16).toString("hex"));
        await store.put(key, sealer.seal(key, encodeIndex(all.slice(at, at + PACKS_PER_INDEX_MAX))));
      }
      if (old.length > 0) await store.delete(old);
    } catch (error) {
      throw fromStoreError(error, "writing the index anew");
    }
  }

  /** Names all packs that no index object names yet in a new one. One at a time: two would name the same packs. */
  publish(): Promise<void> {
    const publish = this.#publishing.then(async () => {
      for (;;) {
        const packIds = this.#parts.index.unindexedPacks(PACKS_PER_INDEX_MAX);
        if (packIds.length === 0) return;
        const packs: PackDirectory[] = [];
        for (const packId of packIds) {
          packs.push({ packId, entries: this.#parts.index.entriesOf(packId) });
          await this.#parts.pause();
        }
        const key = indexKey(this.#parts.random.bytes(16).toString("hex"));
        try {
          await this.#parts.store.put(key, this.#parts.sealer.seal(key, encodeIndex(packs)));
        } catch (error) {
          throw fromStoreError(error, `writing ${key}`);
        }
        this.#parts.index.markIndexed(packIds);
      }
    });
    // The next one starts whether this one fails or not; its caller gets the failure.
    this.#publishing = publish.catch(() => {});
    return publish;
  }
}
