/**
 * The regions of a stored volume's disk that may have been written since the last durable cut: one bit for 64 MiB.
 *
 * Invariant 5, for a loss of power: a region's bit is on stable storage before the first write reaches the region.
 * After an unclean boot every block of a logged region is taken for changed; the uploader then finds by hash which
 * really were. Bits are only dropped by `restrict`, when what they stand for has become durable otherwise.
 */
import type { Disk, DiskFile } from "../platform/disk.ts";
import { BLOCK_BYTES } from "./geometry.ts";

export const REGION_BYTES = 64 * 1024 * 1024;
export const BLOCKS_PER_REGION = REGION_BYTES / BLOCK_BYTES;

export class RegionLog {
  readonly #file: DiskFile;
  #logged: Uint8Array;
  #durable: Uint8Array;
  #syncing: Promise<void> | undefined;

  private constructor(file: DiskFile, regionCount: number) {
    this.#file = file;
    const content = Buffer.alloc(regionCount);
    file.readSync(content, 0, regionCount, 0);
    this.#logged = new Uint8Array(content);
    // What the file says now has survived whatever happened before, or was written by this boot: sync settles it.
    this.#durable = new Uint8Array(regionCount);
  }

  static open(disk: Disk, path: string, sizeBytes: number): RegionLog {
    const regionCount = Math.ceil(sizeBytes / REGION_BYTES);
    return new RegionLog(disk.open(path, { create: true, sizeBytes: regionCount }), regionCount);
  }

  /** The volume has grown. */
  grow(disk: Disk, sizeBytes: number): void {
    const regionCount = Math.ceil(sizeBytes / REGION_BYTES);
    disk.open(this.#file.path, { sizeBytes: regionCount }).close();
    const grown = (from: Uint8Array) => {
      const to = new Uint8Array(regionCount);
      to.set(from);
      return to;
    };
    this.#logged = grown(this.#logged);
    this.#durable = grown(this.#durable);
  }

  /** Writes all of it again: see `Epochs.suspect`. */
  async rewrite(): Promise<void> {
    const content = Buffer.from(this.#logged);
    this.#file.writeSync(content, 0, content.length, 0);
    await this.#file.sync();
  }

  /** Whether every region of the byte range is durably logged: then the range may be written. */
  covers(offsetBytes: number, lengthBytes: number): boolean {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES);
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      if (this.#durable[region] === 0) return false;
    }
    return true;
  }

  /** Logs the regions of the byte range durably. Calls at the same time share one sync. */
  async add(offsetBytes: number, lengthBytes: number): Promise<void> {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES);
    const one = Buffer.from([1]);
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      if (this.#logged[region] !== 0) continue;
      this.#file.writeSync(one, 0, 1, region);
      this.#logged[region] = 1;
    }
    // A sync under way may have begun before our bytes were written: wait for the one after it.
    while (!this.covers(offsetBytes, lengthBytes)) {
      if (this.#syncing === undefined) this.#syncing = this.#sync();
      await this.#syncing;
    }
  }

  /** Regions that may have been written. */
  *regions(): Iterable<number> {
    for (let region = 0; region < this.#logged.length; region++) {
      if (this.#logged[region] !== 0) yield region;
    }
  }

  /** Forgets every region that is not in `keep`. Lazy: a bit that comes back after a crash costs only some hashing. */
  restrict(keep: ReadonlySet<number>): void {
    // A bit dropped and set again under a running sync could be taken for durable; the next cut will do it.
    if (this.#syncing !== undefined) return;
    const zero = Buffer.from([0]);
    for (let region = 0; region < this.#logged.length; region++) {
      if (this.#logged[region] === 0 || keep.has(region)) continue;
      this.#logged[region] = 0;
      this.#durable[region] = 0;
      this.#file.writeSync(zero, 0, 1, region);
    }
  }

  close(): void {
    this.#file.close();
  }

  async #sync(): Promise<void> {
    const covered = this.#logged.slice();
    try {
      await this.#file.sync();
      for (let region = 0; region < covered.length; region++) {
        if (covered[region] !== 0) this.#durable[region] = 1;
      }
    } finally {
      this.#syncing = undefined;
    }
  }
}
