/**
 * Makes a snapshot of what is elsewhere: a disk image, a snapshot of EBS. It comes over in parts, each of which is a root
 * in the bucket, on top of the one before; the last of them is the snapshot's. So one that breaks off, however it does,
 * goes on with the part that it was at when it is started again.
 *
 * How far it has come is kept in a folder of its own in the data folder, beside its index of the vault: it is the same
 * writer to the vault after a restart, as a gateway is. The journal says where a part ends before the part's root can be
 * in the bucket; whether it is there, the bucket says. So parts may end anywhere, and none is counted that is not whole.
 */
import { join } from "node:path";
import { NO_GATEWAY, volumeArn } from "./gateway/arn.ts";
import { type Clock, systemClock } from "./platform/clock.ts";
import { makeSnapshotId, makeVolumeId, type SnapshotId, type VolumeId } from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { systemDisk } from "./platform/system-disk.ts";
import {
  clearTransferFolder,
  inTransferFolder,
  TransferError,
  type TransferProgress,
  transfersFolder,
} from "./server-transfer.ts";
import { gatewayOwnerId, OWNER_BYTES, withVault } from "./server-vault-access.ts";
import type { RootDescription } from "./vault/roots.ts";
import type { EpochSource } from "./vault/upload.ts";
import type { Vault } from "./vault/vault.ts";

export const IMPORT_BLOCK_BYTES = 64 * 1024;
const ALL_PIECES = 0xffff;
const JOURNAL = "import.json";
const INDEX = "index.sqlite";

/** When a part ends: what it has sent, or how long it has taken, whichever comes first. So much may be done twice. */
export interface PartLimits {
  readonly uploadedBytes: number;
  readonly ms: number;
}

const PART_LIMITS: PartLimits = { uploadedBytes: 64 * 1024 ** 2, ms: 60_000 };

/** What is brought over: runs of blocks, ascending. They stay what they are while its fingerprint does. */
export interface ImportContent {
  readonly sizeBytes: number;
  readonly runCount: number;
  /** Numbers of the run's blocks, of IMPORT_BLOCK_BYTES each. */
  blocksOf(run: number): readonly number[];
  /** Reads the run. They are asked for in their order, from any one on. */
  read(run: number, into: Buffer): Promise<void>;
  close(): void;
}

/** Where it comes from. */
export interface ImportSource {
  /** For people: what was typed. */
  readonly name: string;
  /** Tells it from all others, and is the same when it is named again. */
  readonly identity: readonly unknown[];
  /** Changes when the content does: what was brought over of another one is not gone on with. */
  readonly fingerprint: string;
  /** `folder` is its own, and goes when it is brought over. */
  open(folder: string): Promise<ImportContent>;
}

export interface ImportOptions {
  readonly dataDir: string;
  readonly description: string;
  readonly region: string;
  readonly accountId: string;
  readonly onProgress: (progress: TransferProgress) => void;
  /** Called once when one goes on that had broken off. */
  readonly onResume: (doneBytes: number) => void;
}

export interface ImportState {
  readonly format: 1;
  readonly name: string;
  readonly fingerprint: string;
  readonly ownerId: string;
  readonly volumeId: VolumeId;
  readonly snapshotId: SnapshotId;
  readonly startedAtMs: number;
  /** The part whose root is in the bucket, or was about to be: its epoch, and its runs [from, to). */
  readonly part?: { readonly epoch: number; readonly from: number; readonly to: number };
}

/** Makes a snapshot of it, and answers its id. One that was broken off is gone on with. */
export function importSnapshot(source: ImportSource, options: ImportOptions): Promise<SnapshotId> {
  return inTransferFolder(options.dataDir, "imports", source.identity, async (folder) => {
    const known = readState(folder);
    const isSame = known !== undefined && known.fingerprint === source.fingerprint;
    if (known !== undefined && !isSame) await drop(options.dataDir, folder, known);
    const state = isSame ? known : begin(folder, source);
    const content = await source.open(folder).catch((error: unknown) => {
      // Nothing has begun: there is nothing to go on with either.
      if (state.part === undefined) clearTransferFolder(folder);
      throw error;
    });
    try {
      const snapshotId = await withVault(
        options.dataDir,
        (vault) => bringOver(vault, folder, state, content, options, PART_LIMITS, systemClock),
        accessOf(folder, state),
      );
      clearTransferFolder(folder);
      return snapshotId;
    } finally {
      content.close();
    }
  });
}

