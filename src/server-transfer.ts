/**
 * Brings snapshots out of the vault into disk images, and images into the vault as snapshots: beside the running gateway,
 * or without one. It knows the vault by what the gateway's data folder says of it.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { NO_GATEWAY, volumeArn } from "./gateway/arn.ts";
import { systemClock } from "./platform/clock.ts";
import {
  makeSnapshotId,
  makeVolumeId,
  parseSnapshotId,
  type SnapshotId,
  type VolumeId,
} from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { withVault } from "./server-vault-access.ts";
import type { EpochSource } from "./vault/upload.ts";
import type { Vault } from "./vault/vault.ts";
import { VaultError } from "./vault/vault-error.ts";

const GIB = 1024 ** 3;
const BLOCK_BYTES = 64 * 1024;
/** Blocks read from the vault at a time, and how many reads go side by side. */
const RUN_BLOCKS = 64;
const RUNS_AT_A_TIME = 4;
/** Blocks that are looked through for zeros in one go. */
const WINDOW_BLOCKS = 1024 * 1024;
const WINDOW_NON_ZERO_MAX = 4096;

/** An image can't be brought over; the message says why. */
export class TransferError extends Error {
  override readonly name = "TransferError";
}

export type ImageFormat = "raw" | "qcow2";

export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/**
 * Writes the snapshot's content to a new file. With `passesOver` it goes on where a block can't be had, leaves zeros
 * there, and answers the numbers of those blocks.
 */
export function exportSnapshot(options: {
  readonly dataDir: string;
  readonly snapshotId: string;
  readonly path: string;
  readonly format: ImageFormat;
  readonly passesOver: boolean;
  readonly onProgress: (progress: TransferProgress) => void;
}): Promise<{ readonly holes: readonly number[] }> {
  const { path, format } = options;
  if (existsSync(path)) throw new TransferError(`${path} is there already`);
  const id = parseSnapshotId(options.snapshotId);
  return withVault(options.dataDir, async (vault) => {
    const snapshot = (await vault.records.listSnapshots()).find(({ snapshotId }) => snapshotId === id);
    if (snapshot === undefined) throw new TransferError(`the vault has no snapshot ${options.snapshotId}`);
    const raw = `${path}.part`;
    try {
      const holes = await writeRaw(vault, snapshot.rootKey, snapshot.volumeSizeBytes, raw, options);
      if (format === "raw") renameSync(raw, path);
      else convert(raw, "raw", path, format);
      return { holes };
    } finally {
      rmSync(raw, { force: true });
    }
  });
}

async function writeRaw(
  vault: Vault,
  rootKey: string,
  sizeBytes: number,
  path: string,
  { passesOver, onProgress }: { passesOver: boolean; onProgress: (progress: TransferProgress) => void },
): Promise<number[]> {
  const fd = openSync(path, "wx", 0o600);
  try {
    ftruncateSync(fd, sizeBytes);
    const holes: number[] = [];
    const blockCount = sizeBytes / BLOCK_BYTES;
    for (let first = 0; first < blockCount; ) {
      const count = Math.min(WINDOW_BLOCKS, blockCount - first);
      const { blocks, end } = await vault.nonZeroBlocks(rootKey, first, count, WINDOW_NON_ZERO_MAX);
      const runs = runsOf(blocks);
      for (let at = 0; at < runs.length; at += RUNS_AT_A_TIME) {
        const some = runs.slice(at, at + RUNS_AT_A_TIME);
        await Promise.all(
          some.map((run) => copyRun(vault, rootKey, run, fd, passesOver ? holes : undefined)),
        );
        const last = some.at(-1);
        if (last !== undefined)
          onProgress({ doneBytes: (last.first + last.count) * BLOCK_BYTES, totalBytes: sizeBytes });
      }
      first = end;
      onProgress({ doneBytes: first * BLOCK_BYTES, totalBytes: sizeBytes });
    }
    fsyncSync(fd);
    return holes.sort((a, b) => a - b);
  } finally {
    closeSync(fd);
  }
}

interface Run {
  readonly first: number;
  readonly count: number;
}

async function copyRun(
  vault: Vault,
  rootKey: string,
  { first, count }: Run,
  fd: number,
  holes: number[] | undefined,
): Promise<void> {
  let content: Buffer;
  try {
    content = await vault.readBlocks(rootKey, first, count);
  } catch (error) {
    const isDamage = error instanceof VaultError && (error.kind === "corrupt" || error.kind === "notFound");
    if (!isDamage || holes === undefined) throw error;
    // One that is rotten must not take its neighbours with it.
    if (count === 1) holes.push(first);
    else
      for (let i = 0; i < count; i++)
        await copyRun(vault, rootKey, { first: first + i, count: 1 }, fd, holes);
    return;
  }
  for (let at = 0; at < content.length; )
    at += writeSync(fd, content, at, content.length - at, first * BLOCK_BYTES + at);
}

