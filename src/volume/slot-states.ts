/**
 * What each slot of a pool holds, in typed arrays: some forty bytes a slot, whatever happens to it. For each slot the
 * current state, and those that a loss of power must be able to bring back (slot-descriptor.ts).
 */
import type { SlotState } from "./slot-descriptor.ts";
import { NEVER_USED, type SlotDisk } from "./slot-disk.ts";

/** The owner index of a slot whose volume is not open. */
export const NOBODY = 0xffff;

export class SlotStates {
  used = new Uint8Array(0);
  mask = new Uint16Array(0);
  owner = new Uint16Array(0);
  epoch = new Uint32Array(0);
  block = new Uint32Array(0);
  sequence = new Float64Array(0);
  /** Of the state before the current one: what a flush under way, or the last one, makes durable. */
  #previousUsed = new Uint8Array(0);
  #previousMask = new Uint16Array(0);
  #previousEpoch = new Uint32Array(0);
  #previousSequence = new Float64Array(0);
  /** The state before that, while the flush of the previous one is under way: what is durable already. Few have one. */
  readonly #older = new Map<number, SlotState>();

  get count(): number {
    return this.used.length;
  }

  grow(count: number): void {
    this.used = grown(this.used, new Uint8Array(count));
    this.mask = grown(this.mask, new Uint16Array(count));
    this.owner = grown(this.owner, new Uint16Array(count));
    this.epoch = grown(this.epoch, new Uint32Array(count));
    this.block = grown(this.block, new Uint32Array(count));
    this.sequence = grown(this.sequence, new Float64Array(count));
    this.#previousUsed = grown(this.#previousUsed, new Uint8Array(count));
    this.#previousMask = grown(this.#previousMask, new Uint16Array(count));
    this.#previousEpoch = grown(this.#previousEpoch, new Uint32Array(count));
    this.#previousSequence = grown(this.#previousSequence, new Float64Array(count));
  }

  /** Nothing of the slot's past is worth believing any more. */
  forgetPast(slot: number): void {
    this.#previousUsed[slot] = 0;
    this.#previousSequence[slot] = 0;
    this.#older.delete(slot);
  }

  previous(slot: number): SlotState {
    if (this.#previousUsed[slot] === 0) return NEVER_USED;
    return {
      used: true,
      mask: this.#previousMask[slot] ?? 0,
      epoch: this.#previousEpoch[slot] ?? 0,
      sequence: this.#previousSequence[slot] ?? 0,
    };
  }

  older(slot: number): SlotState {
    return this.#older.get(slot) ?? NEVER_USED;
  }

  /**
   * To be called before the slot's state changes. Keeps the states that a loss of power must be able to bring back: the
   * newest that is durable, and the newest that a flush under way is making durable. That flush may end before or
   * after the new record reaches the disk.
   */
  retain(slot: number, { flushedSequence, flushingSequence }: SlotDisk): void {
    const before = this.sequence[slot] ?? 0;
    const previousIsDurable =
      this.#previousUsed[slot] === 1 && (this.#previousSequence[slot] ?? 0) <= flushedSequence;
    if (before > flushingSequence) {
      if (previousIsDurable) this.#older.delete(slot);
      return;
    }
    if (before <= flushedSequence) this.#older.delete(slot);
    else if (previousIsDurable) this.#older.set(slot, this.previous(slot));
    this.#previousUsed[slot] = 1;
    this.#previousMask[slot] = this.mask[slot] ?? 0;
    this.#previousEpoch[slot] = this.epoch[slot] ?? 0;
    this.#previousSequence[slot] = before;
  }
}

function grown<T extends { set(source: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
