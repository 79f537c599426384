/**
 * The blocks that a client has sent of a snapshot it makes, kept on the local disk until the snapshot is sealed.
 *
 * A folder of segments, each a table of records and the slots they describe:
 *
 *   0        SEGMENT_SLOTS records of 64 bytes: block index (4), zeros (4), sequence (8), SHA-256 (32), zeros (12),
 *            CRC-32 of the 60 bytes before (4); big-endian. All zeros: a free slot.
 *   64 KiB   SEGMENT_SLOTS slots of 512 KiB
 *
 * A block is written to a free slot, then its record is: so what was acknowledged survives the death of the process, and
 * a write that was cut short leaves what was there before. Of several records of one block the last sequence counts.
 * After a loss of power a slot may hold anything; whoever reads it checks its SHA-256.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../platform/disk.ts";

/** The unit of the EBS direct API. */
export const DIRECT_BLOCK_BYTES = 512 * 1024;

const SEGMENT_SLOTS = 1024;
const RECORD_BYTES = 64;
const SUM_AT = 16;
const SUM_BYTES = 32;
const CRC_AT = 60;
const TABLE_BYTES = SEGMENT_SLOTS * RECORD_BYTES;
const SEGMENT_BYTES = TABLE_BYTES + SEGMENT_SLOTS * DIRECT_BLOCK_BYTES;
const INDEX_PAGE = 64 * 1024;

