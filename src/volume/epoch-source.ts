/** A closed epoch as the vault reads it: its dirty blocks, wherever they lie on the local disks. */
import type { Disk, DiskFile } from "../platform/disk.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import type { EpochSource } from "../vault/upload.ts";
import type { SlotLocation } from "./cached-volume.ts";
import { DirtyMap } from "./dirty-map.ts";
import { ALL_PIECES, BLOCK_BYTES, PIECE_BYTES } from "./geometry.ts";

/** One upload, as the data worker orders it from the backup worker. */
export interface UploadOrder {
  readonly volumeId: VolumeId;
  /** Whose line is used. */
  readonly gatewayId: GatewayId;
  readonly epoch: number;
  readonly cutAtMs: number;
  /** A snapshot is a checkpoint; a moment without a name may be a step. */
  readonly kind: "checkpoint" | "step";
  readonly sizeBytes: number;
  readonly dirtyPath: string;
  readonly parentRootKey?: string;
  /** The disk of a stored volume; a cached one is asked where its slots are. */
  readonly diskPath?: string;
}

export interface EpochReaders {
  /** Where a cached volume keeps its version of the blocks. */
  locate(volumeId: VolumeId, epoch: number, blocks: readonly number[]): Promise<readonly SlotLocation[]>;
  /** A block as of a root: what a slot does not hold of it. */
  readBase(rootKey: string, block: number): Promise<Buffer>;
}

/** Blocks read in one go: 4 MiB. */
const BATCH_BLOCKS = 64;

export class LocalEpoch implements EpochSource {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly kind: "checkpoint" | "step";
  readonly sizeBytes: number;
  readonly blockBytes = BLOCK_BYTES;
  readonly parentRootKey?: string;
  readonly dirtyBlockCount: number;
  readonly #order: UploadOrder;
  readonly #disk: Disk;
  readonly #readers: EpochReaders;
  readonly #dirty: DirtyMap;
  readonly #files = new Map<string, DiskFile>();

  constructor(order: UploadOrder, disk: Disk, readers: EpochReaders) {
    this.#order = order;
    this.#disk = disk;
    this.#readers = readers;
    this.volumeId = order.volumeId;
    this.epoch = order.epoch;
    this.cutAtMs = order.cutAtMs;
    this.kind = order.kind;
    this.sizeBytes = order.sizeBytes;
    if (order.parentRootKey !== undefined) this.parentRootKey = order.parentRootKey;
    this.#dirty = DirtyMap.open(disk, order.dirtyPath, order.sizeBytes / BLOCK_BYTES);
    this.dirtyBlockCount = this.#dirty.dirtyBlocks;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    let batch: number[] = [];
    for (const block of this.#dirty.blocks()) {
      batch.push(block);
      if (batch.length < BATCH_BLOCKS) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  dirtyPieces(block: number): number {
    return this.#dirty.mask(block);
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    const { diskPath } = this.#order;
    if (diskPath === undefined) await this.#readSlots(blocks, into);
    else this.#readDisk(this.#file(diskPath), blocks, into);
  }

  /** Lets go of the files. */
  close(): void {
    this.#dirty.close();
    for (const file of this.#files.values()) file.close();
  }

  /** Neighbours on the disk are read together. */
  #readDisk(file: DiskFile, blocks: readonly number[], into: Buffer): void {
    for (let i = 0; i < blocks.length; ) {
      const first = blocks[i] ?? 0;
      let count = 1;
      while (blocks[i + count] === first + count) count += 1;
      file.readSync(into, i * BLOCK_BYTES, count * BLOCK_BYTES, first * BLOCK_BYTES);
      i += count;
    }
  }

  async #readSlots(blocks: readonly number[], into: Buffer): Promise<void> {
    const locations = await this.#readers.locate(this.volumeId, this.epoch, blocks);
    for (const [i, { block, path, positionBytes, mask }] of locations.entries()) {
      const at = i * BLOCK_BYTES;
      if (mask === ALL_PIECES) {
        this.#file(path).readSync(into, at, BLOCK_BYTES, positionBytes);
        continue;
      }
      const base =
        this.parentRootKey === undefined
          ? Buffer.alloc(BLOCK_BYTES)
          : await this.#readers.readBase(this.parentRootKey, block);
      base.copy(into, at);
      for (let offset = 0; offset < BLOCK_BYTES; offset += PIECE_BYTES) {
        if ((mask & (1 << (offset / PIECE_BYTES))) === 0) continue;
        this.#file(path).readSync(into, at + offset, PIECE_BYTES, positionBytes + offset);
      }
    }
  }

  #file(path: string): DiskFile {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = this.#disk.open(path);
      this.#files.set(path, file);
    }
    return file;
  }
}
