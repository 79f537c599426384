/**
 * A root: one volume's map at one cut, and what is needed to read it. A sealed JSON object, of one of two kinds.
 *
 * A checkpoint (format 1) names the top page of a map. A step (format 2) only lists what has changed since the root
 * before it; it is read by rolling the steps since its checkpoint, and itself, over the checkpoint's map. A step costs
 * some thirty bytes a changed block, where a checkpoint costs a path of pages for each.
 *
 * Each kind has a format number of its own, and both are JSON, so that a reader which knows only checkpoints sees a
 * format that it does not know and says so, instead of taking a step for damage.
 */
import type { VolumeId } from "../platform/ids.ts";
import { isRootKey, rootKey } from "./keys.ts";
import { Overlay } from "./overlay.ts";
import { levelsFor } from "./page.ts";
import { VaultError } from "./vault-error.ts";

/** Far more than any volume needs (256 ** 6 blocks). */
const LEVELS_MAX = 6;
/** What a reader accepts of a chain, so that no object makes it fetch or hold more; writers stay far below. */
const CHAIN_KEYS_MAX = 4096;
const CHAIN_ENTRIES_MAX = 1024 * 1024;
const FORMAT = { checkpoint: 1, step: 2 } as const;

interface RootHead {
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
  /** The steps between the checkpoint and this one, oldest first: with them known, all can be fetched at once. */
  readonly chainKeys: readonly string[];
  /** When the checkpoint was cut. */
  readonly checkpointCutAtMs: number;
  /** Entries of this step and of those in the chain, together. */
  readonly chainEntries: number;
  /** What has changed since the root before. */
  readonly entries: Overlay;
}

export type Root = Checkpoint | Step;

/** A root as JSON holds it. Equal roots give equal values. */
export function encodeRoot(root: Root): Readonly<Record<string, unknown>> {
  const format = FORMAT[root.kind];
  if (root.kind === "checkpoint") return { format, ...root };
  return { format, ...root, entries: root.entries.encode().toString("base64") };
}

/**
 * Reads what JSON held under `key`. Throws a VaultError: "unknownFormat" for a format or kind that is not known here,
 * "corrupt" for anything else that is not a root of that name.
 */
export function decodeRoot(key: string, value: unknown): Root {
  if (typeof value !== "object" || value === null) throw new VaultError("corrupt", `${key} is not a root`);
  const fields = value as Fields;
  // The first checkpoints did not name their kind.
  const { format, kind = format === FORMAT.checkpoint ? "checkpoint" : undefined } = fields;
  const isKnown = (kind === "checkpoint" || kind === "step") && format === FORMAT[kind];
  if (!isKnown) {
    const what = `root format ${String(format)}, kind ${String(kind)}`;
    throw new VaultError("unknownFormat", `${key}: ${what} is not known here`);
  }
  const head = decodeHead(key, fields);
  const root =
    head && (kind === "checkpoint" ? decodeCheckpoint(head, fields) : decodeStep(key, head, fields));
  if (root === undefined) throw new VaultError("corrupt", `${key} is not a root`);
  return root;
}

/** The roots that a step is read with, oldest first: its checkpoint, and the steps between. None for a checkpoint. */
export function baseKeys(root: Root): readonly string[] {
  return root.kind === "step" ? [root.checkpointKey, ...root.chainKeys] : [];
}

/** What a root says of its epoch, whatever kind it is. */
export function headOf(root: Root): RootHead {
  const { volumeId, generation, epoch, sizeBytes, blockBytes, cutAtMs, parentRootKey, nonZeroBlocks } = root;
  return { volumeId, generation, epoch, sizeBytes, blockBytes, cutAtMs, parentRootKey, nonZeroBlocks };
}

type Fields = Readonly<Record<string, unknown>>;

function decodeHead(key: string, fields: Fields): RootHead | undefined {
  const { volumeId, generation, epoch, sizeBytes, blockBytes, cutAtMs, parentRootKey, nonZeroBlocks } =
    fields;
  const good =
    typeof volumeId === "string" &&
    isCount(generation) &&
    isCount(epoch) &&
    key === rootKey(volumeId as VolumeId, generation, epoch) &&
    isCount(sizeBytes) &&
    isCount(blockBytes) &&
    blockBytes > 0 &&
    sizeBytes % blockBytes === 0 &&
    isTime(cutAtMs) &&
    (parentRootKey === null || typeof parentRootKey === "string") &&
    isCount(nonZeroBlocks);
  if (!good) return undefined;
  return {
    volumeId: volumeId as VolumeId,
    generation,
    epoch,
    sizeBytes,
    blockBytes,
    cutAtMs,
    parentRootKey,
    nonZeroBlocks,
  };
}

function decodeCheckpoint(head: RootHead, { levels, top }: Fields): Checkpoint | undefined {
  const good =
    isCount(levels) &&
    levels >= levelsFor(head.sizeBytes / head.blockBytes) &&
    levels <= LEVELS_MAX &&
    (top === null || (typeof top === "string" && /^[0-9a-f]{40}$/.test(top)));
  return good ? { kind: "checkpoint", ...head, levels, top } : undefined;
}

function decodeStep(key: string, head: RootHead, fields: Fields): Step | undefined {
  const { checkpointKey, chainKeys, checkpointCutAtMs, chainEntries, entries } = fields;
  const blockCount = head.sizeBytes / head.blockBytes;
  const good =
    typeof checkpointKey === "string" &&
    isTextArray(chainKeys) &&
    chainKeys.length <= CHAIN_KEYS_MAX &&
    isTime(checkpointCutAtMs) &&
    isCount(chainEntries) &&
    chainEntries <= CHAIN_ENTRIES_MAX &&
    head.nonZeroBlocks <= blockCount &&
    typeof entries === "string";
  if (!good) return undefined;
  const base = [checkpointKey, ...chainKeys];
  // Of one volume, each newer than the one before, and the last of them is what this step was made of.
  const isChain = base.every(
    (each, i) => isRootKey(head.volumeId, each) && each < (i + 1 < base.length ? (base[i + 1] ?? "") : key),
  );
  const bytes = Buffer.from(entries, "base64");
  // Node passes over what is not Base64; here it is damage.
  if (!isChain || base.at(-1) !== head.parentRootKey || bytes.toString("base64") !== entries)
    return undefined;
  const overlay = Overlay.decode(bytes, blockCount);
  if (overlay.size > chainEntries) return undefined;
  return {
    kind: "step",
    ...head,
    checkpointKey,
    chainKeys,
    checkpointCutAtMs,
    chainEntries,
    entries: overlay,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTime(value: unknown): value is number {
  return Number.isFinite(value);
}

function isTextArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
