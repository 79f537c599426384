/**
 * The vault: everything under one prefix of a bucket, behind one object. It knows nothing of volumes being mounted.
 */
import { strict as assert } from "node:assert";
import type { ObjectStore } from "../objects/object-store.ts";
import { type Clock, nextTurn } from "../platform/clock.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import type { Random } from "../platform/random.ts";
import type { TokenBucket } from "../platform/token-bucket.ts";
import { ChunkIndex, IndexDamagedError } from "./chunk-index.ts";
import { differences } from "./difference.ts";
import { Fetcher } from "./fetcher.ts";
import { decodeIndex, encodeIndex, type PackDirectory } from "./index-object.ts";
import { KeyRing } from "./key-ring.ts";
import {
  CATALOGS_PREFIX,
  catalogKey,
  INDEX_PREFIX,
  indexKey,
  PACKS_PREFIX,
  packIdOf,
  packKey,
  SNAPSHOTS_PREFIX,
  snapshotKey,
  VOLUMES_PREFIX,
  volumeOfRoot,
} from "./keys.ts";
import { Leases } from "./lease.ts";
import { type NonZeroBlocks, nextNonZero } from "./map-search.ts";
import { type DirectoryEntry, PACK_TAIL_BYTES, PackReader } from "./pack.ts";
import { PACK_BYTES, PackWriter } from "./pack-writer.ts";
import { type RootDescription, Roots } from "./roots.ts";
import { ObjectSealer } from "./sealed-object.ts";
import { decodeSnapshot, encodeSnapshot, type SnapshotRecord } from "./snapshot-record.ts";
import { CHAIN_LIMITS, type ChainLimits } from "./step-writer.ts";
import { type EpochProgress, type EpochSource, type UploadedRoot, uploadEpoch } from "./upload.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";
import { type OpenedVault, openOrCreateVault } from "./vault-json.ts";

export interface VaultOptions {
  readonly store: ObjectStore;
  /** The bytes of the key file: at least 32, random. */
  readonly keyFile: Buffer;
  /** Where the local chunk index is kept. */
  readonly indexPath: string;
  /** Who we are to the leases: the same after every restart of this gateway. */
  readonly ownerId: string;
  readonly random: Random;
  readonly clock: Clock;
  /** The vault that this gateway was at before, if it was: it opens that one or none. */
  readonly knownVaultId?: string;
  /** How large packs become. */
  readonly packBytes?: number;
  /** When a recovery point is a checkpoint again. */
  readonly chain?: ChainLimits;
  /** Called by long work between its pieces; it goes on when the answer resolves. */
  readonly pause?: () => Promise<void>;
  /** Called for an object that can't be used and was passed over. */
  readonly onProblem?: (message: string) => void;
}

/** What one gateway may send and fetch. */
export interface Bandwidth {
  readonly upload: TokenBucket;
  readonly download: TokenBucket;
}

const BLOCK_BYTES_DEFAULT = 64 * 1024;
/** Epochs of a gateway being uploaded at a time, and packs of all that are being sent: this bounds the memory. */
const UPLOADS_MAX = 3;
const PACKS_IN_FLIGHT_MAX = 4;
/** Packs that one index object names. */
const PACKS_PER_INDEX_MAX = 256;
/** The bucket is not listed more often than this for records that are nowhere. */
const REFRESH_EVERY_MS = 10_000;