/** Takes away what an import that was broken off has left, in the bucket and here. Answers whether there was one. */
export function abandonImport(dataDir: string, identity: readonly unknown[]): Promise<boolean> {
  return inTransferFolder(dataDir, "imports", identity, async (folder) => {
    const state = readState(folder);
    if (state !== undefined) await drop(dataDir, folder, state);
    return state !== undefined;
  });
}

/** Imports of the data folder that have not ended: running ones, and those that were broken off. */
export function unfinishedImports(
  dataDir: string,
): { readonly name: string; readonly startedAtMs: number }[] {
  const all = transfersFolder(dataDir, "imports");
  return systemDisk.list(all).flatMap((name) => readState(join(all, name)) ?? []);
}

function readState(folder: string): ImportState | undefined {
  const text = systemDisk.readFile(join(folder, JOURNAL));
  if (text === undefined) return undefined;
  const state = JSON.parse(text.toString("utf8")) as ImportState;
  if (state.format !== 1)
    throw new TransferError(`${join(folder, JOURNAL)}: format ${String(state.format)} is not known here`);
  return state;
}

function keepState(folder: string, state: ImportState): ImportState {
  systemDisk.replaceFile(join(folder, JOURNAL), Buffer.from(`${JSON.stringify(state)}\n`));
  return state;
}

function begin(folder: string, { name, fingerprint }: ImportSource): ImportState {
  return keepState(folder, {
    ...{ format: 1, name, fingerprint },
    ownerId: systemRandom.bytes(OWNER_BYTES).toString("hex"),
    volumeId: makeVolumeId(systemRandom),
    snapshotId: makeSnapshotId(systemRandom),
    startedAtMs: systemClock.nowMs(),
  });
}

const accessOf = (folder: string, { ownerId }: ImportState) => ({ ownerId, indexPath: join(folder, INDEX) });

/** Nothing but the roots is deleted: what they reached is garbage then, as any other. */
async function drop(dataDir: string, folder: string, state: ImportState): Promise<void> {
  const { volumeId, snapshotId } = state;
  await withVault(
    dataDir,
    async (vault) => {
      // It knows itself for a writer again, and leaves when it is closed.
      await vault.settle();
      if (await vault.records.hasSnapshot(snapshotId)) return;
      await vault.deleteRoots(
        volumeId,
        (await vault.listRoots(volumeId)).map(({ rootKey }) => rootKey),
      );
    },
    accessOf(folder, state),
  );
  clearTransferFolder(folder);
}

/**
 * The parts that are missing, then the snapshot. Exported for its tests.
 */
export async function bringOver(
  vault: Vault,
  folder: string,
  begun: ImportState,
  content: ImportContent,
  options: ImportOptions,
  limits: PartLimits,
  clock: Clock,
): Promise<SnapshotId> {
  const { volumeId, snapshotId } = begun;
  if (await vault.records.hasSnapshot(snapshotId)) return finished(vault, folder, begun, options);
  let state = begun;
  let newest: Pick<RootDescription, "rootKey" | "epoch" | "fullBytes"> | undefined = (
    await vault.listRoots(volumeId)
  ).at(-1);
  const { part } = state;
  const isThere = part !== undefined && newest?.epoch === part.epoch;
  if (!isThere && (newest?.epoch ?? 0) !== (part?.epoch ?? 1) - 1)
    throw new TransferError(
      `what was brought over of ${state.name} is not in the bucket any more: begin anew with --abandon`,
    );
  let from = isThere ? part.to : (part?.from ?? 0);
  // A part that may have been on its way is made once more just as it was.
  let to = isThere || part === undefined ? undefined : part.to;
  const bytesUpTo = (run: number): number =>
    run >= content.runCount ? content.sizeBytes : (content.blocksOf(run)[0] ?? 0) * IMPORT_BLOCK_BYTES;
  if (part !== undefined) options.onResume(bytesUpTo(from));
  while (newest === undefined || from < content.runCount) {
    const epoch = (newest?.epoch ?? 0) + 1;
    const source = new ImportPart({
      ...{ volumeId, epoch, cutAtMs: state.startedAtMs, content, from, to, limits, clock },
      ...(newest !== undefined && { parentRootKey: newest.rootKey }),
      onEnd: (end) => {
        state = keepState(folder, { ...state, part: { epoch, from, to: end } });
      },
    });
    const { rootKey, fullBytes } = await vault.uploadEpoch(source, ({ uploadedBytes }) => {
      source.uploadedBytes = uploadedBytes;
      options.onProgress({ doneBytes: bytesUpTo(source.next), totalBytes: content.sizeBytes });
    });
    // Nothing stands on the one before: each of them is a checkpoint.
    if (newest !== undefined) await vault.deleteRoots(volumeId, [newest.rootKey]);
    from = source.next;
    to = undefined;
    newest = { rootKey, epoch, fullBytes };
  }
  options.onProgress({ doneBytes: content.sizeBytes, totalBytes: content.sizeBytes });
  const { region, accountId, description } = options;
  await vault.records.putSnapshot({
    ...{ snapshotId, volumeId, description, tags: [], rootKey: newest.rootKey },
    volumeArn: volumeArn({ region, accountId }, NO_GATEWAY, volumeId),
    volumeSizeBytes: content.sizeBytes,
    startedAtMs: state.startedAtMs,
    completedAtMs: clock.nowMs(),
    fullBytes: newest.fullBytes,
  });
  return finished(vault, folder, state, options);
}

