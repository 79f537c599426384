/**
 * The vault: everything under one prefix of a bucket, behind one object. It knows nothing of volumes being mounted.
 */
import { strict as assert } from "node:assert";
import type { ObjectStore } from "../objects/object-store.ts";
import { type Clock, nextTurn } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import type { Random } from "../platform/random.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import type { ByteLimit } from "../platform/token-bucket.ts";
import { BULK_LIMITS, type BulkLimits, BulkReader } from "./bulk-reader.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { type CollectionProgress, type CollectionReport, Collector } from "./collector.ts";
import { Cycles } from "./cycles.ts";
import { nextChanged } from "./difference.ts";
import { Fetcher } from "./fetcher.ts";
import { Footprints } from "./footprint.ts";
import { IndexKeeper } from "./index-keeper.ts";
import { KeyRing } from "./key-ring.ts";
import type { VaultSecret } from "./key-slots.ts";
import { VOLUMES_PREFIX, volumeOfRoot } from "./keys.ts";
import { Leases, type LostVolume } from "./lease.ts";
import { type NonZeroBlocks, nextNonZero } from "./map-search.ts";
import { Membership } from "./membership.ts";
import { PackReader } from "./pack.ts";
import { PackSource } from "./pack-source.ts";
import { PACK_BYTES, PackWriter } from "./pack-writer.ts";
import { Records } from "./records.ts";
import { type RootDescription, Roots } from "./roots.ts";
import { ObjectSealer } from "./sealed-object.ts";
import { CHAIN_LIMITS, type ChainLimits } from "./step-writer.ts";
import { tolerate } from "./tolerate.ts";
import { type EpochProgress, type EpochSource, type UploadedRoot, uploadEpoch } from "./upload.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";
import { type OpenedVault, openOrCreateVault } from "./vault-json.ts";
import {
  type VerificationProgress,
  type VerificationReport,
  Verifier,
  type VerifierParts,
} from "./verifier.ts";

export interface VaultOptions extends VaultSecret {
  readonly store: ObjectStore;
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
  /** What hydration fetches at a time. */
  readonly bulk?: BulkLimits;
  /** When a recovery point is a checkpoint again. */
  readonly chain?: ChainLimits;
  /** Called by long work between its pieces; it goes on when the answer resolves. */
  readonly pause?: () => Promise<void>;
  /** Called for an object that can't be used and was passed over. */
  readonly onProblem?: (message: string) => void;
}

/** What one gateway may send and fetch. */
export interface Bandwidth {
  readonly upload: ByteLimit;
  readonly download: ByteLimit;
}

const BLOCK_BYTES_DEFAULT = 64 * 1024;
/** Epochs of a gateway being uploaded at a time, and packs of all that are being sent: this bounds the memory. */
const UPLOADS_MAX = 3;
const PACKS_IN_FLIGHT_MAX = 4;

