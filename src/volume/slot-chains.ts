/**
 * The slots of one volume, by block: the newest first, behind it those of older epochs that are still needed.
 *
 * A read takes each 4 KiB piece from the newest slot that has it; what no slot has comes from the volume's base (its
 * own disk, or the vault).
 */
import { strict as assert } from "node:assert";
import { BlockTable, NO_ENTRY } from "./block-table.ts";
import { BLOCK_BYTES, PIECE_BYTES, touchedPieces } from "./geometry.ts";
import type { Lacking } from "./lacking.ts";
import type { SlotPool } from "./slot-pool.ts";

/** Where a run of pieces is: a slot, or the base. */
export type PieceSource = number;
export const FROM_BASE: PieceSource = -1;

/** Reads what no slot of a block has, with offsets inside the block; see `SlotChains.read` for `lacking`. */
export type BaseReader = (
  offsetInBlock: number,
  target: Buffer,
  targetOffset: number,
  lengthBytes: number,
  lacking: Lacking | undefined,
) => boolean;

export class SlotChains {
  readonly pool: SlotPool;
  readonly #newest = new BlockTable();
  readonly #older = new Map<number, number>();
  readonly #scratch = Buffer.alloc(BLOCK_BYTES);

  constructor(pool: SlotPool) {
    this.pool = pool;
  }

  /** Blocks with at least one slot. */
  get size(): number {
    return this.#newest.size;
  }

  newest(block: number): number | undefined {
    const slot = this.#newest.get(block);
    return slot === NO_ENTRY ? undefined : slot;
  }

  older(slot: number): number | undefined {
    return this.#older.get(slot);
  }

  /** Blocks with a slot, in no order. No slot may come or go meanwhile. */
  blocks(): Iterable<number> {
    return this.#newest.blocks();
  }

  /** The slot of the block that holds what exactly this epoch wrote. */
  ofEpoch(block: number, epoch: number): number | undefined {
    let slot = this.newest(block);
    while (slot !== undefined && this.pool.epoch(slot) !== epoch) slot = this.#older.get(slot);
    return slot;
  }

  /** Whether the slot is one of the block's. */
  has(block: number, slot: number): boolean {
    let at = this.newest(block);
    while (at !== undefined && at !== slot) at = this.#older.get(at);
    return at === slot;
  }

  /** The block's oldest slot. */
  oldest(block: number): number | undefined {
    let slot = this.newest(block);
    for (;;) {
      const older = slot === undefined ? undefined : this.#older.get(slot);
      if (older === undefined) return slot;
      slot = older;
    }
  }

  /** Puts a slot in front. */
  push(block: number, slot: number): void {
    const before = this.newest(block);
    if (before !== undefined) this.#older.set(slot, before);
    this.#newest.set(block, slot);
  }

  /** Rebuilds the chains from slots found on the disks, in any order. */
  load(found: readonly { readonly slot: number; readonly block: number; readonly epoch: number }[]): void {
    for (const { slot, block } of [...found].sort((a, b) => a.epoch - b.epoch)) this.push(block, slot);
  }

  /**
   * Gives slots of later epochs to the open one; answers whether there were any. A loss of power may take the record of
   * a cut and leave, flushed, what was written after it: then the epoch that it closed is the open one still, and those
   * writes belong to it.
   */
  adopt(openEpoch: number): boolean {
    let isAny = false;
    for (const block of [...this.blocks()]) {
      const newest = this.newest(block);
      if (newest === undefined || this.pool.epoch(newest) <= openEpoch) continue;
      isAny = true;
      for (;;) {
        const older = this.older(newest);
        if (older === undefined || this.pool.epoch(older) < openEpoch) break;
        this.fold(older, newest);
        if (this.remove(block, older)) this.pool.release(older, false);
      }
      this.pool.update(newest, openEpoch, this.pool.mask(newest));
    }
    return isAny;
  }

  /** Takes a slot out of its block's chain. Answers false if it is not in it. */
  remove(block: number, slot: number): boolean {
    let at = this.newest(block);
    const behind = this.#older.get(slot);
    if (at === slot) {
      if (behind === undefined) this.#newest.delete(block);
      else this.#newest.set(block, behind);
      this.#older.delete(slot);
      return true;
    }
    while (at !== undefined) {
      const next = this.#older.get(at);
      if (next === slot) {
        if (behind === undefined) this.#older.delete(at);
        else this.#older.set(at, behind);
        this.#older.delete(slot);
        return true;
      }
      at = next;
    }
    return false;
  }

