/**
 * Brings snapshots out of the vault into disk images, and images into the vault as snapshots: beside the running gateway,
 * or without one. It knows the vault by what the gateway's data folder says of it.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { parseSnapshotId } from "./platform/ids.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { IMPORT_BLOCK_BYTES, type ImportContent, type ImportSource } from "./server-import.ts";
import {
  clearTransferFolder,
  inTransferFolder,
  TransferError,
  type TransferProgress,
} from "./server-transfer.ts";
import { withVault } from "./server-vault-access.ts";
import type { Vault } from "./vault/vault.ts";
import { VaultError } from "./vault/vault-error.ts";

const GIB = 1024 ** 3;
const BLOCK_BYTES = IMPORT_BLOCK_BYTES;
/** Blocks read from the vault at a time, and how many reads go side by side. */
const RUN_BLOCKS = 64;
const RUNS_AT_A_TIME = 4;
/** Blocks that are looked through for zeros in one go. */
const WINDOW_BLOCKS = 1024 * 1024;
/** So many blocks that are not zero are written between two notes of how far it has come. */
const WINDOW_NON_ZERO_MAX = 1024;

export type ImageFormat = "raw" | "qcow2";

/**
 * Writes the snapshot's content to a new file. With `passesOver` it goes on where a block can't be had, leaves zeros
 * there, and answers the numbers of those blocks. What is written so far is in PATH.part, and how far that is in the data
 * folder: one that has broken off goes on where it was when it is called again.
 */
export function exportSnapshot(options: {
  readonly dataDir: string;
  readonly snapshotId: string;
  readonly path: string;
  readonly format: ImageFormat;
  readonly passesOver: boolean;
  readonly onProgress: (progress: TransferProgress) => void;
}): Promise<{ readonly holes: readonly number[] }> {
  const { dataDir, path, format } = options;
  if (existsSync(path)) throw new TransferError(`${path} is there already`);
  const id = parseSnapshotId(options.snapshotId);
  return inTransferFolder(dataDir, "exports", [resolve(path)], (folder) =>
    withVault(dataDir, async (vault) => {
      const snapshot = (await vault.records.listSnapshots()).find(({ snapshotId }) => snapshotId === id);
      if (snapshot === undefined) throw new TransferError(`the vault has no snapshot ${options.snapshotId}`);
      const { rootKey, volumeSizeBytes } = snapshot;
      const part = ImagePart.open(`${path}.part`, join(folder, NOTE), rootKey, volumeSizeBytes);
      try {
        await writeRaw(vault, rootKey, volumeSizeBytes, part, options);
      } finally {
        part.close();
      }
      const holes = [...part.holes].sort((a, b) => a - b);
      if (format === "raw") renameSync(part.path, path);
      else convert(part.path, "raw", path, format);
      rmSync(part.path, { force: true });
      clearTransferFolder(folder);
      return { holes };
    }),
  );
}

const NOTE = "written.json";

interface Written {
  readonly rootKey: string;
  readonly doneBlocks: number;
  readonly holes: readonly number[];
}

/** A raw image that is being written, and how far it has come. */
class ImagePart {
  readonly path: string;
  readonly fd: number;
  readonly holes: number[];
  doneBlocks: number;
  readonly #rootKey: string;
  readonly #notePath: string;

  private constructor(path: string, notePath: string, rootKey: string, known: Written | undefined) {
    this.path = path;
    this.#notePath = notePath;
    this.#rootKey = rootKey;
    this.doneBlocks = known?.doneBlocks ?? 0;
    this.holes = [...(known?.holes ?? [])];
    this.#note();
    this.fd = openSync(path, known === undefined ? "wx+" : "r+", 0o600);
  }

  static open(path: string, notePath: string, rootKey: string, sizeBytes: number): ImagePart {
    const text = systemDisk.readFile(notePath);
    const known = text === undefined ? undefined : (JSON.parse(text.toString("utf8")) as Written);
    const isThere = existsSync(path);
    if (isThere && known?.rootKey !== rootKey)
      throw new TransferError(`${path} is there already, and is no part of an export of this snapshot`);
    const part = new ImagePart(path, notePath, rootKey, isThere ? known : undefined);
    ftruncateSync(part.fd, sizeBytes);
    return part;
  }

  /** All blocks before this one are written, or are holes; that stands after a crash. */
  done(blocks: number): void {
    fdatasyncSync(this.fd);
    this.doneBlocks = blocks;
    this.#note();
  }