export class Vault {
  readonly vaultId: string;
  /** Snapshots, and what gateways tell of themselves. */
  readonly records: Records;
  /** How much roots take, and how they differ. */
  readonly footprints: Footprints;
  /** `vault.json` as it was opened: for a local copy. */
  readonly vaultJson: Buffer;
  readonly #store: ObjectStore;
  readonly #keys: KeyRing;
  readonly #id: Buffer;
  readonly #random: Random;
  readonly #ownerId: string;
  readonly #sealer: ObjectSealer;
  readonly #keeper: IndexKeeper;
  readonly #index: ChunkIndex;
  readonly #fetcher: Fetcher;
  readonly #bulk: BulkReader;
  readonly #leases: Leases;
  readonly #roots: Roots;
  readonly #chain: ChainLimits;
  readonly #packBytes: number;
  readonly #clock: Clock;
  readonly #pause: () => Promise<void>;
  readonly #onProblem: (message: string) => void;
  readonly #membership: Membership;
  readonly #collector: Collector;
  readonly #verifierParts: VerifierParts;
  readonly #collecting = new SerialQueue();
  readonly #uploading = new Set<VolumeId>();
  /** For each gateway its own: one whose line is limited must not keep the others waiting. */
  readonly #uploadPermits = new WeakMap<Bandwidth, Permits>();
  readonly #unlimitedPermits = new Permits(UPLOADS_MAX);
  readonly #sendPermits = new Permits(PACKS_IN_FLIGHT_MAX);
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  private constructor(options: VaultOptions, opened: OpenedVault) {
    this.vaultId = opened.vaultId.toString("hex");
    this.vaultJson = opened.json;
    this.#store = options.store;
    this.#id = opened.vaultId;
    this.#random = options.random;
    this.#ownerId = options.ownerId;
    this.#keys = new KeyRing(opened.masterKey);
    this.#sealer = new ObjectSealer(this.#keys, opened.vaultId, options.random);
    const { index, fresh } = ChunkIndex.open(options.indexPath, this.vaultId);
    this.#index = index;
    this.#clock = options.clock;
    this.#pause = options.pause ?? nextTurn;
    this.#onProblem = options.onProblem ?? (() => {});
    const packReader = new PackReader(this.#keys, opened.vaultId);
    this.#keeper = new IndexKeeper({
      store: options.store,
      index,
      isFresh: fresh,
      sealer: this.#sealer,
      packReader,
      vaultId: this.vaultId,
      clock: options.clock,
      random: options.random,
      pause: this.#pause,
      onProblem: this.#onProblem,
    });
    const source = new PackSource(options.store, index);
    this.#fetcher = new Fetcher(source, index, this.#keys, packReader, (isUrgent) =>
      this.#keeper.refresh(isUrgent),
    );
    const reading = { fetcher: this.#fetcher, source, index, keys: this.#keys, packs: packReader };
    this.#bulk = new BulkReader({ ...reading, pause: this.#pause, limits: options.bulk ?? BULK_LIMITS });
    const cycles = new Cycles(options.store, this.#sealer);
    this.#membership = new Membership(cycles, index, this.#keeper, options.ownerId);
    this.records = new Records(options.store, this.#sealer, options.ownerId, this.#onProblem);
    this.#roots = new Roots(options.store, this.#sealer, this.#onProblem);
    this.#chain = options.chain ?? CHAIN_LIMITS;
    this.#packBytes = options.packBytes ?? PACK_BYTES;
    this.#leases = new Leases(options.store, this.#sealer, options.ownerId);
    this.#verifierParts = {
      store: options.store,
      index,
      keeper: this.#keeper,
      keys: this.#keys,
      packReader,
      fetcher: this.#fetcher,
      roots: this.#roots,
      records: this.records,
      random: options.random,
      pause: this.#pause,
    };
    this.footprints = new Footprints({ ...this.#verifierParts, index, clock: options.clock });
    this.#collector = new Collector({
      store: options.store,
      index,
      keeper: this.#keeper,
      fetcher: this.#fetcher,
      roots: this.#roots,
      records: this.records,
      cycles,
      membership: this.#membership,
      packBytes: this.#packBytes,
      makeWriter: (onReference) => this.#packWriter(onReference),
      pause: this.#pause,
    });
  }

  /** Opens the vault, making a new one where the store is empty. Throws a VaultError where the key does not fit. */
  static async open(options: VaultOptions): Promise<Vault> {
    const defaults = { blockBytes: BLOCK_BYTES_DEFAULT, packBytes: PACK_BYTES };
    const { store, random, knownVaultId } = options;
    return new Vault(options, await openOrCreateVault(store, options, random, defaults, knownVaultId));
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

  async #upload(
    source: EpochSource,
    onProgress: (progress: EpochProgress) => void,
    signal: AbortSignal,
    limit: ByteLimit | undefined,
  ): Promise<UploadedRoot> {
    await this.#keeper.whole(() => this.#membership.ready());
    const references = this.#membership.begin(source.parentRootKey);
    let outcome: "done" | "failed" | "unsure" = "failed";
    try {
      const uploaded = await this.#keeper.whole(() =>
        uploadEpoch(source, {
          store: this.#store,
          sealer: this.#sealer,
          fetcher: this.#fetcher,
          leases: this.#leases,
          packs: this.#packWriter(
            (packId) => references.packs.add(packId),
            async (bytes) => {
              await limit?.take(bytes, { signal }).catch((error: unknown) => {
                throw new VaultError("unavailable", "the upload was stopped", { cause: error });
              });
            },
          ),
          roots: this.#roots,
          chain: this.#chain,
          publishIndex: () => this.#keeper.publish(),
          confirmWriter: () => this.#membership.confirm(),
          onRoot: () => {
            outcome = "unsure";
          },
          onProgress,
          pause: this.#pause,
          signal,
        }),
      );
      outcome = "done";
      return uploaded;
    } catch (error) {
      // Whatever of this is in the bucket, or comes there late, nobody counts on it.
      if (error instanceof VaultError && error.kind === "fenced") outcome = "done";
      throw error;
    } finally {
      this.#membership.end(source.volumeId, references, outcome);
    }
  }

  #packWriter(
    onReference: (packId: string) => void,
    mayUpload: (bytes: number) => Promise<void> = async () => {},
  ): PackWriter {
    return new PackWriter({
      store: this.#store,
      index: this.#index,
      keys: this.#keys,
      vaultId: this.#id,
      random: this.#random,
      sendPermits: this.#sendPermits,
      packBytes: this.#packBytes,
      mayUpload,
      onReference,
    });
  }

  /**
   * Deletes what no root needs, or with `isDryRun` only says what that would be. One at a time. Writers of `forget` are
   * gone for good and not waited for; one that is not finds out before its next root counts. Rejects with a
   * VaultError where it is not known what is needed, with nothing deleted.
   */
  collect(
    isDryRun: boolean,
    onProgress: (progress: CollectionProgress) => void = () => {},
    forget: readonly string[] = [],
  ): Promise<CollectionReport> {
    return this.#collecting.run(() =>
      this.#keeper.whole(() => this.#collector.collect(isDryRun, onProgress, forget)),
    );
  }

  /** Looks for damage; `samplePercent` of the packs are read. */
  verify(
    samplePercent: number,
    onProgress: (progress: VerificationProgress) => void = () => {},
  ): Promise<VerificationReport> {
    return this.#keeper.whole(() => new Verifier(this.#verifierParts).verify(samplePercent, onProgress));
  }

  /** Answers what a collection that another gateway has begun waits for. To be called now and then. */
  settle(): Promise<void> {
    return this.#keeper.whole(() => this.#membership.settle());
  }

  /** The content of blocks [first, first + count) as of the root, verified; beyond its size there are zeros. */
  async readBlocks(key: string, first: number, count: number, line?: Bandwidth): Promise<Buffer> {
    assert(first >= 0 && count >= 0);
    const view = await this.#roots.view(key);
    const { root } = view;
    const inside = Math.max(0, Math.min(count, root.sizeBytes / root.blockBytes - first));
    const mayFetch = async (bytes: number) => line?.download.take(bytes);
    const content = await this.#keeper.whole(() => this.#fetcher.blocks(view, first, inside, mayFetch));
    if (inside === count) return content;
    return Buffer.concat([content, Buffer.alloc((count - inside) * root.blockBytes)]);
  }

  /** The same for who reads all of a root, in order, and is waited for by nobody: see BulkReader. */
  async readInto(key: string, first: number, count: number, into: Buffer, line?: Bandwidth): Promise<void> {
    const view = await this.#roots.view(key);
    await this.#keeper.whole(() => this.#bulk.readInto(view, first, count, into, line?.download));
  }

  /** The blocks of [first, first + count) that are not all zeros, up to `max` of them; no chunk is fetched for it. */
  async nonZeroBlocks(key: string, first: number, count: number, max: number): Promise<NonZeroBlocks> {
    assert(first >= 0 && count >= 0 && max > 0);
    const view = await this.#roots.view(key);
    const { root } = view;
    const end = Math.min(first + count, root.sizeBytes / root.blockBytes);
    const found = await this.#keeper.whole(() => nextNonZero(this.#fetcher, view, first, end, max));
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
    return this.#keeper.whole(() => nextChanged(this.#fetcher, before, after, first, first + count, max));
  }

  /** Size of the root, and of its blocks. */
  async describeRoot(key: string): Promise<{ readonly sizeBytes: number; readonly blockBytes: number }> {
    const { sizeBytes, blockBytes } = (await this.#roots.view(key)).root;
    return { sizeBytes, blockBytes };
  }

  /** How much there is in the vault, as the local index has it. */
  describe = () => ({ vaultId: this.vaultId, store: this.#store.name, ...this.#index.figures() });

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

  /** Volumes with roots that nobody else writes. */
  async listOwnVolumes(): Promise<VolumeId[]> {
    return this.#leases.own(await this.listVolumes());
  }

  /**
   * The newest root of the volume whose map can be read; undefined where there is none. Those that were passed over are
   * told to `onProblem`.
   */
  async newestRoot(volumeId: VolumeId): Promise<RootDescription | undefined> {
    for (const root of (await this.listRoots(volumeId)).reverse()) {
      if (await this.#hasReadableMap(root.rootKey)) return root;
    }
    return undefined;
  }

  /** The root of that key, of whatever volume; undefined where there is none whose map can be read. */
  async readableRoot(rootKey: string): Promise<RootDescription | undefined> {
    const volumeId = volumeOfRoot(rootKey);
    if (volumeId === undefined) return undefined;
    const root = (await this.listRoots(volumeId)).find((each) => each.rootKey === rootKey);
    return root !== undefined && (await this.#hasReadableMap(rootKey)) ? root : undefined;
  }

  #hasReadableMap(rootKey: string): Promise<boolean> {
    return tolerate(this.#onProblem, rootKey, async () => {
      await this.nonZeroBlocks(rootKey, 0, 1, 1);
    });
  }

  /**
   * Gives the volume, which is ours or nobody's, a new generation: it begins anew from a root, with epochs that count
   * from the beginning again. Throws "fenced" where another gateway owns it.
   */
  renewLease(volumeId: VolumeId): Promise<void> {
    return this.#leases.renew(volumeId);
  }

  /** Makes this gateway the volume's only writer, whoever it was before; answers the lease's generation. */
  takeOver(volumeId: VolumeId): Promise<number> {
    return this.#leases.takeOver(volumeId);
  }

  /** Makes another the only writer of a volume that is ours, or nobody's. */
  giveLease(volumeId: VolumeId, ownerId: string): Promise<void> {
    return this.#leases.give(volumeId, ownerId);
  }

  /** Those of the volumes that another gateway has become the writer of. */
  lostVolumes(volumeIds: readonly VolumeId[]): Promise<LostVolume[]> {
    return this.#leases.lost(volumeIds);
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
    await this.#membership.leave().catch((error: unknown) => {
      // It stays on the list: the collection waits until this gateway is back.
      this.#onProblem(`this gateway stays on the list of writers: ${String(error)}`);
    });
    this.#index.close();
  }
}
