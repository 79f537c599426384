/**
 * Which pieces of a volume were written during one epoch.
 *
 * On disk, in one sparse file, on two levels. It is a row of groups, each for 1 TiB of the volume:
 * ```
 * 0      summary: one byte for each of the group's 4096 pages; bit r: something in the page's region r is dirty
 * 4096   pages of 4096 blocks: 16 bits (little endian) for each block: its dirty pieces
 * ```
 * So finding what is dirty costs as much as what is dirty, not as the volume is large. In memory: the summary, and as
 * many pages as the budget allows; every page can be dropped at any time, as its file has all of it.
 *
 * Invariant 5: `mark` has put the bits into the file before it returns, and the engine writes the data afterwards.
 * So after a crash of the process no change is missing here. After a loss of power the file proves nothing: the
 * region log does. A mark whose write fails is not in memory either, so the next one writes it again.
 */
import { strict as assert } from "node:assert";
import type { Disk, DiskFile } from "../platform/disk.ts";
import { ALL_PIECES, BLOCK_BYTES, touchedPieces } from "./geometry.ts";
import { type KeptPage, PageBudget } from "./page-budget.ts";
import { BLOCKS_PER_REGION } from "./region-log.ts";

const BLOCKS_PER_PAGE = 4096;
const MASK_BYTES = 2;
const PAGE_BYTES = BLOCKS_PER_PAGE * MASK_BYTES;
const REGIONS_PER_PAGE = BLOCKS_PER_PAGE / BLOCKS_PER_REGION;
const PAGES_PER_GROUP = 4096;
const GROUP_BYTES = PAGES_PER_GROUP + PAGES_PER_GROUP * PAGE_BYTES;
/** Pages that a map keeps for itself where no budget is given. */
const PAGES_ALONE = 64;

class Page implements KeptPage {
  readonly keeper: DirtyMap;
  readonly index: number;
  readonly bytes = Buffer.alloc(PAGE_BYTES);
  readonly masks: Uint16Array;

  constructor(keeper: DirtyMap, index: number) {
    this.keeper = keeper;
    this.index = index;
    this.masks = new Uint16Array(this.bytes.buffer, this.bytes.byteOffset, BLOCKS_PER_PAGE);
  }
}

export class DirtyMap {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #budget: PageBudget;
  readonly #pages = new Map<number, Page>();
  #summary: Buffer;
  #blockCount: number;
  #dirtyBlocks = 0;
  /** The page used last: most writes stay on it. */
  #last: Page | undefined;

  private constructor(file: DiskFile, blockCount: number, budget: PageBudget) {
    this.#file = file;
    this.path = file.path;
    this.#blockCount = blockCount;
    this.#summary = Buffer.alloc(pagesOf(blockCount));
    this.#budget = budget;
  }

  /** Makes an empty map in the file at `path`, whatever stood there. Costs the same for every size. */
  static create(
    disk: Disk,
    path: string,
    blockCount: number,
    budget = new PageBudget(PAGES_ALONE),
  ): DirtyMap {
    const file = disk.open(path, { create: true, erase: true, sizeBytes: fileBytes(blockCount), lazy: true });
    return new DirtyMap(file, blockCount, budget);
  }

