/**
 * Which pieces of a volume were written during one epoch.
 *
 * On disk: 16 bits (little endian) for each block, in a sparse file; in memory: the same, in pages that exist only
 * where something is dirty.
 *
 * Invariant 5: `mark` has put the bits into the file before it returns, and the engine writes the data afterwards.
 * So after a crash of the process no change is missing here. After a loss of power the file proves nothing: the
 * region log does.
 */
import { strict as assert } from "node:assert";
import type { Disk, DiskFile } from "../platform/disk.ts";
import { ALL_PIECES, BLOCK_BYTES, touchedPieces } from "./geometry.ts";

const BLOCKS_PER_PAGE = 4096;
const MASK_BYTES = 2;
const READ_BYTES = 1024 * 1024;

export class DirtyMap {
  readonly path: string;
  readonly blockCount: number;
  readonly #file: DiskFile;
  readonly #pages = new Map<number, Uint16Array>();
  #dirtyBlocks = 0;
  readonly #scratch = Buffer.alloc(MASK_BYTES * 64);

  private constructor(file: DiskFile, blockCount: number) {
    this.#file = file;
    this.path = file.path;
    this.blockCount = blockCount;
  }

  /** Opens the map in the file at `path`, which is made if it is not there. */
  static open(disk: Disk, path: string, blockCount: number): DirtyMap {
    const file = disk.open(path, { create: true, sizeBytes: blockCount * MASK_BYTES });
    const map = new DirtyMap(file, blockCount);
    map.#load();
    return map;
  }

  /** Blocks with at least one dirty piece. */
  get dirtyBlocks(): number {
    return this.#dirtyBlocks;
  }

  /** The block's dirty pieces. */
  mask(block: number): number {
    return this.#pages.get(Math.floor(block / BLOCKS_PER_PAGE))?.[block % BLOCKS_PER_PAGE] ?? 0;
  }

  has(block: number): boolean {
    return this.mask(block) !== 0;
  }

  /** Marks the pieces that the byte range touches. */
  markRange(offsetBytes: number, lengthBytes: number): void {
    const firstBlock = Math.floor(offsetBytes / BLOCK_BYTES);
    const lastBlock = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    if (firstBlock === lastBlock) {
      this.mark(firstBlock, touchedPieces(offsetBytes - firstBlock * BLOCK_BYTES, lengthBytes));
      return;
    }
    const end = offsetBytes + lengthBytes;
    let changedFrom = -1;
    let changedTo = -1;
    for (let block = firstBlock; block <= lastBlock; block++) {
      const start = Math.max(offsetBytes - block * BLOCK_BYTES, 0);
      const stop = Math.min(end - block * BLOCK_BYTES, BLOCK_BYTES);
      if (this.#set(block, touchedPieces(start, stop - start))) {
        if (changedFrom < 0) changedFrom = block;
        changedTo = block;
      }
    }
    if (changedFrom >= 0) this.#save(changedFrom, changedTo - changedFrom + 1);
  }

  /** Marks the pieces of `mask` in one block. */
  mark(block: number, mask: number): void {
    if (this.#set(block, mask)) this.#save(block, 1);
  }

  /** Marks every piece of the blocks from `first` on. */
  markBlocks(first: number, count: number): void {
    const end = Math.min(first + count, this.blockCount);
    let changed = false;
    for (let block = first; block < end; block++) changed = this.#set(block, ALL_PIECES) || changed;
    if (changed) this.#save(first, end - first);
  }

  /** Forgets the block: for one whose bytes turn out not to be there. */
  clear(block: number): void {
    const page = this.#pages.get(Math.floor(block / BLOCKS_PER_PAGE));
    if (page === undefined || this.mask(block) === 0) return;
    page[block % BLOCKS_PER_PAGE] = 0;
    this.#dirtyBlocks -= 1;
    this.#save(block, 1);
  }

  /** Adds all that is dirty in `other`. */
  absorb(other: DirtyMap): void {
    for (const block of other.blocks()) this.mark(block, other.mask(block));
  }

  /** The dirty blocks, ascending. */
  *blocks(): Iterable<number> {
    for (const index of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(index);
      if (page === undefined) continue;
      for (let i = 0; i < BLOCKS_PER_PAGE; i++) {
        if (page[i] !== 0) yield index * BLOCKS_PER_PAGE + i;
      }
    }
  }

  /** The runs of `blocksPerRegion` blocks with something dirty, as their numbers. */
  regions(blocksPerRegion: number): Set<number> {
    const found = new Set<number>();
    for (const [index, page] of this.#pages) {
      for (let start = 0; start < BLOCKS_PER_PAGE; start += blocksPerRegion) {
        if (page.subarray(start, start + blocksPerRegion).some((mask) => mask !== 0)) {
          found.add((index * BLOCKS_PER_PAGE + start) / blocksPerRegion);
        }
      }
    }
    return found;
  }

  /** Makes the map survive loss of power. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): void {
    this.#file.close();
  }

  #set(block: number, mask: number): boolean {
    assert(block >= 0 && block < this.blockCount);
    const index = Math.floor(block / BLOCKS_PER_PAGE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint16Array(BLOCKS_PER_PAGE);
      this.#pages.set(index, page);
    }
    const before = page[block % BLOCKS_PER_PAGE] ?? 0;
    if ((before & mask) === mask) return false;
    if (before === 0) this.#dirtyBlocks += 1;
    page[block % BLOCKS_PER_PAGE] = before | mask;
    return true;
  }

  #save(first: number, count: number): void {
    const bytes = count * MASK_BYTES;
    const buffer = bytes <= this.#scratch.length ? this.#scratch : Buffer.alloc(bytes);
    for (let i = 0; i < count; i++) buffer.writeUInt16LE(this.mask(first + i), i * MASK_BYTES);
    this.#file.writeSync(buffer, 0, bytes, first * MASK_BYTES);
  }

  #load(): void {
    const total = this.blockCount * MASK_BYTES;
    const buffer = Buffer.alloc(Math.min(READ_BYTES, total));
    const zeros = Buffer.alloc(buffer.length);
    for (let at = 0; at < total; at += buffer.length) {
      const length = Math.min(buffer.length, total - at);
      this.#file.readSync(buffer, 0, length, at);
      if (buffer.equals(zeros)) continue;
      for (let i = 0; i < length; i += MASK_BYTES) {
        const mask = buffer.readUInt16LE(i);
        if (mask !== 0) this.#set((at + i) / MASK_BYTES, mask);
      }
    }
  }
}
