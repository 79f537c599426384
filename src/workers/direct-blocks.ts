/** Snapshots in units of another size than the vault's blocks, as the EBS direct API counts them. */
import { strict as assert } from "node:assert";
import { DIRECT_BLOCK_BYTES, DirectSpool } from "../gateway/direct-spool.ts";
import type { DirectList, DirectListing, SpoolOrder } from "../gateway/ports.ts";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { EpochSource } from "../vault/upload.ts";
import type { Vault } from "../vault/vault.ts";

/** Blocks that are looked for in one go. */
const SEARCH_BLOCKS_MAX = 4096;
/** A list ends where it is after this: the caller asks for the rest. */
const LISTING_MS_MAX = 5_000;
const BLOCK_BYTES_DEFAULT = 64 * 1024;
const ALL_PIECES = 0xffff;

export async function listUnits(vault: Vault, clock: Clock, listing: DirectListing): Promise<DirectList> {
  const { beforeKey, afterKey, unitBytes, max } = listing;
  const { blockBytes, sizeBytes } = await vault.describeRoot(afterKey);
  const perUnit = unitBytes / blockBytes;
  assert(Number.isInteger(perUnit));
  const before = beforeKey === undefined ? undefined : await vault.describeRoot(beforeKey);
  const end = Math.ceil(Math.max(sizeBytes, before?.sizeBytes ?? 0) / unitBytes);
  const deadlineMs = clock.monotonicMs() + LISTING_MS_MAX;
  const has = async (key: string, index: number) =>
    (await vault.nonZeroBlocks(key, index * perUnit, perUnit, 1)).blocks.length > 0;
  const blocks: { index: number; inBefore: boolean; inAfter: boolean }[] = [];
  let at = listing.first;
  while (at < end && blocks.length < max && clock.monotonicMs() < deadlineMs) {
    const count = (end - at) * perUnit;
    const found =
      beforeKey === undefined
        ? await vault.nonZeroBlocks(afterKey, at * perUnit, count, SEARCH_BLOCKS_MAX)
        : await vault.changedBlocks(beforeKey, afterKey, at * perUnit, count, SEARCH_BLOCKS_MAX);
    const units = new Set(found.blocks.map((block) => Math.floor(block / perUnit)));
    at = found.end >= end * perUnit ? end : Math.floor(found.end / perUnit);
    // The search may have ended within the last one.
    for (const index of units) {
      if (blocks.length >= max) {
        at = Math.min(at, index);
        break;
      }
      const inBefore = beforeKey !== undefined && (await has(beforeKey, index));
      blocks.push({ index, inBefore, inAfter: beforeKey === undefined || (await has(afterKey, index)) });
      at = Math.max(at, index + 1);
    }
  }
  return { blocks, ...(at < end && { next: at }) };
}

/** Bytes of the root, wherever they lie in its blocks. */
export async function readBytes(
  vault: Vault,
  rootKey: string,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Buffer> {
  const { blockBytes } = await vault.describeRoot(rootKey);
  assert(offsetBytes % blockBytes === 0 && lengthBytes % blockBytes === 0);
  return vault.readBlocks(rootKey, offsetBytes / blockBytes, lengthBytes / blockBytes);
}

/** Makes a root of the blocks in a spool. */
export async function uploadSpool(
  vault: Vault,
  disk: Disk,
  order: SpoolOrder,
): Promise<{ rootKey: string; fullBytes: number }> {
  const spool = DirectSpool.open(disk, order.folder);
  try {
    const parent =
      order.parentRootKey === undefined ? undefined : await vault.describeRoot(order.parentRootKey);
    const source = new SpoolEpoch(order, spool, parent?.blockBytes ?? BLOCK_BYTES_DEFAULT);
    const { rootKey, fullBytes } = await vault.uploadEpoch(source);
    return { rootKey, fullBytes };
  } finally {
    spool.close();
  }
}

/** A spool as the only epoch of a volume of its own. */
class SpoolEpoch implements EpochSource {
  readonly volumeId: VolumeId;
  readonly epoch = 1;
  readonly kind = "checkpoint";
  readonly cutAtMs: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly dirtyBlockCount: number;
  readonly parentRootKey?: string;
  readonly #spool: DirectSpool;
  readonly #perUnit: number;

  constructor(order: SpoolOrder, spool: DirectSpool, blockBytes: number) {
    this.volumeId = order.volumeId;
    this.cutAtMs = order.cutAtMs;
    this.sizeBytes = order.sizeBytes;
    this.blockBytes = blockBytes;
    this.#spool = spool;
    this.#perUnit = DIRECT_BLOCK_BYTES / blockBytes;
    assert(Number.isInteger(this.#perUnit));
    this.dirtyBlockCount = spool.count * this.#perUnit;
    if (order.parentRootKey !== undefined) this.parentRootKey = order.parentRootKey;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    for (const index of this.#spool.indexes())
      yield Array.from({ length: this.#perUnit }, (_, i) => index * this.#perUnit + i);
  }

  dirtyPieces(): number {
    return ALL_PIECES;
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    this.#spool.read((blocks[0] ?? 0) / this.#perUnit).copy(into);
  }
}