export class Vault {
  readonly vaultId: string;
  /** `vault.json` as it was opened: for a local copy. */
  readonly vaultJson: Buffer;
  readonly #store: ObjectStore;
  readonly #keys: KeyRing;
  readonly #id: Buffer;
  readonly #random: Random;
  readonly #ownerId: string;
  readonly #sealer: ObjectSealer;
  readonly #packReader: PackReader;
  readonly #index: ChunkIndex;
  readonly #fetcher: Fetcher;
  readonly #leases: Leases;
  readonly #roots: Roots;
  readonly #chain: ChainLimits;
  readonly #packBytes: number;
  readonly #clock: Clock;
  readonly #pause: () => Promise<void>;
  readonly #onProblem: (message: string) => void;
  readonly #uploading = new Set<VolumeId>();
  /** For each gateway its own: one whose line is limited must not keep the others waiting. */
  readonly #uploadPermits = new WeakMap<Bandwidth, Permits>();
  readonly #unlimitedPermits = new Permits(UPLOADS_MAX);
  readonly #sendPermits = new Permits(PACKS_IN_FLIGHT_MAX);
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #fresh: boolean;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | undefined;
  #ready: Promise<void> | undefined;
  #publishing: Promise<void> = Promise.resolve();

  private constructor(options: VaultOptions, opened: OpenedVault) {
    this.vaultId = opened.vaultId.toString("hex");
    this.vaultJson = opened.json;
    this.#store = options.store;
    this.#id = opened.vaultId;
    this.#random = options.random;
    this.#ownerId = options.ownerId;
    this.#keys = new KeyRing(opened.masterKey);
    this.#sealer = new ObjectSealer(this.#keys, opened.vaultId, options.random);
    this.#packReader = new PackReader(this.#keys, opened.vaultId);
    const { index, fresh } = ChunkIndex.open(options.indexPath, this.vaultId);
    this.#index = index;
    this.#fresh = fresh;
    this.#clock = options.clock;
    this.#pause = options.pause ?? nextTurn;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#fetcher = new Fetcher(options.store, index, this.#keys, this.#packReader, () => this.#refresh());
    this.#roots = new Roots(options.store, this.#sealer, this.#onProblem);
    this.#chain = options.chain ?? CHAIN_LIMITS;
    this.#packBytes = options.packBytes ?? PACK_BYTES;
    this.#leases = new Leases(options.store, this.#sealer, options.ownerId);
  }

  /** Opens the vault, making a new one where the store is empty. Throws a VaultError where the key does not fit. */
  static async open(options: VaultOptions): Promise<Vault> {
    const defaults = { blockBytes: BLOCK_BYTES_DEFAULT, packBytes: PACK_BYTES };
    const { store, keyFile, random, knownVaultId } = options;
    return new Vault(options, await openOrCreateVault(store, keyFile, random, defaults, knownVaultId));
  }

