/**
 * Brings one closed epoch of one volume into the bucket: chunks, pages, the index object, and last the root.
 *
 * Invariant 4: the root is written when every pack, and the index object, that it reaches is durable, and not before.
 * An upload that is cut short leaves only objects that nothing refers to; run again, it finds what it had sent.
 */
import { isDeepStrictEqual } from "node:util";
import { type ObjectStore, StoreError } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { encodeDelta, isWorthDelta } from "./delta.ts";
import { differences } from "./difference.ts";
import { baseName, deltaNames, type Entry, isSameBlock, mayGrow, withDelta } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import { rootKey } from "./keys.ts";
import type { Leases } from "./lease.ts";
import type { PackWriter } from "./pack-writer.ts";
import { encodeRoot, headOf, type Root } from "./root.ts";
import { type Roots, type RootView, viewOf } from "./roots.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { type ChainLimits, CheckpointWriter, mayBeStep, type RootWriter, StepWriter } from "./step-writer.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** One closed epoch, as the vault reads it. */
export interface EpochSource {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /**
   * What its root is to be: a checkpoint, for a snapshot; or a step where that may be, for a moment without a name
   * that costs as little as possible.
   */
  readonly kind: "checkpoint" | "step";
  /** The root that the epoch builds on: of the same block size, and at most of this size. */
  readonly parentRootKey?: string;
  /** For the progress. */
  readonly dirtyBlockCount: number;
  /** Numbers of the blocks that may have changed, ascending, in batches. */
  dirtyBlocks(): Iterable<readonly number[]>;
  /**
   * The block's pieces (bit p: the p-th sixteenth) that may differ from the root before; any number of those that don't
   * may be among them.
   */
  dirtyPieces(block: number): number;
  /** Reads the blocks of a batch as they were at the cut, one after the other. */
  readBlocks(blocks: readonly number[], into: Buffer): Promise<void>;
}

export interface EpochProgress {
  readonly doneBlocks: number;
  readonly totalBlocks: number;
  /** Of the packs sent so far. */
  readonly uploadedBytes: number;
}

/** A root that is durable in the bucket with all that it reaches. */
export interface UploadedRoot {
  readonly rootKey: string;
  /** Bytes of the packs that were sent for it. */
  readonly uploadedBytes: number;
  /** Bytes of all blocks that the root reaches, zero blocks left out, before compression. */
  readonly fullBytes: number;
}

export interface UploadParts {
  readonly store: ObjectStore;
  readonly sealer: ObjectSealer;
  readonly fetcher: Fetcher;
  readonly leases: Leases;
  readonly packs: PackWriter;
  readonly roots: Roots;
  readonly chain: ChainLimits;
  /** Makes sure that every pack sent so far is named by an index object. */
  readonly publishIndex: () => Promise<void>;
  /** Throws where the collection of garbage does not wait for this gateway any more. */
  readonly confirmWriter: () => Promise<void>;
  /** Called before the root is written: from then on it may be in the bucket, whatever is heard of it. */
  readonly onRoot: () => void;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: EpochProgress) => void;
  /** Called between pieces of work; it goes on when the answer resolves. */
  readonly pause: () => Promise<void>;
}

/** Blocks handled between two turns of the event loop: some milliseconds of work. */
const BLOCKS_PER_TURN = 16;

export async function uploadEpoch(source: EpochSource, parts: UploadParts): Promise<UploadedRoot> {
  const { leases, packs, roots } = parts;
  throwIfStopped(parts.signal);
  const generation = await leases.acquire(source.volumeId);
  const parent = source.parentRootKey === undefined ? undefined : await roots.view(source.parentRootKey);
  if (parent !== undefined && parent.root.blockBytes !== source.blockBytes) {
    throw new VaultError("corrupt", `${source.parentRootKey} has blocks of another size`);
  }
  try {
    const isStep = parent !== undefined && mayBeStep(source, parent, parts.chain);
    const root = await makeRoot(source, generation, parent, isStep ? "step" : "checkpoint", parts);
    throwIfStopped(parts.signal);
    await leases.confirm(source.volumeId, generation);
    // What the volume has let go of may hold other bytes by now: nothing that was read after that gets a root.
    throwIfStopped(parts.signal);
    parts.onRoot();
    const { key, stored } = await putRoot(root, parts, parent);
    // Between the question above and the root another gateway may have taken over. It does not know of this root, so
    // nobody here may either.
    await leases.confirm(source.volumeId, generation);
    roots.add(key, stored, parent);
    return {
      rootKey: key,
      uploadedBytes: packs.uploadedBytes,
      fullBytes: stored.nonZeroBlocks * stored.blockBytes,
    };
  } finally {
    await packs.abandon();
  }
}

/** The epoch's root, with all that it reaches made durable (invariant 4). */
async function makeRoot(
  source: EpochSource,
  generation: number,
  parent: RootView | undefined,
  kind: Root["kind"],
  parts: UploadParts,
): Promise<Root> {
  const { fetcher, packs } = parts;
  const writer =
    kind === "step" && parent !== undefined
      ? new StepWriter(fetcher, parent)
      : new CheckpointWriter(fetcher, packs, parent, source.sizeBytes / source.blockBytes);
  await storeBlocks(source, parts, writer);
  const body = await writer.finish();
  await packs.finish();
  await parts.publishIndex();
  return {
    ...body,
    volumeId: source.volumeId,
    generation,
    epoch: source.epoch,
    sizeBytes: source.sizeBytes,
    blockBytes: source.blockBytes,
    cutAtMs: source.cutAtMs,
    parentRootKey: source.parentRootKey ?? null,
  };
}

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw new VaultError("unavailable", "the upload was stopped");
}

