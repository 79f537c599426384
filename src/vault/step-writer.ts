/**
 * The two ways to make a root out of the root before it and what has changed since: a step, which lists the changes,
 * and a checkpoint, which has a map of its own.
 *
 * Steps only pay while there are few of them: a reader rolls all of them forward. So a chain ends, and a checkpoint
 * takes its place, after so many entries, so many steps, or so long.
 */
import type { Entry } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import { type Change, NO_CHANGES, Overlay } from "./overlay.ts";
import type { PackWriter } from "./pack-writer.ts";
import type { Checkpoint, Step } from "./root.ts";
import type { RootView } from "./roots.ts";
import { TreeWriter } from "./tree-writer.ts";
import type { EpochSource } from "./upload.ts";

/** When a chain of steps ends. */
export interface ChainLimits {
  /** Entries in all steps of a chain together. */
  readonly entriesMax: number;
  readonly stepsMax: number;
  /** Between the cut of the checkpoint and that of the last step. */
  readonly ageMsMax: number;
}

/** 1 GiB of changed blocks of 64 KiB: some 30 bytes each for the one who rolls them forward, in memory and to read. */
export const CHAIN_LIMITS: ChainLimits = { entriesMax: 16_384, stepsMax: 256, ageMsMax: 10 * 60_000 };

type Head = "volumeId" | "generation" | "epoch" | "sizeBytes" | "blockBytes" | "cutAtMs" | "parentRootKey";

/** Takes the changes and makes what a root says of them. */
export interface RootWriter {
  /** The block's entry in the root before; undefined: zeros. Blocks come in ascending order. */
  before(block: number): Promise<Entry | undefined>;
  /** The block has this entry now; undefined: zeros. Blocks come in ascending order. */
  set(block: number, entry: Entry | undefined): Promise<void>;
  finish(): Promise<Omit<Checkpoint, Head> | Omit<Step, Head>>;
}

/** Whether the epoch may become a step over its parent. The same epoch over the same parent gets the same answer. */
export function mayBeStep(source: EpochSource, { root }: RootView, limits: ChainLimits): boolean {
  if (source.kind !== "step" || root.volumeId !== source.volumeId || root.sizeBytes !== source.sizeBytes)
    return false;
  const chain = root.kind === "step" ? root.chainKeys.length + 1 : 0;
  const entries = root.kind === "step" ? root.chainEntries : 0;
  const sinceMs = root.kind === "step" ? root.checkpointCutAtMs : root.cutAtMs;
  return (
    chain < limits.stepsMax &&
    entries + source.dirtyBlockCount <= limits.entriesMax &&
    source.cutAtMs - sinceMs <= limits.ageMsMax
  );
}

export class StepWriter implements RootWriter {
  readonly #fetcher: Fetcher;
  readonly #parent: RootView;
  readonly #changes: Change[] = [];
  #nonZeroBlocks: number;

  constructor(fetcher: Fetcher, parent: RootView) {
    this.#fetcher = fetcher;
    this.#parent = parent;
    this.#nonZeroBlocks = parent.root.nonZeroBlocks;
  }

  async before(block: number): Promise<Entry | undefined> {
    const [entry] = await this.#fetcher.entries(this.#parent, block, 1);
    return entry;
  }

  async set(block: number, entry: Entry | undefined): Promise<void> {
    const before = await this.before(block);
    if (before === entry || (before !== undefined && entry?.equals(before))) return;
    if (before === undefined) this.#nonZeroBlocks += 1;
    if (entry === undefined) this.#nonZeroBlocks -= 1;
    this.#changes.push([block, entry]);
  }

  async finish(): Promise<Omit<Step, Head>> {
    const { root, rootKey, checkpoint } = this.#parent;
    const isFirst = root.kind === "checkpoint";
    return {
      kind: "step",
      nonZeroBlocks: this.#nonZeroBlocks,
      checkpointKey: isFirst ? rootKey : root.checkpointKey,
      chainKeys: isFirst ? [] : [...root.chainKeys, rootKey],
      checkpointCutAtMs: checkpoint.cutAtMs,
      chainEntries: (isFirst ? 0 : root.chainEntries) + this.#changes.length,
      entries: Overlay.of(this.#changes),
    };
  }
}

/** Writes a map: the parent's checkpoint, what its steps have changed since, and what is set here. */
export class CheckpointWriter implements RootWriter {
  readonly #tree: TreeWriter;
  /** What the parent's steps have changed, and how much of it is in the tree or was changed again. */
  readonly #changed: Overlay;
  #next = 0;

  constructor(fetcher: Fetcher, packs: PackWriter, parent: RootView | undefined, blockCount: number) {
    this.#tree = new TreeWriter(fetcher, packs, parent?.checkpoint, blockCount);
    this.#changed = parent?.overlay ?? NO_CHANGES;
  }

  async before(block: number): Promise<Entry | undefined> {
    await this.#setBefore(block);
    if (this.#changed.blockAt(this.#next) === block) return this.#changed.entryAt(this.#next);
    return this.#tree.before(block);
  }

  async set(block: number, entry: Entry | undefined): Promise<void> {
    await this.#setBefore(block);
    if (this.#changed.blockAt(this.#next) === block) this.#next += 1;
    await this.#tree.set(block, entry);
  }

  async finish(): Promise<Omit<Checkpoint, Head>> {
    await this.#setBefore(Number.POSITIVE_INFINITY);
    const top = await this.#tree.finish();
    const { levels, nonZeroBlocks } = this.#tree;
    return { kind: "checkpoint", levels, top: top === undefined ? null : top.toString("hex"), nonZeroBlocks };
  }

  async #setBefore(block: number): Promise<void> {
    for (; this.#changed.blockAt(this.#next) < block; this.#next++) {
      await this.#tree.set(this.#changed.blockAt(this.#next), this.#changed.entryAt(this.#next));
    }
  }
}