/** The snapshot is there: its volume is the gateway's from now on, which deletes the root with the snapshot. */
async function finished(
  vault: Vault,
  folder: string,
  { volumeId, snapshotId }: ImportState,
  { dataDir }: ImportOptions,
): Promise<SnapshotId> {
  const [newest, ...older] = (await vault.listRoots(volumeId)).reverse();
  if (newest !== undefined && older.length > 0)
    await vault.deleteRoots(
      volumeId,
      older.map(({ rootKey }) => rootKey),
    );
  const gateway = gatewayOwnerId(dataDir);
  if (gateway !== undefined) await vault.giveLease(volumeId, gateway);
  // First what says that there is something to go on with; the index is only a copy.
  systemDisk.remove(join(folder, JOURNAL));
  return snapshotId;
}

interface PartOptions {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly parentRootKey?: string;
  readonly content: ImportContent;
  readonly from: number;
  /** Where it has to end; undefined: where the limits say. */
  readonly to: number | undefined;
  readonly limits: PartLimits;
  readonly clock: Clock;
  /** Called when its last run is read, before its root is written. */
  readonly onEnd: (to: number) => void;
}

/** Some of the runs, as one epoch of a volume that nobody has ever mounted. */
class ImportPart implements EpochSource {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly kind = "checkpoint";
  readonly cutAtMs: number;
  readonly blockBytes = IMPORT_BLOCK_BYTES;
  readonly sizeBytes: number;
  readonly dirtyBlockCount = 0;
  readonly parentRootKey?: string;
  /** Told by the upload. */
  uploadedBytes = 0;
  /** The first run that is not read yet. */
  next: number;
  readonly #options: PartOptions;

  constructor(options: PartOptions) {
    const { volumeId, epoch, cutAtMs, content, from, parentRootKey } = options;
    this.#options = options;
    this.volumeId = volumeId;
    this.epoch = epoch;
    this.cutAtMs = cutAtMs;
    this.sizeBytes = content.sizeBytes;
    this.next = from;
    if (parentRootKey !== undefined) this.parentRootKey = parentRootKey;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    const { content, to, limits, clock, onEnd } = this.#options;
    const startedMs = clock.monotonicMs();
    const isFull = () =>
      this.uploadedBytes >= limits.uploadedBytes || clock.monotonicMs() - startedMs >= limits.ms;
    const end = to ?? content.runCount;
    // At least one, so that it comes forward whatever the limits are.
    for (let first = this.next; this.next < end; ) {
      if (to === undefined && this.next > first && isFull()) break;
      yield content.blocksOf(this.next);
      this.next += 1;
    }
    onEnd(this.next);
  }

  dirtyPieces(): number {
    return ALL_PIECES;
  }

  readBlocks(_blocks: readonly number[], into: Buffer): Promise<void> {
    return this.#options.content.read(this.next, into);
  }
}