/** A block of a spool is not what was sent. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
}

export class DirectSpool {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segments: DiskFile[] = [];
  /** Slot of each block, plus 1; 0: not here. By pages of block indexes. */
  readonly #slots = new Map<number, Uint32Array>();
  readonly #free: number[] = [];
  #count = 0;
  #sequence = 0n;
  readonly #putting = new Set<Promise<void>>();
  #isClosed = false;

  private constructor(disk: Disk, folder: string) {
    this.#disk = disk;
    this.#folder = folder;
  }

  /** Opens the spool in this folder as it was left; makes an empty one where there is none. */
  static open(disk: Disk, folder: string): DirectSpool {
    disk.makeFolder(folder);
    const spool = new DirectSpool(disk, folder);
    try {
      for (let i = 0; i < disk.list(folder).length; i++) spool.#load(i);
    } catch (error) {
      spool.close();
      throw error;
    }
    return spool;
  }

  /** How many blocks there are. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that the slots in use and those that are free again take. */
  get slotBytes(): number {
    return (this.#count + this.#free.length) * DIRECT_BLOCK_BYTES;
  }

  /**
   * Keeps the block, in place of one of that index; `sum` is its SHA-256. When it resolves, a crash can't take it. Of
   * several at once for one index the one that ends last counts. Rejects where the spool is closed meanwhile.
   */
  put(index: number, sum: Buffer, content: Buffer): Promise<void> {
    const putting = this.#put(index, sum, content).finally(() => this.#putting.delete(putting));
    this.#putting.add(putting);
    return putting;
  }

  async #put(index: number, sum: Buffer, content: Buffer): Promise<void> {
    const slot = this.#takeSlot();
    const [segment, at] = this.#place(slot);
    try {
      await segment.write(content, 0, DIRECT_BLOCK_BYTES, TABLE_BYTES + at * DIRECT_BLOCK_BYTES);
      if (this.#isClosed) throw new SpoolError("the spool is closed");
      const record = Buffer.alloc(RECORD_BYTES);
      record.writeUInt32BE(index, 0);
      record.writeBigUInt64BE(this.#sequence + 1n, 8);
      sum.copy(record, SUM_AT);
      record.writeUInt32BE(crc32(record.subarray(0, CRC_AT)), CRC_AT);
      segment.writeSync(record, 0, RECORD_BYTES, at * RECORD_BYTES);
    } catch (error) {
      this.#free.push(slot);
      throw error;
    }
    this.#sequence += 1n;
    this.#enter(index, slot);
  }

  /** Resolves when all blocks that are being put are there, or have failed. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#putting);
  }

  /** The block's content. Throws a SpoolError where it is not there, or not what was sent. */
  read(index: number): Buffer {
    const slot = this.#slotOf(index);
    if (slot === undefined) throw new SpoolError(`block ${index} was not sent`);
    const [segment, at] = this.#place(slot);
    const content = Buffer.alloc(DIRECT_BLOCK_BYTES);
    segment.readSync(content, 0, DIRECT_BLOCK_BYTES, TABLE_BYTES + at * DIRECT_BLOCK_BYTES);
    if (!createHash("sha256").update(content).digest().equals(this.#sum(slot)))
      throw new SpoolError(`block ${index} is not what was sent: it was lost with the machine's memory`);
    return content;
  }

  /** The indexes of all blocks, ascending. */
  *indexes(): Generator<number> {
    for (const page of [...this.#slots.keys()].sort((a, b) => a - b)) {
      const slots = this.#slots.get(page);
      if (slots === undefined) continue;
      for (const [i, slot] of slots.entries()) if (slot !== 0) yield page * INDEX_PAGE + i;
    }
  }

  /** SHA-256 over the SHA-256 of all blocks, in the order of their indexes: the LINEAR aggregate. */
  aggregate(): Buffer {
    const hash = createHash("sha256");
    for (const index of this.indexes()) {
      const slot = this.#slotOf(index);
      if (slot !== undefined) hash.update(this.#sum(slot));
    }
    return hash.digest();
  }

  /** Makes everything durable. */
  async sync(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.sync()));
    await this.#disk.syncFolder(this.#folder);
  }

  close(): void {
    this.#isClosed = true;
    for (const segment of this.#segments) segment.close();
  }

  #openSegment(number: number): DiskFile {
    const path = join(this.#folder, `segment-${String(number).padStart(6, "0")}`);
    const file = this.#disk.open(path, { create: true, sizeBytes: SEGMENT_BYTES, lazy: true });
    this.#segments.push(file);
    return file;
  }

  #load(number: number): void {
    const segment = this.#openSegment(number);
    const table = Buffer.alloc(TABLE_BYTES);
    segment.readSync(table, 0, TABLE_BYTES, 0);
    for (let at = 0; at < SEGMENT_SLOTS; at++) {
      const record = table.subarray(at * RECORD_BYTES, (at + 1) * RECORD_BYTES);
      const slot = number * SEGMENT_SLOTS + at;
      if (
        record.readUInt32BE(CRC_AT) !== crc32(record.subarray(0, CRC_AT)) ||
        record.readBigUInt64BE(8) === 0n
      ) {
        this.#free.push(slot);
        continue;
      }
      const sequence = record.readBigUInt64BE(8);
      if (sequence > this.#sequence) this.#sequence = sequence;
      const index = record.readUInt32BE(0);
      const before = this.#slotOf(index);
      if (before !== undefined && this.#sequenceOf(before) > sequence) this.#free.push(slot);
      else this.#enter(index, slot);
    }
  }

  #takeSlot(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const first = this.#segments.length * SEGMENT_SLOTS;
    this.#openSegment(this.#segments.length);
    for (let at = SEGMENT_SLOTS - 1; at > 0; at--) this.#free.push(first + at);
    return first;
  }

  #enter(index: number, slot: number): void {
    const before = this.#slotOf(index);
    if (before === undefined) this.#count += 1;
    else this.#free.push(before);
    const page = Math.floor(index / INDEX_PAGE);
    let slots = this.#slots.get(page);
    if (slots === undefined) {
      slots = new Uint32Array(INDEX_PAGE);
      this.#slots.set(page, slots);
    }
    slots[index % INDEX_PAGE] = slot + 1;
  }

  #slotOf(index: number): number | undefined {
    const slot = this.#slots.get(Math.floor(index / INDEX_PAGE))?.[index % INDEX_PAGE] ?? 0;
    return slot === 0 ? undefined : slot - 1;
  }

  #place(slot: number): [segment: DiskFile, at: number] {
    const segment = this.#segments[Math.floor(slot / SEGMENT_SLOTS)];
    if (segment === undefined) throw new SpoolError(`there is no slot ${slot}`);
    return [segment, slot % SEGMENT_SLOTS];
  }

  #record(slot: number): Buffer {
    const [segment, at] = this.#place(slot);
    const record = Buffer.alloc(RECORD_BYTES);
    segment.readSync(record, 0, RECORD_BYTES, at * RECORD_BYTES);
    return record;
  }

  #sum(slot: number): Buffer {
    return this.#record(slot).subarray(SUM_AT, SUM_AT + SUM_BYTES);
  }

  #sequenceOf(slot: number): bigint {
    return this.#record(slot).readBigUInt64BE(8);
  }
}