function runsOf(blocks: readonly number[]): Run[] {
  const runs: { first: number; count: number }[] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === block && last.count < RUN_BLOCKS) last.count += 1;
    else runs.push({ first: block, count: 1 });
  }
  return runs;
}

/** Makes a snapshot of a disk image; answers its id. Its size is the image's, rounded up to whole GiB. */
export function importImage(options: {
  readonly dataDir: string;
  readonly path: string;
  readonly format: ImageFormat;
  readonly description: string;
  readonly region: string;
  readonly accountId: string;
  readonly onProgress: (progress: TransferProgress) => void;
}): Promise<SnapshotId> {
  const { dataDir, path, format, description, onProgress } = options;
  if (!existsSync(path)) throw new TransferError(`there is no file ${path}`);
  return withVault(dataDir, async (vault) => {
    const raw = format === "raw" ? path : join(resolve(dataDir), `import-${process.pid}.raw`);
    if (format !== "raw") convert(path, format, raw, "raw");
    const image = new ImageEpoch(raw);
    try {
      const startedAtMs = image.cutAtMs;
      const uploaded = await vault.uploadEpoch(image, ({ doneBlocks, totalBlocks }) =>
        onProgress({ doneBytes: doneBlocks * BLOCK_BYTES, totalBytes: totalBlocks * BLOCK_BYTES }),
      );
      const snapshotId = makeSnapshotId(systemRandom);
      const { volumeId, sizeBytes } = image;
      await vault.records.putSnapshot({
        snapshotId,
        volumeId,
        volumeArn: volumeArn({ region: options.region, accountId: options.accountId }, NO_GATEWAY, volumeId),
        rootKey: uploaded.rootKey,
        description,
        tags: [],
        volumeSizeBytes: sizeBytes,
        startedAtMs,
        completedAtMs: systemClock.nowMs(),
        fullBytes: uploaded.fullBytes,
      });
      return snapshotId;
    } finally {
      image.close();
      if (raw !== path) rmSync(raw, { force: true });
    }
  });
}

/** A raw image as the first epoch of a volume of its own. */
class ImageEpoch implements EpochSource {
  readonly volumeId: VolumeId = makeVolumeId(systemRandom);
  readonly epoch = 1;
  readonly kind = "checkpoint";
  readonly cutAtMs = systemClock.nowMs();
  readonly blockBytes = BLOCK_BYTES;
  readonly sizeBytes: number;
  readonly dirtyBlockCount: number;
  readonly #fd: number;
  readonly #imageBytes: number;

  constructor(path: string) {
    this.#fd = openSync(path, "r");
    this.#imageBytes = fstatSync(this.#fd).size;
    this.sizeBytes = Math.max(1, Math.ceil(this.#imageBytes / GIB)) * GIB;
    this.dirtyBlockCount = Math.ceil(this.#imageBytes / BLOCK_BYTES);
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    for (let first = 0; first < this.dirtyBlockCount; first += RUN_BLOCKS) {
      const count = Math.min(RUN_BLOCKS, this.dirtyBlockCount - first);
      yield Array.from({ length: count }, (_, i) => first + i);
    }
  }

  dirtyPieces(): number {
    return 0xffff;
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    const start = (blocks[0] ?? 0) * BLOCK_BYTES;
    const length = Math.min(blocks.length * BLOCK_BYTES, this.#imageBytes - start);
    into.fill(0, length, blocks.length * BLOCK_BYTES);
    for (let at = 0; at < length; ) {
      const read = readSync(this.#fd, into, at, length - at, start + at);
      if (read === 0) throw new TransferError("the image has become shorter");
      at += read;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function convert(from: string, fromFormat: ImageFormat, to: string, toFormat: ImageFormat): void {
  const args = ["convert", "-f", fromFormat, "-O", toFormat, from, to];
  const { status, stderr, error } = spawnSync("qemu-img", args, { encoding: "utf8" });
  if (error !== undefined)
    throw new TransferError("qcow2 needs the program qemu-img (on Debian in qemu-utils)");
  if (status === 0) return;
  rmSync(to, { force: true });
  throw new TransferError(`qemu-img: ${stderr.trim()}`);
}