  /** Opens the map in the file at `path`, which is made if it is not there. */
  static open(disk: Disk, path: string, blockCount: number, budget = new PageBudget(PAGES_ALONE)): DirtyMap {
    const file = disk.open(path, { create: true, sizeBytes: fileBytes(blockCount), lazy: true });
    const map = new DirtyMap(file, blockCount, budget);
    for (let first = 0; first < map.#summary.length; first += PAGES_PER_GROUP) {
      const count = Math.min(PAGES_PER_GROUP, map.#summary.length - first);
      file.readSync(map.#summary, first, count, (first / PAGES_PER_GROUP) * GROUP_BYTES);
    }
    for (const index of map.#markedPages()) map.#dirtyBlocks += countDirty(map.#page(index).masks);
    return map;
  }

  get blockCount(): number {
    return this.#blockCount;
  }

  /** Blocks with at least one dirty piece. */
  get dirtyBlocks(): number {
    return this.#dirtyBlocks;
  }

  /** The block's dirty pieces. */
  mask(block: number): number {
    const index = Math.floor(block / BLOCKS_PER_PAGE);
    // Nor is anything that a volume had not yet when the map was its open one.
    if ((this.#summary[index] ?? 0) === 0) return 0;
    return this.#page(index).masks[block % BLOCKS_PER_PAGE] ?? 0;
  }

  has(block: number): boolean {
    return this.mask(block) !== 0;
  }

  /** Marks the pieces that the byte range touches. */
  markRange(offsetBytes: number, lengthBytes: number): void {
    const end = offsetBytes + lengthBytes;
    let block = Math.floor(offsetBytes / BLOCK_BYTES);
    const start = block * BLOCK_BYTES;
    if (offsetBytes > start || end < start + BLOCK_BYTES) {
      const stop = Math.min(end, start + BLOCK_BYTES);
      this.mark(block, touchedPieces(offsetBytes - start, stop - offsetBytes));
      block += 1;
    }
    const whole = Math.floor(end / BLOCK_BYTES) - block;
    if (whole > 0) {
      this.markBlocks(block, whole);
      block += whole;
    }
    const rest = end - block * BLOCK_BYTES;
    if (rest > 0) this.mark(block, touchedPieces(0, rest));
  }

  /** Marks the pieces of `mask` in one block. */
  mark(block: number, mask: number): void {
    assert(block >= 0 && block < this.#blockCount);
    const page = this.#page(Math.floor(block / BLOCKS_PER_PAGE));
    const place = block % BLOCKS_PER_PAGE;
    const before = page.masks[place] ?? 0;
    if ((before & mask) === mask) return;
    this.#summarize(page.index, place, 1);
    MARK[0] = before | mask;
    this.#file.writeSync(MARK_BYTES, 0, MASK_BYTES, positionOf(page.index) + place * MASK_BYTES);
    page.masks[place] = before | mask;
    if (before === 0) this.#dirtyBlocks += 1;
  }

  /** Marks every piece of the blocks from `first` on. */
  markBlocks(first: number, count: number): void {
    assert(first >= 0 && first + count <= this.#blockCount);
    const end = first + count;
    for (let block = first; block < end; ) {
      const page = this.#page(Math.floor(block / BLOCKS_PER_PAGE));
      const place = block % BLOCKS_PER_PAGE;
      const run = Math.min(BLOCKS_PER_PAGE - place, end - block);
      this.#markRun(page, place, run);
      block += run;
    }
  }

  /** Forgets the block: for one whose bytes turn out not to be there. */
  clear(block: number): void {
    if (this.mask(block) === 0) return;
    const page = this.#page(Math.floor(block / BLOCKS_PER_PAGE));
    const place = block % BLOCKS_PER_PAGE;
    MARK[0] = 0;
    this.#file.writeSync(MARK_BYTES, 0, MASK_BYTES, positionOf(page.index) + place * MASK_BYTES);
    page.masks[place] = 0;
    this.#dirtyBlocks -= 1;
  }

  /** Adds all that is dirty in `other`. */
  absorb(other: DirtyMap): void {
    for (const index of other.#markedPages()) {
      const merged = Buffer.from(other.#page(index).bytes);
      const masks = new Uint16Array(merged.buffer, merged.byteOffset, BLOCKS_PER_PAGE);
      const page = this.#page(index);
      for (let i = 0; i < BLOCKS_PER_PAGE; i++) masks[i] = (masks[i] ?? 0) | (page.masks[i] ?? 0);
      this.#setSummary(index, (this.#summary[index] ?? 0) | (other.#summary[index] ?? 0));
      this.#write(page, merged, PAGE_BYTES, 0);
      this.#dirtyBlocks += countDirty(masks) - countDirty(page.masks);
      page.masks.set(masks);
    }
  }

  /** The dirty blocks, ascending. Blocks marked meanwhile may be among them or not. */
  *blocks(): Iterable<number> {
    for (const index of this.#markedPages()) {
      const { masks } = this.#page(index);
      for (let i = 0; i < BLOCKS_PER_PAGE; i++) {
        if (masks[i] !== 0) yield index * BLOCKS_PER_PAGE + i;
      }
    }
  }

  /** The regions (region-log.ts) with something dirty, as their numbers. */
  regions(): Set<number> {
    const found = new Set<number>();
    for (const index of this.#markedPages()) {
      for (let region = 0; region < REGIONS_PER_PAGE; region++) {
        if (((this.#summary[index] ?? 0) & (1 << region)) !== 0) found.add(index * REGIONS_PER_PAGE + region);
      }
    }
    return found;
  }

  /** The volume has grown: nothing of the new blocks is dirty. */
  grow(disk: Disk, blockCount: number): void {
    assert(blockCount >= this.#blockCount);
    disk.open(this.path, { sizeBytes: fileBytes(blockCount), lazy: true }).close();
    const summary = Buffer.alloc(pagesOf(blockCount));
    this.#summary.copy(summary);
    this.#summary = summary;
    this.#blockCount = blockCount;
  }

  /** Makes the map survive loss of power. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): void {
    for (const page of this.#pages.values()) this.#budget.forget(page);
    this.#pages.clear();
    this.#last = undefined;
    this.#file.close();
  }

  /** For the budget. */
  dropPage(index: number): void {
    if (this.#last?.index === index) this.#last = undefined;
    this.#pages.delete(index);
  }

  #page(index: number): Page {
    if (this.#last?.index === index) return this.#last;
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Page(this, index);
      // A page that nothing was marked in needs not be read.
      if (this.#summary[index] !== 0) {
        this.#file.readSync(page.bytes, 0, PAGE_BYTES, positionOf(index));
      }
      this.#pages.set(index, page);
    }
    this.#last = page;
    this.#budget.use(page);
    return page;
  }

  #markRun(page: Page, place: number, count: number): void {
    let added = 0;
    let changed = false;
    for (let i = place; i < place + count; i++) {
      if (page.masks[i] === 0) added += 1;
      if (page.masks[i] !== ALL_PIECES) changed = true;
    }
    if (!changed) return;
    this.#summarize(page.index, place, count);
    this.#write(page, FULL, count * MASK_BYTES, place * MASK_BYTES);
    page.masks.fill(ALL_PIECES, place, place + count);
    this.#dirtyBlocks += added;
  }

  /**
   * Writes a part of a page. Where there is room for the beginning only, the page becomes what the file holds: whoever
   * uploads an epoch goes by the file, and what he takes for dirty has to be frozen.
   */
  #write(page: Page, source: Buffer, lengthBytes: number, offsetInPage: number): void {
    try {
      this.#file.writeSync(source, 0, lengthBytes, positionOf(page.index) + offsetInPage);
    } catch (error) {
      const before = countDirty(page.masks);
      this.#file.readSync(page.bytes, 0, PAGE_BYTES, positionOf(page.index));
      this.#dirtyBlocks += countDirty(page.masks) - before;
      throw error;
    }
  }

  #summarize(index: number, place: number, count: number): void {
    let bits = this.#summary[index] ?? 0;
    const last = Math.floor((place + count - 1) / BLOCKS_PER_REGION);
    for (let region = Math.floor(place / BLOCKS_PER_REGION); region <= last; region++) bits |= 1 << region;
    this.#setSummary(index, bits);
  }

  #setSummary(index: number, bits: number): void {
    if (this.#summary[index] === bits) return;
    const before = this.#summary[index] ?? 0;
    this.#summary[index] = bits;
    try {
      const group = Math.floor(index / PAGES_PER_GROUP);
      this.#file.writeSync(this.#summary, index, 1, group * GROUP_BYTES + (index % PAGES_PER_GROUP));
    } catch (error) {
      this.#summary[index] = before;
      throw error;
    }
  }

  *#markedPages(): Iterable<number> {
    for (let index = 0; index < this.#summary.length; index++) if (this.#summary[index] !== 0) yield index;
  }
}

const MARK = new Uint16Array(1);
const MARK_BYTES = Buffer.from(MARK.buffer);
const FULL = Buffer.alloc(PAGE_BYTES, 0xff);

function pagesOf(blockCount: number): number {
  return Math.ceil(blockCount / BLOCKS_PER_PAGE);
}

function positionOf(pageIndex: number): number {
  const group = Math.floor(pageIndex / PAGES_PER_GROUP);
  return group * GROUP_BYTES + PAGES_PER_GROUP + (pageIndex % PAGES_PER_GROUP) * PAGE_BYTES;
}

/** Up to the end of the last page. */
function fileBytes(blockCount: number): number {
  return positionOf(pagesOf(blockCount) - 1) + PAGE_BYTES;
}

function countDirty(masks: Uint16Array): number {
  let count = 0;
  for (const mask of masks) if (mask !== 0) count += 1;
  return count;
}

/** Maps of epochs that are done, or of a cut that did not come about. */
export function removeStrayMaps(disk: Disk, folder: string, known: ReadonlySet<string>): void {
  for (const name of disk.list(folder)) {
    const path = `${folder}/${name}`;
    if (name.startsWith("dirty-") && !known.has(path)) disk.remove(path);
  }
}
