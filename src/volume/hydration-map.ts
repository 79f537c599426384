/**
 * Which blocks of a restored stored volume have reached its disk; the others are still read from the parent root.
 *
 * Two files of one bit a block. `exact` is written after the block's bytes and before anything is acknowledged: it is
 * right after a crash of the process. `durable` follows it at every flush, after the data was synced: it is what a
 * loss of power leaves us to believe. A block that is only in `exact` then is fetched again, which loses nothing that
 * a flush had promised.
 */
import { strict as assert } from "node:assert";
import type { Disk, DiskFile } from "../platform/disk.ts";

const EXACT = "hydrated";
const DURABLE = "hydrated-durable";
/** What is written to `durable` at a time: 32768 blocks, 2 GiB of the volume. */
const PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;
/** How many bits of a byte are set. */
const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

export class HydrationMap {
  readonly blockCount: number;
  readonly #bits: Buffer;
  readonly #exact: DiskFile;
  readonly #durable: DiskFile;
  #hydrated = 0;
  /** Pages of `#bits` that `durable` does not have yet. */
  #changed = new Set<number>();

  private constructor(exact: DiskFile, durable: DiskFile, blockCount: number, trustExact: boolean) {
    this.blockCount = blockCount;
    this.#exact = exact;
    this.#durable = durable;
    const bytes = Math.ceil(blockCount / 8);
    this.#bits = Buffer.alloc(bytes);
    (trustExact ? exact : durable).readSync(this.#bits, 0, bytes, 0);
    if (trustExact) this.#noteChanged(0, bytes - 1);
    else exact.writeSync(this.#bits, 0, bytes, 0);
    for (const byte of this.#bits) this.#hydrated += BITS_SET[byte] ?? 0;
  }

  /** Opens the pair in `folder`; `trustExact` says that no power was lost since it was written. */
  static open(disk: Disk, folder: string, blockCount: number, trustExact: boolean): HydrationMap {
    const options = { create: true, sizeBytes: Math.ceil(blockCount / 8) };
    return new HydrationMap(
      disk.open(`${folder}/${EXACT}`, options),
      disk.open(`${folder}/${DURABLE}`, options),
      blockCount,
      trustExact,
    );
  }

  /** Writes all of it again: see `Epochs.suspect`. Every block's bytes are durable already. */
  async rewrite(): Promise<void> {
    for (const file of [this.#exact, this.#durable]) {
      file.writeSync(this.#bits, 0, this.#bits.length, 0);
      await file.sync();
    }
  }

  static remove(disk: Disk, folder: string): void {
    disk.remove(`${folder}/${EXACT}`);
    disk.remove(`${folder}/${DURABLE}`);
  }

  /** Blocks on the disk. */
  get hydratedBlocks(): number {
    return this.#hydrated;
  }

  get complete(): boolean {
    return this.#hydrated === this.blockCount;
  }

  has(block: number): boolean {
    return ((this.#bits[block >> 3] ?? 0) & (1 << (block & 7))) !== 0;
  }

  /**
   * Records that the blocks' bytes are on the disk; call it after writing them. Where it throws, nothing is recorded: a
   * block that is there for this process alone would take what is written to it along when the process dies.
   */
  add(first: number, count: number): void {
    assert(first >= 0 && count > 0 && first + count <= this.blockCount);
    const end = first + count;
    const from = first >> 3;
    const to = (end - 1) >> 3;
    const before = Buffer.from(this.#bits.subarray(from, to + 1));
    const hydratedBefore = this.#hydrated;
    for (let block = first; block < end; ) {
      const at = block >> 3;
      const bits = this.#bits[at] ?? 0;
      const isWhole = (block & 7) === 0 && end - block >= 8;
      const after = isWhole ? 0xff : bits | (1 << (block & 7));
      this.#hydrated += (BITS_SET[after] ?? 0) - (BITS_SET[bits] ?? 0);
      this.#bits[at] = after;
      block += isWhole ? 8 : 1;
    }
    try {
      this.#exact.writeSync(this.#bits, from, to - from + 1, from);
    } catch (error) {
      before.copy(this.#bits, from);
      this.#hydrated = hydratedBefore;
      this.#takeBack(from, to);
      throw error;
    }
    this.#noteChanged(from, to);
  }

  /** Of a record that has failed, parts may have got to the file: a sector of it is written whole or not at all. */
  #takeBack(from: number, to: number): void {
    if (Math.floor(from / SECTOR_BYTES) === Math.floor(to / SECTOR_BYTES)) return;
    try {
      this.#exact.writeSync(this.#bits, from, to - from + 1, from);
    } catch (error) {
      throw new Error(`${this.#exact.path} may name blocks that are not there`, { cause: error });
    }
  }

  /** The first block from `start` on that is not on the disk, or -1. */
  nextMissing(start: number): number {
    for (let block = start; block < this.blockCount; ) {
      if ((block & 7) === 0 && this.#bits[block >> 3] === 0xff) block += 8;
      else if (this.has(block)) block += 1;
      else return block;
    }
    return -1;
  }

  /**
   * Runs `syncData` (which must make the blocks' bytes durable) and then records durably which blocks those were.
   */
  async flush(syncData: () => Promise<void>): Promise<void> {
    const changed = this.#changed;
    // What is added while the data is being synced is not covered by that sync: copy the bits before it.
    const pages = [...changed].map((page) => {
      const at = page * PAGE_BYTES;
      return { at, bits: Buffer.from(this.#bits.subarray(at, at + PAGE_BYTES)) };
    });
    this.#changed = new Set();
    try {
      await syncData();
      if (pages.length === 0) return;
      for (const { at, bits } of pages) this.#durable.writeSync(bits, 0, bits.length, at);
      await this.#durable.sync();
    } catch (error) {
      for (const page of changed) this.#changed.add(page);
      throw error;
    }
  }

  /** Makes `exact` durable too: after a clean shutdown it is believed on any boot. */
  syncExact(): Promise<void> {
    return this.#exact.sync();
  }

  /** Notes that these bytes of `#bits` have changed, the last one among them. */
  #noteChanged(fromByte: number, toByte: number): void {
    const last = Math.floor(toByte / PAGE_BYTES);
    for (let page = Math.floor(fromByte / PAGE_BYTES); page <= last; page++) this.#changed.add(page);
  }

  close(): void {
    this.#exact.close();
    this.#durable.close();
  }
}