  /** Uploads a closed epoch. Safe to repeat: a second run sends only what the first one did not. */
  async uploadEpoch(
    source: EpochSource,
    onProgress: (progress: EpochProgress) => void = () => {},
    signal?: AbortSignal,
    bandwidth?: Bandwidth,
  ): Promise<UploadedRoot> {
    assert(!this.#uploading.has(source.volumeId));
    this.#uploading.add(source.volumeId);
    const stop =
      signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    const permits = this.#permitsOf(bandwidth);
    const upload = permits.run(() => this.#upload(source, onProgress, stop, bandwidth?.upload));
    this.#running.add(upload);
    try {
      return await upload;
    } finally {
      this.#running.delete(upload);
      this.#uploading.delete(source.volumeId);
    }
  }

  #permitsOf(bandwidth: Bandwidth | undefined): Permits {
    if (bandwidth === undefined) return this.#unlimitedPermits;
    let permits = this.#uploadPermits.get(bandwidth);
    if (permits === undefined) {
      permits = new Permits(UPLOADS_MAX);
      this.#uploadPermits.set(bandwidth, permits);
    }
    return permits;
  }

  #upload(
    source: EpochSource,
    onProgress: (progress: EpochProgress) => void,
    signal: AbortSignal,
    limit: TokenBucket | undefined,
  ): Promise<UploadedRoot> {
    return this.#withIndex(() =>
      uploadEpoch(source, {
        store: this.#store,
        sealer: this.#sealer,
        fetcher: this.#fetcher,
        leases: this.#leases,
        packs: new PackWriter({
          store: this.#store,
          index: this.#index,
          keys: this.#keys,
          vaultId: this.#id,
          random: this.#random,
          sendPermits: this.#sendPermits,
          packBytes: this.#packBytes,
          mayUpload: async (bytes) => {
            await limit?.take(bytes, { signal }).catch((error: unknown) => {
              throw new VaultError("unavailable", "the upload was stopped", { cause: error });
            });
          },
        }),
        roots: this.#roots,
        chain: this.#chain,
        publishIndex: () => this.#publishIndex(),
        onProgress,
        pause: this.#pause,
        signal,
      }),
    );
  }

  /** The content of blocks [first, first + count) as of the root, verified; beyond its size there are zeros. */
  async readBlocks(
    key: string,
    first: number,
    count: number,
    bandwidth?: Bandwidth,
    isBackground = false,
  ): Promise<Buffer> {
    assert(first >= 0 && count >= 0);
    const view = await this.#roots.view(key);
    const { root } = view;
    const inside = Math.max(0, Math.min(count, root.sizeBytes / root.blockBytes - first));
    const mayFetch = async (bytes: number) => bandwidth?.download.take(bytes, { isBackground });
    const content = await this.#withIndex(() => this.#fetcher.blocks(view, first, inside, mayFetch));
    if (inside === count) return content;
    return Buffer.concat([content, Buffer.alloc((count - inside) * root.blockBytes)]);
  }

  /** The blocks of [first, first + count) that are not all zeros, up to `max` of them; no chunk is fetched for it. */
  async nonZeroBlocks(key: string, first: number, count: number, max: number): Promise<NonZeroBlocks> {
    assert(first >= 0 && count >= 0 && max > 0);
    const view = await this.#roots.view(key);
    const { root } = view;
    const end = Math.min(first + count, root.sizeBytes / root.blockBytes);
    const found = await this.#withIndex(() => nextNonZero(this.#fetcher, view, first, end, max));
    // Beyond the root's size there are zeros.
    return found.end < end ? found : { blocks: found.blocks, end: first + count };
  }

  /**
   * The blocks of [first, first + count) whose content is not the same in both roots, up to `max` of them; `end` is how
   * far the search has come. In time proportional to what differs; no chunk is fetched for it.
   */
  async changedBlocks(
    beforeKey: string | undefined,
    afterKey: string,
    first: number,
    count: number,
    max: number,
  ): Promise<{ readonly blocks: number[]; readonly end: number }> {
    assert(first >= 0 && count >= 0 && max > 0);
    const before = beforeKey === undefined ? undefined : await this.#roots.view(beforeKey);
    const after = await this.#roots.view(afterKey);
    if (before !== undefined && before.root.blockBytes !== after.root.blockBytes)
      throw new VaultError("corrupt", `${beforeKey} and ${afterKey} have blocks of different sizes`);
    return this.#withIndex(async () => {
      const blocks: number[] = [];
      for await (const { block } of differences(this.#fetcher, before, after, first, first + count)) {
        blocks.push(block);
        if (blocks.length >= max) return { blocks, end: block + 1 };
      }
      return { blocks, end: first + count };
    });
  }

  async putSnapshot(record: SnapshotRecord): Promise<void> {
    const key = snapshotKey(record.snapshotId);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, encodeSnapshot(record)));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  async deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    try {
      await this.#store.delete([snapshotKey(snapshotId)]);
    } catch (error) {
      throw fromStoreError(error, `deleting ${snapshotKey(snapshotId)}`);
    }
  }

  /** All snapshots whose records can be read; those that can't are told to `onProblem` and left out. */
  async listSnapshots(): Promise<SnapshotRecord[]> {
    const records: SnapshotRecord[] = [];
    try {
      for await (const { key } of this.#store.list(SNAPSHOTS_PREFIX)) {
        await this.#tolerate(key, async () => {
          records.push(decodeSnapshot(key, this.#sealer.unsealJson(key, await this.#store.get(key))));
        });
      }
    } catch (error) {
      throw fromStoreError(error, "listing the snapshots");
    }
    return records;
  }

  /** Keeps what this gateway tells of itself, in place of what it told before. */
  async putCatalog(catalog: unknown): Promise<void> {
    const key = catalogKey(this.#ownerId);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, { format: 1, catalog }));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  /** What all gateways have told of themselves, by their owner ids. What can't be read is told to `onProblem`. */
  async listCatalogs(): Promise<{ readonly ownerId: string; readonly catalog: unknown }[]> {
    const found: { ownerId: string; catalog: unknown }[] = [];
    try {
      for await (const { key } of this.#store.list(CATALOGS_PREFIX)) {
        await this.#tolerate(key, async () => {
          const value = this.#sealer.unsealJson(key, await this.#store.get(key));
          const { format, catalog } = (value ?? {}) as { format?: unknown; catalog?: unknown };
          if (format !== 1)
            throw new VaultError("unknownFormat", `${key}: format ${String(format)} is not known here`);
          found.push({ ownerId: key.slice(CATALOGS_PREFIX.length), catalog });
        });
      }
    } catch (error) {
      throw fromStoreError(error, "listing the catalogs");
    }
    return found;
  }

  /** Forgets what a gateway has told of itself. */
  async deleteCatalog(ownerId: string): Promise<void> {
    try {
      await this.#store.delete([catalogKey(ownerId)]);
    } catch (error) {
      throw fromStoreError(error, `deleting ${catalogKey(ownerId)}`);
    }
  }

  /** Every volume that has a root. */
  async listVolumes(): Promise<VolumeId[]> {
    const found = new Set<VolumeId>();
    try {
      for await (const { key } of this.#store.list(VOLUMES_PREFIX)) {
        const volumeId = volumeOfRoot(key);
        if (volumeId !== undefined) found.add(volumeId);
      }
    } catch (error) {
      throw fromStoreError(error, "listing the volumes");
    }
    return [...found];
  }

  /**
   * The newest root of the volume whose map can be read; undefined where there is none. Those that were passed over are
   * told to `onProblem`.
   */
  async newestRoot(volumeId: VolumeId): Promise<RootDescription | undefined> {
    for (const root of (await this.listRoots(volumeId)).reverse()) {
      let found = false;
      await this.#tolerate(root.rootKey, async () => {
        await this.nonZeroBlocks(root.rootKey, 0, 1, 1);
        found = true;
      });
      if (found) return root;
    }
    return undefined;
  }

  /** Makes this gateway the volume's only writer, whoever it was before; answers the lease's generation. */
  takeOver(volumeId: VolumeId): Promise<number> {
    return this.#leases.takeOver(volumeId);
  }

  /** Rejects with "fenced" where another gateway has become the volume's writer. */
  checkLease(volumeId: VolumeId): Promise<void> {
    return this.#leases.check(volumeId);
  }

  /** The volume's roots, oldest first. One that can't be read is told to `onProblem` and left out. */
  async listRoots(volumeId: VolumeId): Promise<RootDescription[]> {
    const roots = await this.#roots.list(volumeId);
    return roots.flatMap(({ description }) => (description === undefined ? [] : [description]));
  }

  /**
   * Deletes roots of the volume; what only they reached stays until it is collected. Rejects ("inUse"), with nothing
   * deleted, where another root stands on one of them, or may: one that can't be read could stand on any before it.
   */
  deleteRoots(volumeId: VolumeId, keys: readonly string[]): Promise<void> {
    return this.#roots.delete(volumeId, keys);
  }

  /** Stops the uploads under way, waits until they have ended, and lets go of the index. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#running);
    this.#index.close();
  }

  /** Does what needs the index, once it is whole. One that turns out to be damaged is made anew from the bucket. */
  async #withIndex<T>(action: () => Promise<T>): Promise<T> {
    try {
      if (this.#fresh) await this.#rebuilt();
      return await action();
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error;
      this.#onProblem(`${error.message}: it is made anew from the bucket`);
      this.#index.reset();
      this.#fresh = true;
      this.#ready = undefined;
      throw new VaultError("unavailable", "the chunk index is being made anew", { cause: error });
    }
  }

  /** Resolves when the index is whole. A rebuild that fails is tried again by the next caller. */
  #rebuilt(): Promise<void> {
    const rebuild = async () => {
      try {
        await this.#enterUnknownPacks();
        this.#index.markComplete(this.vaultId);
        this.#fresh = false;
      } catch (error) {
        this.#ready = undefined;
        throw fromStoreError(error, "rebuilding the chunk index");
      }
    };
    this.#ready ??= rebuild();
    return this.#ready;
  }

  /** Looks for records that the index does not know; at most once in a while. */
  #refresh(): Promise<void> {
    if (this.#refreshing !== undefined) return this.#refreshing;
    if (this.#clock.monotonicMs() - this.#refreshedAtMs < REFRESH_EVERY_MS) return Promise.resolve();
    this.#refreshing = this.#enterUnknownPacks()
      .then(
        () => {
          this.#refreshedAtMs = this.#clock.monotonicMs();
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

  /** From index objects first: they name many packs each. Then from the packs that none of them names. */
  async #enterUnknownPacks(): Promise<void> {
    for await (const { key } of this.#store.list(INDEX_PREFIX)) {
      await this.#tolerate(key, async () => {
        const packs = decodeIndex(this.#sealer.unseal(key, await this.#store.get(key)));
        for (const { packId, entries } of packs) {
          this.#index.addPack(packId, entries, true);
          await this.#pause();
        }
      });
    }
    for await (const { key, sizeBytes } of this.#store.list(PACKS_PREFIX)) {
      const packId = packIdOf(key);
      if (packId === undefined || this.#index.hasPack(packId)) continue;
      await this.#tolerate(key, async () => {
        this.#index.addPack(packId, await this.#readDirectory(packId, sizeBytes), false);
      });
    }
  }

  /** One object that is rotten, of a newer format, or just gone must not keep all others from being read. */
  async #tolerate(key: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (cause) {
      const error = fromStoreError(cause, `reading ${key}`);
      const passable = ["corrupt", "unknownFormat", "notFound"];
      if (!(error instanceof VaultError) || !passable.includes(error.kind)) throw error;
      this.#onProblem(`${key} was passed over: ${error.message}`);
    }
  }

  async #readDirectory(packId: string, packBytes: number): Promise<DirectoryEntry[]> {
    let lengthBytes = Math.min(PACK_TAIL_BYTES, packBytes);
    for (;;) {
      const range = { offsetBytes: packBytes - lengthBytes, lengthBytes };
      const found = this.#packReader.readDirectory(
        packId,
        await this.#store.get(packKey(packId), range),
        packBytes,
      );
      if (Array.isArray(found)) return found;
      lengthBytes = found.needBytes;
    }
  }

  /** Names all packs that no index object names yet in a new one. One at a time: two would name the same packs. */
  #publishIndex(): Promise<void> {
    const publish = this.#publishing.then(async () => {
      for (;;) {
        const packIds = this.#index.unindexedPacks(PACKS_PER_INDEX_MAX);
        if (packIds.length === 0) return;
        const packs: PackDirectory[] = [];
        for (const packId of packIds) {
          packs.push({ packId, entries: this.#index.entriesOf(packId) });
          await this.#pause();
        }
        const key = indexKey(this.#random.bytes(16).toString("hex"));
        try {
          await this.#store.put(key, this.#sealer.seal(key, encodeIndex(packs)));
        } catch (error) {
          throw fromStoreError(error, `writing ${key}`);
        }
        this.#index.markIndexed(packIds);
      }
    });
    // The next one starts whether this one fails or not; its caller gets the failure.
    this.#publishing = publish.catch(() => {});
    return publish;
  }
}
