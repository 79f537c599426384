/**
 * The vault: everything under one prefix of a bucket, behind one object. It knows nothing of volumes being mounted.
 */
import { strict as assert } from "node:assert";
import type { ObjectStore } from "../objects/object-store.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { Fetcher } from "./fetcher.ts";
import { decodeIndex, encodeIndex, type PackDirectory } from "./index-object.ts";
import { KeyRing } from "./key-ring.ts";
import {
  INDEX_PREFIX,
  indexKey,
  PACKS_PREFIX,
  packIdOf,
  packKey,
  rootsPrefix,
  SNAPSHOTS_PREFIX,
  snapshotKey,
} from "./keys.ts";
import { Leases } from "./lease.ts";
import { type DirectoryEntry, PACK_TAIL_BYTES, PackReader } from "./pack.ts";
import { PACK_BYTES, PackWriter } from "./pack-writer.ts";
import { checkRoot, type Root } from "./root.ts";
import { ObjectSealer } from "./sealed-object.ts";
import { decodeSnapshot, encodeSnapshot, type SnapshotRecord } from "./snapshot-record.ts";
import { type EpochProgress, type EpochSource, type UploadedRoot, uploadEpoch } from "./upload.ts";
import { fromStoreError } from "./vault-error.ts";
import { type OpenedVault, openOrCreateVault, parseVault } from "./vault-json.ts";

export interface VaultOptions {
  readonly store: ObjectStore;
  /** The bytes of the key file: at least 32, random. */
  readonly keyFile: Buffer;
  /** Where the local chunk index is kept. */
  readonly indexPath: string;
  /** Who we are to the leases: the same after every restart of this gateway. */
  readonly ownerId: string;
  readonly random: Random;
  /** A copy of `vault.json`, so that the vault opens while the bucket gives no answer. */
  readonly cachedVaultJson?: Buffer;
}

const ROOTS_CACHED_MAX = 256;
const BLOCK_BYTES_DEFAULT = 64 * 1024;

export class Vault {
  readonly vaultId: string;
  /** `vault.json` as it was opened: for a local copy. */
  readonly vaultJson: Buffer;
  readonly #store: ObjectStore;
  readonly #keys: KeyRing;
  readonly #id: Buffer;
  readonly #random: Random;
  readonly #sealer: ObjectSealer;
  readonly #packReader: PackReader;
  readonly #index: ChunkIndex;
  readonly #fetcher: Fetcher;
  readonly #leases: Leases;
  readonly #roots = new Map<string, Root>();
  readonly #uploading = new Set<VolumeId>();
  readonly #fresh: boolean;
  #ready: Promise<void> | undefined;
  #publishing: Promise<void> = Promise.resolve();

  private constructor(options: VaultOptions, opened: OpenedVault) {
    this.vaultId = opened.vaultId.toString("hex");
    this.vaultJson = opened.json;
    this.#store = options.store;
    this.#id = opened.vaultId;
    this.#random = options.random;
    this.#keys = new KeyRing(opened.masterKey);
    this.#sealer = new ObjectSealer(this.#keys, opened.vaultId, options.random);
    this.#packReader = new PackReader(this.#keys, opened.vaultId);
    const { index, fresh } = ChunkIndex.open(options.indexPath, this.vaultId);
    this.#index = index;
    this.#fresh = fresh;
    this.#fetcher = new Fetcher(options.store, index, this.#keys, this.#packReader);
    this.#leases = new Leases(options.store, this.#sealer, options.ownerId);
  }

  /** Opens the vault, making a new one where there is none. Throws a VaultError where the key does not fit. */
  static async open(options: VaultOptions): Promise<Vault> {
    const opened =
      options.cachedVaultJson !== undefined
        ? parseVault(options.cachedVaultJson, options.keyFile)
        : await openOrCreateVault(options.store, options.keyFile, options.random, {
            blockBytes: BLOCK_BYTES_DEFAULT,
            packBytes: PACK_BYTES,
          });
    return new Vault(options, opened);
  }

