/**
 * Brings what was redirected to upload-buffer slots back to a stored volume's own disk.
 *
 * Invariants kept here: nothing is overwritten that a closed epoch still needs (3), and a slot is let go only when its
 * content is durable at home (1).
 */
import { nextTurn } from "../platform/clock.ts";
import type { DiskFile } from "../platform/disk.ts";
import type { Epochs } from "./epochs.ts";
import { ALL_PIECES, BLOCK_BYTES, PIECE_BYTES } from "./geometry.ts";
import type { SlotChains } from "./slot-chains.ts";
import { isZeros } from "./zeros.ts";

/** Blocks merged back between two syncs of the disk. */
const BATCH = 128;
/** Rounds over blocks that are being rewritten while they are merged; the rest waits for the next upload. */
const ROUNDS_MAX = 8;

interface Redirected {
  readonly block: number;
  readonly slot: number;
}

export class Merger {
  readonly #home: DiskFile;
  readonly #chains: SlotChains;
  readonly #epochs: Epochs;
  /** Slots being merged, and whether each was written to since it was copied. */
  readonly #merging = new Map<number, boolean>();
  readonly #scratch = Buffer.alloc(BLOCK_BYTES);

  readonly #check: () => void;

  /** `check` throws where the volume has stopped: what slots hold after the failure of a disk must not get home. */
  constructor(home: DiskFile, chains: SlotChains, epochs: Epochs, check: () => void) {
    this.#check = check;
    this.#home = home;
    this.#chains = chains;
    this.#epochs = epochs;
  }

  /** The slot was written to: a copy of it that is under way does not count. */
  written(slot: number): void {
    if (this.#merging.has(slot)) this.#merging.set(slot, true);
  }

  /**
   * Copies slots back to the disk wherever nothing that is frozen would be overwritten, oldest slot first. With
   * `throughEpoch`, only slots of epochs up to that one, and all of those. Rejects with what the disks throw.
   */
  async merge(throughEpoch = Number.POSITIVE_INFINITY): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      let merged = 0;
      let batch: Redirected[] = [];
      for (const block of [...this.#chains.blocks()]) {
        const slot = this.#chains.oldest(block);
        if (slot === undefined || !this.#mayMerge(block, slot, throughEpoch)) continue;
        batch.push({ block, slot });
        if (batch.length < BATCH) continue;
        merged += await this.#mergeBatch(batch);
        batch = [];
      }
      merged += await this.#mergeBatch(batch);
      if (merged === 0) return;
    }
  }

  #mayMerge(block: number, slot: number, throughEpoch: number): boolean {
    const epoch = this.#chains.pool.epoch(slot);
    if (epoch > throughEpoch) return false;
    for (const closed of this.#epochs.closed) {
      if (closed.epoch < epoch && closed.dirty.has(block)) return false;
    }
    return true;
  }

  async #mergeBatch(batch: readonly Redirected[]): Promise<number> {
    if (batch.length === 0) return 0;
    const { pool } = this.#chains;
    let merged = 0;
    this.#check();
    try {
      for (const { block, slot } of batch) {
        this.#merging.set(slot, false);
        this.#copyHome(block, slot);
      }
      await nextTurn();
      await this.#home.sync();
      for (const { block, slot } of batch) {
        if (this.#merging.get(slot) === true) continue;
        if (this.#chains.remove(block, slot)) pool.release(slot, false);
        merged += 1;
      }
    } finally {
      for (const { slot } of batch) this.#merging.delete(slot);
    }
    await pool.flush();
    return merged;
  }

  #copyHome(block: number, slot: number): void {
    const { pool } = this.#chains;
    const mask = pool.mask(slot);
    if (mask === ALL_PIECES) {
      pool.read(slot, 0, this.#scratch, 0, BLOCK_BYTES);
      const at = block * BLOCK_BYTES;
      if (isZeros(this.#scratch, 0, BLOCK_BYTES)) this.#home.zeroSync(at, BLOCK_BYTES);
      else this.#home.writeSync(this.#scratch, 0, BLOCK_BYTES, at);
      return;
    }
    for (let piece = 0; piece * PIECE_BYTES < BLOCK_BYTES; piece++) {
      if ((mask & (1 << piece)) === 0) continue;
      const offset = piece * PIECE_BYTES;
      pool.read(slot, offset, this.#scratch, 0, PIECE_BYTES);
      this.#home.writeSync(this.#scratch, 0, PIECE_BYTES, block * BLOCK_BYTES + offset);
    }
  }
}
