/**
 * A root: one volume's map at one cut, and what is needed to read it. A sealed JSON object, of one of two kinds.
 *
 * A checkpoint names the top page of a map. A step only lists what has changed since the root before it; it is read by
 * rolling the steps since its checkpoint, and itself, over the checkpoint's map. A step costs some thirty bytes a
 * changed block, where a checkpoint costs a path of pages for each.
 */
import type { VolumeId } from "../platform/ids.ts";
import { NAME_BYTES } from "./key-ring.ts";
import { rootKey } from "./keys.ts";
import { levelsFor } from "./page.ts";
import { VaultError } from "./vault-error.ts";

/** Far more than any volume needs (256 ** 6 blocks). */
const LEVELS_MAX = 6;
/** What a reader accepts; writers stay far below. */
const CHAIN_MAX = 4096;
const ENTRY_HEAD_BYTES = 5;
const ENTRY_KIND = { zero: 0, full: 1 } as const;

interface RootHead {
  readonly format: 1;
  readonly volumeId: VolumeId;
  readonly generation: number;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly cutAtMs: number;
  readonly parentRootKey: string | null;
  readonly nonZeroBlocks: number;
}

export interface Checkpoint extends RootHead {
  readonly kind: "checkpoint";
  /** Levels of pages below and including the top. */
  readonly levels: number;
  /** The top page's name in hexadecimal; null where the whole volume is zeros. */
  readonly top: string | null;
}

export interface Step extends RootHead {
  readonly kind: "step";
  readonly checkpointKey: string;
  /** The steps between the checkpoint and this one, oldest first. */
  readonly chainKeys: readonly string[];
  /** When the checkpoint was cut. */
  readonly checkpointCutAtMs: number;
  /** Entries of this step and of those in the chain, together. */
  readonly chainEntries: number;
  /** What has changed since the root before, in Base64: see `encodeEntries`. */
  readonly entries: string;
}

export type Root = Checkpoint | Step;

/** A block and the name of its chunk; undefined: zeros. */
export type Entry = readonly [block: number, name: Buffer | undefined];

/**
 * The entries of a step, by ascending block: u32 LE block, u8 kind (0 zero, 1 full), and for a full one the name of 20
 * bytes.
 */
export function encodeEntries(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [block, name] of entries) {
    const head = Buffer.alloc(ENTRY_HEAD_BYTES);
    head.writeUInt32LE(block, 0);
    head.writeUInt8(name === undefined ? ENTRY_KIND.zero : ENTRY_KIND.full, 4);
    parts.push(head);
    if (name !== undefined) parts.push(name);
  }
  return Buffer.concat(parts);
}

/** Reads the entries of a step for a volume of so many blocks. Throws a VaultError for anything else. */
export function decodeEntries(bytes: Buffer, blockCount: number): Entry[] {
  const entries: Entry[] = [];
  let last = -1;
  for (let at = 0; at < bytes.length; ) {
    if (at + ENTRY_HEAD_BYTES > bytes.length) throw new VaultError("corrupt", "a step ends within an entry");
    const block = bytes.readUInt32LE(at);
    const kind = bytes.readUInt8(at + 4);
    at += ENTRY_HEAD_BYTES;
    if (block <= last || block >= blockCount)
      throw new VaultError("corrupt", `entry of block ${block} of a step`);
    last = block;
    if (kind === ENTRY_KIND.zero) entries.push([block, undefined]);
    else if (kind === ENTRY_KIND.full && at + NAME_BYTES <= bytes.length) {
      entries.push([block, bytes.subarray(at, at + NAME_BYTES)]);
      at += NAME_BYTES;
    } else if (kind === ENTRY_KIND.full) throw new VaultError("corrupt", "a step ends within an entry");
    else throw new VaultError("unknownFormat", `entry kind ${kind} of a step is not known here`);
  }
  return entries;
}

/** Checks a decoded value. Throws a VaultError where it is not a root. */
export function checkRoot(key: string, value: unknown): Root {
  const root = value as Root;
  if (typeof root !== "object" || root === null) throw new VaultError("corrupt", `${key} is not a root`);
  const { format, kind } = root as { format: unknown; kind: unknown };
  if (format !== 1 || (kind !== "checkpoint" && kind !== "step")) {
    const what = `root format ${String(format)}, kind ${String(kind)}`;
    throw new VaultError("unknownFormat", `${key}: ${what} is not known here`);
  }
  if (!isHead(key, root) || !(root.kind === "checkpoint" ? isCheckpoint(root) : isStep(root))) {
    throw new VaultError("corrupt", `${key} is not a root`);
  }
  return root;
}

function isHead(key: string, root: Root): boolean {
  const counts = [root.generation, root.epoch, root.sizeBytes, root.blockBytes, root.nonZeroBlocks];
  return (
    counts.every(isCount) &&
    key === rootKey(root.volumeId, root.generation, root.epoch) &&
    root.blockBytes > 0 &&
    root.sizeBytes % root.blockBytes === 0 &&
    Number.isFinite(root.cutAtMs)
  );
}

function isCheckpoint(root: Checkpoint): boolean {
  return (
    isCount(root.levels) &&
    root.levels >= levelsFor(root.sizeBytes / root.blockBytes) &&
    root.levels <= LEVELS_MAX &&
    (root.top === null || /^[0-9a-f]{40}$/.test(root.top))
  );
}

function isStep(root: Step): boolean {
  return (
    typeof root.checkpointKey === "string" &&
    typeof root.entries === "string" &&
    isCount(root.chainEntries) &&
    Number.isFinite(root.checkpointCutAtMs) &&
    Array.isArray(root.chainKeys) &&
    root.chainKeys.length <= CHAIN_MAX &&
    root.chainKeys.every((key) => typeof key === "string")
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