async function storeBlocks(source: EpochSource, parts: UploadParts, writer: RootWriter): Promise<void> {
  const { blockBytes } = source;
  const zeros = Buffer.alloc(blockBytes);
  let content = Buffer.alloc(0);
  let done = 0;
  const progressOf = (doneBlocks: number): EpochProgress => ({
    doneBlocks,
    totalBlocks: Math.max(source.dirtyBlockCount, doneBlocks),
    uploadedBytes: parts.packs.uploadedBytes,
  });
  for (const batch of source.dirtyBlocks()) {
    if (content.length < batch.length * blockBytes) content = Buffer.alloc(batch.length * blockBytes);
    await source.readBlocks(batch, content);
    for (const [i, block] of batch.entries()) {
      const bytes = content.subarray(i * blockBytes, (i + 1) * blockBytes);
      if (bytes.equals(zeros)) await writer.set(block, undefined);
      else await writer.set(block, await storeBlock(bytes, block, source, parts.packs, writer));
      done += 1;
      if (done % BLOCKS_PER_TURN !== 0) continue;
      parts.onProgress(progressOf(done));
      await parts.pause();
      throwIfStopped(parts.signal);
    }
  }
  parts.onProgress(progressOf(done));
}

/** Makes sure that the vault has the block's content, by as few bytes as it takes; answers its entry. */
async function storeBlock(
  content: Buffer,
  block: number,
  source: EpochSource,
  packs: PackWriter,
  writer: RootWriter,
): Promise<Entry> {
  const name = packs.nameOfBlock(content);
  const before = await writer.before(block);
  // A record that was found to be damaged is not known any more: nothing is built on it.
  const isWhole =
    before !== undefined &&
    packs.has(baseName(before)) &&
    deltaNames(before).every((each) => packs.has(each));
  if (isWhole && isSameBlock(before, name)) return before;
  const pieces = source.dirtyPieces(block);
  if (!isWhole || !mayGrow(before) || !isWorthDelta(pieces) || packs.has(name))
    return packs.store("block", content, name);
  // Invariant 5 is what makes this right: no piece that is not marked differs from the root before.
  return withDelta(before, name, await packs.store("delta", encodeDelta(content, pieces)));
}

/**
 * Writes the root and answers the one that is there then. Where its name is taken, the root there is either our own (a
 * PUT whose answer was lost, or one before a crash) or a rival's, which then stays.
 *
 * The same epoch over the same parent comes to the same content, whenever it is uploaded; but whether it is a step, and
 * which records its blocks are made of, also depends on limits, on how much was thought to be dirty, which a crash makes
 * more, and on what the vault had. So content is what is compared.
 */
async function putRoot(
  root: Root,
  parts: UploadParts,
  parent: RootView | undefined,
): Promise<{ key: string; stored: Root }> {
  const key = rootKey(root.volumeId, root.generation, root.epoch);
  let isOurs: boolean;
  try {
    const sealed = parts.sealer.sealJson(key, encodeRoot(root));
    isOurs = (await parts.store.put(key, sealed, { ifAbsent: true })) === "created";
  } catch (error) {
    if (!(error instanceof StoreError) || !error.ambiguous) throw fromStoreError(error, `writing ${key}`);
    // It may be there all the same: the next attempt of this upload will see.
    throw new VaultError("unavailable", `writing ${key}: ${error.message}`, { cause: error });
  }
  if (isOurs) {
    await confirmWriter(key, parts);
    return { key, stored: root };
  }
  const there = await parts.roots.view(key);
  if (!(await isSameRoot(there, viewOf(key, root, parent), parts)))
    throw new VaultError("fenced", `${key} was written by another gateway`);
  return { key, stored: there.root };
}

/** What the root reaches may have been collected, if nobody waited for us: then it is taken back. */
async function confirmWriter(key: string, { confirmWriter: confirm, store }: UploadParts): Promise<void> {
  try {
    await confirm();
  } catch (error) {
    try {
      await store.delete([key]);
    } catch (problem) {
      throw fromStoreError(problem, `taking ${key} back`);
    }
    throw error;
  }
}

/**
 * Whether two roots of one name hold the same content, and all that the one that is there is made of can be built on: it
 * may have arrived late, after what it needs was collected.
 */
async function isSameRoot(there: RootView, mine: RootView, parts: UploadParts): Promise<boolean> {
  if (!isDeepStrictEqual(headOf(there.root), headOf(mine.root))) return false;
  const blockCount = there.root.sizeBytes / there.root.blockBytes;
  for await (const { before, after } of differences(parts.fetcher, there, mine, 0, blockCount, "records")) {
    if (!isSameBlock(before, after)) return false;
    if (before === undefined) continue;
    const names = [baseName(before), ...deltaNames(before)];
    if (!names.every((name) => parts.packs.has(name)))
      throw new VaultError(
        "notFound",
        `${there.rootKey} is made of records that are not in the vault any more`,
      );
  }
  return true;
}