  /** Uploads a closed epoch. Safe to repeat: a second run sends only what the first one did not. */
  async uploadEpoch(
    source: EpochSource,
    onProgress: (progress: EpochProgress) => void = () => {},
    signal?: AbortSignal,
  ): Promise<UploadedRoot> {
    await this.#whenReady();
    assert(!this.#uploading.has(source.volumeId));
    this.#uploading.add(source.volumeId);
    try {
      return await uploadEpoch(source, {
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
        }),
        readRoot: (key) => this.readRoot(key),
        publishIndex: () => this.#publishIndex(),
        onProgress,
        ...(signal && { signal }),
      });
    } finally {
      this.#uploading.delete(source.volumeId);
    }
  }

  /** The root of that key. */
  async readRoot(key: string): Promise<Root> {
    const known = this.#roots.get(key);
    if (known !== undefined) return known;
    let object: Buffer;
    try {
      object = await this.#store.get(key);
    } catch (error) {
      throw fromStoreError(error, `reading ${key}`);
    }
    const root = checkRoot(key, this.#sealer.unsealJson(key, object));
    if (this.#roots.size >= ROOTS_CACHED_MAX) this.#roots.clear();
    this.#roots.set(key, root);
    return root;
  }

  /** The content of blocks [first, first + count) as of the root, verified; beyond its size there are zeros. */
  async readBlocks(key: string, first: number, count: number): Promise<Buffer> {
    await this.#whenReady();
    const root = await this.readRoot(key);
    const inside = Math.max(0, Math.min(count, root.sizeBytes / root.blockBytes - first));
    const content = await this.#fetcher.blocks(root, first, inside);
    if (inside === count) return content;
    return Buffer.concat([content, Buffer.alloc((count - inside) * root.blockBytes)]);
  }

  /** Which of the blocks are not all zeros, ascending; no chunk is fetched for it. */
  async nonZeroBlocks(key: string, first: number, count: number): Promise<number[]> {
    await this.#whenReady();
    const root = await this.readRoot(key);
    const inside = Math.max(0, Math.min(count, root.sizeBytes / root.blockBytes - first));
    const names = await this.#fetcher.blockNames(root, first, inside);
    return names.flatMap((name, i) => (name === undefined ? [] : [first + i]));
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

  async listSnapshots(): Promise<SnapshotRecord[]> {
    const records: SnapshotRecord[] = [];
    try {
      for await (const { key } of this.#store.list(SNAPSHOTS_PREFIX)) {
        records.push(decodeSnapshot(key, this.#sealer.unsealJson(key, await this.#store.get(key))));
      }
    } catch (error) {
      throw fromStoreError(error, "listing the snapshots");
    }
    return records;
  }

  /** Keys of the volume's roots, oldest first. */
  async listRoots(volumeId: VolumeId): Promise<string[]> {
    const keys: string[] = [];
    try {
      for await (const { key } of this.#store.list(rootsPrefix(volumeId))) keys.push(key);
    } catch (error) {
      throw fromStoreError(error, `listing the roots of ${volumeId}`);
    }
    return keys;
  }

  close(): void {
    this.#index.close();
  }

  /** Resolves when the index can be relied on. A rebuild that fails is tried again by the next caller. */
  #whenReady(): Promise<void> {
    if (!this.#fresh) return Promise.resolve();
    this.#ready ??= this.#rebuildIndex().catch((error: unknown) => {
      this.#ready = undefined;
      throw fromStoreError(error, "rebuilding the chunk index");
    });
    return this.#ready;
  }

  async #rebuildIndex(): Promise<void> {
    for await (const { key } of this.#store.list(INDEX_PREFIX)) {
      const packs = decodeIndex(this.#sealer.unseal(key, await this.#store.get(key)));
      for (const { packId, entries } of packs) this.#index.addPack(packId, entries, true);
    }
    for await (const { key, sizeBytes } of this.#store.list(PACKS_PREFIX)) {
      const packId = packIdOf(key);
      if (packId === undefined || this.#index.hasPack(packId)) continue;
      this.#index.addPack(packId, await this.#readDirectory(packId, sizeBytes), false);
    }
    this.#index.markComplete(this.vaultId);
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
      const packIds = this.#index.unindexedPacks();
      if (packIds.length === 0) return;
      const packs: PackDirectory[] = packIds.map((packId) => ({
        packId,
        entries: this.#index.entriesOf(packId),
      }));
      const key = indexKey(this.#random.bytes(16).toString("hex"));
      try {
        await this.#store.put(key, this.#sealer.seal(key, encodeIndex(packs)));
      } catch (error) {
        throw fromStoreError(error, `writing ${key}`);
      }
      this.#index.markIndexed(packIds);
    });
    // The next one starts whether this one fails or not; its caller gets the failure.
    this.#publishing = publish.catch(() => {});
    return publish;
  }
}