  #note(): void {
    const { doneBlocks, holes } = this;
    const written: Written = { rootKey: this.#rootKey, doneBlocks, holes };
    systemDisk.replaceFile(this.#notePath, Buffer.from(`${JSON.stringify(written)}\n`));
  }

  close(): void {
    closeSync(this.fd);
  }
}

async function writeRaw(
  vault: Vault,
  rootKey: string,
  sizeBytes: number,
  part: ImagePart,
  { passesOver, onProgress }: { passesOver: boolean; onProgress: (progress: TransferProgress) => void },
): Promise<void> {
  const blockCount = sizeBytes / BLOCK_BYTES;
  const { fd } = part;
  // Of the piece that is being written: it may be written once more.
  let holes: number[] = [];
  for (let first = part.doneBlocks; first < blockCount; ) {
    const count = Math.min(WINDOW_BLOCKS, blockCount - first);
    const { blocks, end } = await vault.nonZeroBlocks(rootKey, first, count, WINDOW_NON_ZERO_MAX);
    const runs = runsOf(blocks);
    for (let at = 0; at < runs.length; at += RUNS_AT_A_TIME) {
      const some = runs.slice(at, at + RUNS_AT_A_TIME);
      const copying = some.map((run) => copyRun(vault, rootKey, run, fd, passesOver ? holes : undefined));
      // The file stays open until the last of them has ended.
      for (const result of await Promise.allSettled(copying))
        if (result.status === "rejected") throw result.reason;
      const last = some.at(-1);
      if (last !== undefined)
        onProgress({ doneBytes: (last.first + last.count) * BLOCK_BYTES, totalBytes: sizeBytes });
    }
    first = end;
    part.holes.push(...holes);
    holes = [];
    part.done(first);
    onProgress({ doneBytes: first * BLOCK_BYTES, totalBytes: sizeBytes });
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

/** A disk image, for an import. The snapshot's size is the image's, rounded up to whole GiB. */
export function imageSource(path: string, format: ImageFormat): ImportSource {
  if (!existsSync(path)) throw new TransferError(`there is no file ${path}`);
  const { size, mtimeMs, ino } = statSync(path);
  return {
    name: path,
    identity: imageIdentity(path),
    fingerprint: JSON.stringify([format, size, mtimeMs, ino]),
    async open(folder) {
      if (format === "raw") return new ImageContent(path);
      // A conversion that was broken off leaves nothing under this name.
      const raw = join(folder, "image.raw");
      if (!existsSync(raw)) convert(path, format, raw, "raw");
      return new ImageContent(raw);
    },
  };
}

/** What an import of the image is known by. */
export function imageIdentity(path: string): readonly unknown[] {
  return ["image", resolve(path)];
}

/** A raw image. */
class ImageContent implements ImportContent {
  readonly sizeBytes: number;
  readonly runCount: number;
  readonly #fd: number;
  readonly #imageBytes: number;

  constructor(path: string) {
    this.#fd = openSync(path, "r");
    this.#imageBytes = fstatSync(this.#fd).size;
    this.sizeBytes = Math.max(1, Math.ceil(this.#imageBytes / GIB)) * GIB;
    this.runCount = Math.ceil(this.#imageBytes / (RUN_BLOCKS * BLOCK_BYTES));
  }

  blocksOf(run: number): readonly number[] {
    const first = run * RUN_BLOCKS;
    const count = Math.min(RUN_BLOCKS, Math.ceil(this.#imageBytes / BLOCK_BYTES) - first);
    return Array.from({ length: count }, (_, i) => first + i);
  }

  async read(run: number, into: Buffer): Promise<void> {
    const blocks = this.blocksOf(run);
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

/** Under its name there is the whole image or none. */
function convert(from: string, fromFormat: ImageFormat, to: string, toFormat: ImageFormat): void {
  const made = `${to}.new`;
  const args = ["convert", "-f", fromFormat, "-O", toFormat, from, made];
  const { status, stderr, error } = spawnSync("qemu-img", args, { encoding: "utf8" });
  if (error !== undefined)
    throw new TransferError("qcow2 needs the program qemu-img (on Debian in qemu-utils)");
  if (status !== 0) {
    rmSync(made, { force: true });
    throw new TransferError(`qemu-img: ${stderr.trim()}`);
  }
  renameSync(made, to);
}
