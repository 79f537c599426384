/**
 * Which blocks of a restored stored volume have reached its disk; the others are still read from the parent root.
 *
 * Two files of one bit a block. `exact` is written after the block's bytes and before anything is acknowledged: it is
 * right after a crash of the process. `durable` follows it at every flush, after the data was synced: it is what a
 * loss of power leaves us to believe. A block that is only in `exact` then is fetched again, which loses nothing that
 * a flush had promised.
 */
import type { Disk, DiskFile } from "../platform/disk.ts";

const EXACT = "hydrated";
const DURABLE = "hydrated-durable";

export class HydrationMap {
  readonly blockCount: number;
  readonly #bits: Buffer;
  readonly #exact: DiskFile;
  readonly #durable: DiskFile;
  #hydrated = 0;
  /** Byte range of `#bits` that `durable` does not have yet. */
  #changedFrom = Number.POSITIVE_INFINITY;
  #changedTo = -1;

  private constructor(exact: DiskFile, durable: DiskFile, blockCount: number, trustExact: boolean) {
    this.blockCount = blockCount;
    this.#exact = exact;
    this.#durable = durable;
    const bytes = Math.ceil(blockCount / 8);
    this.#bits = Buffer.alloc(bytes);
    (trustExact ? exact : durable).readSync(this.#bits, 0, bytes, 0);
    if (trustExact) {
      this.#changedFrom = 0;
      this.#changedTo = bytes - 1;
    } else {
      exact.writeSync(this.#bits, 0, bytes, 0);
    }
    for (let block = 0; block < blockCount; block++) if (this.has(block)) this.#hydrated += 1;
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

  /** Records that the blocks' bytes are on the disk; call it after writing them. */
  add(first: number, count: number): void {
    for (let block = first; block < first + count; block++) {
      if (this.has(block)) continue;
      this.#bits[block >> 3] = (this.#bits[block >> 3] ?? 0) | (1 << (block & 7));
      this.#hydrated += 1;
    }
    const from = first >> 3;
    const to = (first + count - 1) >> 3;
    this.#exact.writeSync(this.#bits, from, to - from + 1, from);
    this.#changedFrom = Math.min(this.#changedFrom, from);
    this.#changedTo = Math.max(this.#changedTo, to);
  }

  /** The first block from `start` on that is not on the disk, or -1. */
  nextMissing(start: number): number {
    for (let block = start; block < this.blockCount; block++) {
      if ((block & 7) === 0 && this.#bits[block >> 3] === 0xff) {
        block += 7;
        continue;
      }
      if (!this.has(block)) return block;
    }
    return -1;
  }

  /**
   * Runs `syncData` (which must make the blocks' bytes durable) and then records durably which blocks those were.
   */
  async flush(syncData: () => Promise<void>): Promise<void> {
    const from = this.#changedFrom;
    const to = this.#changedTo;
    // What is added while the data is being synced is not covered by that sync: copy the bits before it.
    const bits = to < from ? undefined : Buffer.from(this.#bits.subarray(from, to + 1));
    this.#changedFrom = Number.POSITIVE_INFINITY;
    this.#changedTo = -1;
    try {
      await syncData();
      if (bits !== undefined) {
        this.#durable.writeSync(bits, 0, bits.length, from);
        await this.#durable.sync();
      }
    } catch (error) {
      this.#changedFrom = Math.min(this.#changedFrom, from);
      this.#changedTo = Math.max(this.#changedTo, to);
      throw error;
    }
  }

  close(): void {
    this.#exact.close();
    this.#durable.close();
  }
}