  /** The pieces of the block that some slot holds. */
  coverage(block: number): number {
    let mask = 0;
    for (let slot = this.newest(block); slot !== undefined; slot = this.#older.get(slot)) {
      mask |= this.pool.mask(slot);
    }
    return mask;
  }

  /** Which slot has the newest version of the piece; FROM_BASE if none has it. */
  sourceOf(block: number, piece: number): PieceSource {
    for (let slot = this.newest(block); slot !== undefined; slot = this.#older.get(slot)) {
      if ((this.pool.mask(slot) & (1 << piece)) !== 0) return slot;
    }
    return FROM_BASE;
  }

  /**
   * Reads a range of one block; `readBase` is asked for what no slot has. With `lacking` it does not wait for disks: it
   * answers false where something has to come from one, and all of that has been asked for.
   */
  read(
    block: number,
    offsetInBlock: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    readBase: BaseReader,
    lacking?: Lacking,
  ): boolean {
    const end = offsetInBlock + lengthBytes;
    let isThere = true;
    let at = offsetInBlock;
    while (at < end) {
      const source = this.sourceOf(block, Math.floor(at / PIECE_BYTES));
      let stop = (Math.floor(at / PIECE_BYTES) + 1) * PIECE_BYTES;
      while (stop < end && this.sourceOf(block, stop / PIECE_BYTES) === source) stop += PIECE_BYTES;
      stop = Math.min(stop, end);
      const to = targetOffset + at - offsetInBlock;
      const isRead =
        source === FROM_BASE
          ? readBase(at, target, to, stop - at, lacking)
          : this.pool.read(source, at, target, to, stop - at, lacking);
      isThere &&= isRead;
      at = stop;
    }
    return isThere;
  }

  /**
   * Writes a range of one block into `slot` and answers the mask that the slot has then: the caller records it
   * (`pool.update`) when all else that has to be known of the write is on the disk. A piece that is written only in
   * part and that the slot does not hold yet is completed with what a read would give before the write (`readPieces`).
   */
  writeInto(
    slot: number,
    offsetInBlock: number,
    source: Buffer,
    sourceOffset: number,
    lengthBytes: number,
    readPieces: (offsetInBlock: number, target: Buffer, targetOffset: number, lengthBytes: number) => void,
  ): number {
    const touched = touchedPieces(offsetInBlock, lengthBytes);
    const end = offsetInBlock + lengthBytes;
    const mask = this.pool.mask(slot);
    const from = Math.floor(offsetInBlock / PIECE_BYTES) * PIECE_BYTES;
    const to = Math.ceil(end / PIECE_BYTES) * PIECE_BYTES;
    const headMissing = from < offsetInBlock && (mask & (1 << (from / PIECE_BYTES))) === 0;
    const tailMissing = to > end && (mask & (1 << (to / PIECE_BYTES - 1))) === 0;
    if (headMissing || tailMissing) {
      const start = headMissing ? from : offsetInBlock;
      const stop = tailMissing ? to : end;
      if (headMissing) readPieces(from, this.#scratch, from, PIECE_BYTES);
      if (tailMissing) readPieces(to - PIECE_BYTES, this.#scratch, to - PIECE_BYTES, PIECE_BYTES);
      source.copy(this.#scratch, offsetInBlock, sourceOffset, sourceOffset + lengthBytes);
      this.pool.write(slot, start, this.#scratch, start, stop - start);
    } else {
      this.pool.write(slot, offsetInBlock, source, sourceOffset, lengthBytes);
    }
    return mask | touched;
  }

  /** Copies the pieces of `from` that `into` lacks, and adds them to its mask. */
  fold(from: number, into: number): void {
    const missing = this.pool.mask(from) & ~this.pool.mask(into);
    assert(from !== into);
    for (let piece = 0; piece * PIECE_BYTES < BLOCK_BYTES; piece++) {
      if ((missing & (1 << piece)) === 0) continue;
      this.pool.read(from, piece * PIECE_BYTES, this.#scratch, 0, PIECE_BYTES);
      this.pool.write(into, piece * PIECE_BYTES, this.#scratch, 0, PIECE_BYTES);
    }
    this.pool.update(into, this.pool.epoch(into), this.pool.mask(into) | missing);
  }
}
