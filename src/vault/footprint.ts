/**
 * What one root takes of the vault by itself, and how far two roots are apart. Read from the maps alone, in time that is
 * proportional to what differs; no chunk is fetched.
 */
import type { Clock } from "../platform/clock.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { type Difference, differences } from "./difference.ts";
import { baseName, deltaNames, type Entry, isDelta, isSameBlock } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import type { IndexKeeper } from "./index-keeper.ts";
import type { Roots, RootView } from "./roots.ts";
import { VaultError } from "./vault-error.ts";

/** What is looked at in one go: this bounds the memory, and how long it takes. */
export interface FootprintLimits {
  readonly recordsMax: number;
  readonly timeMsMax: number;
}

/** What a root has that its neighbours don't have at the same place. */
export interface Footprint {
  /** Blocks that hold something else than in both neighbours. */
  readonly blocks: number;
  /** Bytes of the records that they are made of, as they lie in the bucket; each record once. */
  readonly storedBytes: number;
  /** False where a limit came before the end: then there is more. */
  readonly isWhole: boolean;
}

/** How two roots differ. */
export interface RootDifference {
  readonly blockBytes: number;
  /** Of the larger one. */
  readonly sizeBytes: number;
  readonly changedBlocks: number;
  /** Bytes in the bucket of records that only the second has at these places; each record once. */
  readonly storedBytes: number;
  /** Changed blocks in each of so many equal parts of the volume. */
  readonly parts: readonly number[];
  readonly isWhole: boolean;
}

export interface FootprintParts {
  readonly roots: Roots;
  readonly fetcher: Fetcher;
  readonly keeper: IndexKeeper;
  readonly index: ChunkIndex;
  readonly clock: Clock;
  readonly pause: () => Promise<void>;
}

const BLOCKS_BETWEEN_PAUSES = 2048;

export class Footprints {
  readonly #parts: FootprintParts;

  constructor(parts: FootprintParts) {
    this.#parts = parts;
  }

  /** What only `key` holds, of it and the moments before and after it. Without one of them it stands against nothing. */
  async unique(
    key: string,
    beforeKey: string | undefined,
    afterKey: string | undefined,
    limits: FootprintLimits,
  ): Promise<Footprint> {
    const { keeper } = this.#parts;
    const view = await this.#view(key, undefined);
    const before = beforeKey === undefined ? undefined : await this.#view(beforeKey, view);
    const after = afterKey === undefined ? undefined : await this.#view(afterKey, view);
    const end = view.root.sizeBytes / view.root.blockBytes;
    return keeper.whole(async () => {
      const sum = new RecordSum(this.#parts, limits);
      let blocks = 0;
      for await (const [was, is] of this.#inBoth(before, after, view, end)) {
        const entry = was.after;
        if (entry === undefined) continue;
        const others = new Set([...recordsOf(was.before), ...recordsOf(is.before)].map(nameText));
        sum.add(recordsOf(entry).filter((name) => !others.has(nameText(name))));
        if (!isSameBlock(entry, was.before) && !isSameBlock(entry, is.before)) blocks += 1;
        if (await sum.isEnough()) return { blocks, storedBytes: sum.bytes, isWhole: false };
      }
      return { blocks, storedBytes: sum.bytes, isWhole: true };
    });
  }

  /** What has changed from one root to another, and where: in `parts` equal parts of the larger one. */
  async difference(
    beforeKey: string,
    afterKey: string,
    parts: number,
    limits: FootprintLimits,
  ): Promise<RootDifference> {
    const { keeper, fetcher } = this.#parts;
    const before = await this.#view(beforeKey, undefined);
    const after = await this.#view(afterKey, before);
    const { blockBytes } = after.root;
    const sizeBytes = Math.max(before.root.sizeBytes, after.root.sizeBytes);
    const end = sizeBytes / blockBytes;
    return keeper.whole(async () => {
      const sum = new RecordSum(this.#parts, limits);
      const found = new Array<number>(parts).fill(0);
      let changedBlocks = 0;
      let isWhole = true;
      for await (const each of differences(fetcher, before, after, 0, end)) {
        changedBlocks += 1;
        const part = Math.floor((each.block * parts) / end);
        found[part] = (found[part] ?? 0) + 1;
        const others = new Set(recordsOf(each.before).map(nameText));
        sum.add(recordsOf(each.after).filter((name) => !others.has(nameText(name))));
        if (await sum.isEnough()) {
          isWhole = false;
          break;
        }
      }
      return { blockBytes, sizeBytes, changedBlocks, storedBytes: sum.bytes, parts: found, isWhole };
    });
  }

  /** The blocks in which `view` is made of other records than either neighbour, with what each has there. */
  async *#inBoth(
    before: RootView | undefined,
    after: RootView | undefined,
    view: RootView,
    end: number,
  ): AsyncGenerator<readonly [Difference, Difference]> {
    const { fetcher } = this.#parts;
    const ones = differences(fetcher, before, view, 0, end, "records");
    const others = differences(fetcher, after, view, 0, end, "records");
    let [one, other] = [await ones.next(), await others.next()];
    while (one.done !== true && other.done !== true) {
      if (one.value.block === other.value.block) {
        yield [one.value, other.value];
        [one, other] = [await ones.next(), await others.next()];
      } else if (one.value.block < other.value.block) one = await ones.next();
      else other = await others.next();
    }
  }

  async #view(key: string, other: RootView | undefined): Promise<RootView> {
    const view = await this.#parts.roots.view(key);
    if (other !== undefined && other.root.blockBytes !== view.root.blockBytes)
      throw new VaultError("corrupt", `${key} has blocks of another size`);
    return view;
  }
}

/** Bytes of records, each of them counted once. */
class RecordSum {
  bytes = 0;
  readonly #index: ChunkIndex;
  readonly #clock: Clock;
  readonly #pause: () => Promise<void>;
  readonly #limits: FootprintLimits;
  readonly #startMs: number;
  readonly #counted = new Set<string>();
  #blocks = 0;

  constructor({ index, clock, pause }: FootprintParts, limits: FootprintLimits) {
    this.#index = index;
    this.#clock = clock;
    this.#pause = pause;
    this.#limits = limits;
    this.#startMs = clock.monotonicMs();
  }

  add(names: readonly Buffer[]): void {
    for (const name of names) {
      const text = nameText(name);
      if (this.#counted.has(text)) continue;
      this.#counted.add(text);
      this.bytes += this.#index.find(name)?.storedBytes ?? 0;
    }
  }

  /** Whether a limit is reached. Gives way to others now and then. */
  async isEnough(): Promise<boolean> {
    this.#blocks += 1;
    if (this.#blocks % BLOCKS_BETWEEN_PAUSES === 0) {
      await this.#pause();
      if (this.#clock.monotonicMs() - this.#startMs > this.#limits.timeMsMax) return true;
    }
    return this.#counted.size >= this.#limits.recordsMax;
  }
}

/** The records that a block is made of. */
function recordsOf(entry: Entry | undefined): Buffer[] {
  if (entry === undefined) return [];
  return isDelta(entry) ? [baseName(entry), ...deltaNames(entry)] : [entry];
}

function nameText(name: Buffer): string {
  return name.toString("latin1");
}
