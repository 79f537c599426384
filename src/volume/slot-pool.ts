/**
 * The slots of a gateway's cache, or of its upload buffer: who holds which, and where a new one comes from.
 *
 * A slot belongs to one block of one volume and holds what one epoch wrote to it (`mask` says which pieces). Every
 * change of that is in the disk's table, after the data it speaks of, before anything is acknowledged.
 *
 * A slot whose data a loss of power could make us believe again (it was dirty when it was let go) is handed out anew
 * only after the record of its release is durable. Otherwise the old owner might find the new owner's bytes in it.
 */
import { strict as assert } from "node:assert";
import type { Disk } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import type { SlotState } from "./slot-descriptor.ts";
import { type FoundSlot, NEVER_USED, SlotDisk } from "./slot-disk.ts";

/** A volume as the pool sees it. */
export interface SlotOwner {
  readonly volumeId: VolumeId;
  /** Whether slots of this epoch hold nothing that is not in the bucket too. */
  isClean(epoch: number): boolean;
  /** The slot is being taken away: forget it. Answers false where it can't be spared. */
  evict(block: number, slot: number): boolean;
}

/** No slot could be had just now. */
export const NO_SLOT = -1;

interface PoolDisk {
  readonly disk: SlotDisk;
  /** The pool's number of the disk's slot 0. */
  readonly base: number;
}

const OWNERS_MAX = 4096;
/** The owner index of a slot whose volume is not open. */
const NOBODY = 0xffff;

export class SlotPool {
  readonly #evicts: boolean;
  readonly #disks: PoolDisk[] = [];
  readonly #owners: (SlotOwner | undefined)[] = [];
  readonly #found = new Map<VolumeId, FoundSlot[]>();
  #used = new Uint8Array(0);
  #referenced = new Uint8Array(0);
  #mask = new Uint16Array(0);
  #owner = new Uint16Array(0);
  #epoch = new Uint32Array(0);
  #block = new Float64Array(0);
  #sequence = new Float64Array(0);
  /** Of the state before the current one: what a flush under way, or the last one, makes durable. */
  #previousUsed = new Uint8Array(0);
  #previousMask = new Uint16Array(0);
  #previousEpoch = new Uint32Array(0);
  #previousSequence = new Float64Array(0);
  /** Of the state before that, while the flush of the previous one is under way: what is durable already. */
  #olderUsed = new Uint8Array(0);
  #olderMask = new Uint16Array(0);
  #olderEpoch = new Uint32Array(0);
  #olderSequence = new Float64Array(0);
  readonly #free: number[] = [];
  /** Released slots whose release is not durable yet, in the order of their release. */
  #quarantine: number[] = [];
  #hand = 0;
  #usedCount = 0;
  #waiters: (() => void)[] = [];

  /** `evicts`: clean slots may be taken for other blocks (a cache); otherwise only free ones (an upload buffer). */
  constructor(options: { readonly evicts: boolean }) {
    this.#evicts = options.evicts;
  }

  /** Puts a disk to use; its slots in use wait for their volumes in `takeFound`. */
  async addDisk(disk: Disk, path: string): Promise<void> {
    const base = this.#used.length;
    const found: FoundSlot[] = [];
    const opened = await SlotDisk.open(disk, path, (slot) => found.push(slot));
    this.#disks.push({ disk: opened, base });
    this.#grow(base + opened.slotCount);
    const inUse = new Set<number>();
    for (const slot of found) {
      inUse.add(slot.slot);
      const list = this.#found.get(slot.volumeId) ?? [];
      list.push({ ...slot, slot: base + slot.slot });
      this.#found.set(slot.volumeId, list);
      this.#used[base + slot.slot] = 1;
      this.#owner[base + slot.slot] = NOBODY;
      this.#usedCount += 1;
    }
    for (let slot = opened.slotCount - 1; slot >= 0; slot--)
      if (!inUse.has(slot)) this.#free.push(base + slot);
    this.#wake();
  }

  get slotCount(): number {
    return this.#used.length;
  }

  /** Slots that hold something. */
  get usedSlots(): number {
    return this.#usedCount;
  }

  /** Slots that `allocate` can hand out without taking one from anybody. */
  get freeSlots(): number {
    return this.#free.length;
  }

  /** Whether no power was lost since all of the pool's disks were written. */
  get trusted(): boolean {
    return this.#disks.every(({ disk }) => disk.trusted);
  }

  /** Registers a volume and gives it the slots that were found in its name. */
  register(owner: SlotOwner): { ownerIndex: number; found: readonly FoundSlot[] } {
    let ownerIndex = this.#owners.indexOf(undefined);
    if (ownerIndex < 0) ownerIndex = this.#owners.length;
    assert(ownerIndex < OWNERS_MAX);
    this.#owners[ownerIndex] = owner;
    const found = this.#found.get(owner.volumeId) ?? [];
    this.#found.delete(owner.volumeId);
    for (const state of found) {
      this.#owner[state.slot] = ownerIndex;
      this.#mask[state.slot] = state.mask;
      this.#epoch[state.slot] = state.epoch;
      this.#block[state.slot] = state.block;
      this.#sequence[state.slot] = state.sequence;
    }
    return { ownerIndex, found };
  }

  /** Takes a closed volume off the list; its slots stay on the disks for the next time. */
  unregister(ownerIndex: number): void {
    const owner = this.#owners[ownerIndex];
    if (owner === undefined) return;
    const found: FoundSlot[] = [];
    for (let slot = 0; slot < this.#used.length; slot++) {
      if (this.#used[slot] === 0 || this.#owner[slot] !== ownerIndex) continue;
      found.push({
        slot,
        volumeId: owner.volumeId,
        block: this.block(slot),
        used: true,
        mask: this.mask(slot),
        epoch: this.epoch(slot),
        sequence: this.#sequence[slot] ?? 0,
      });
      this.#owner[slot] = NOBODY;
    }
    this.#owners[ownerIndex] = undefined;
    if (found.length > 0) this.#found.set(owner.volumeId, found);
  }

  /** Frees every slot of a volume that is not registered (any more). */
  drop(volumeId: VolumeId): void {
    const found = this.#found.get(volumeId) ?? [];
    this.#found.delete(volumeId);
    for (const { slot, block } of found) {
      this.#block[slot] = block;
      this.#write(slot, volumeId, { used: false, mask: 0, epoch: 0 });
      this.#release(slot, true);
    }
  }

  mask(slot: number): number {
    return this.#mask[slot] ?? 0;
  }

  epoch(slot: number): number {
    return this.#epoch[slot] ?? 0;
  }

  block(slot: number): number {
    return this.#block[slot] ?? 0;
  }

  /**
   * A slot for `block`, without content: nothing is recorded before `update`. NO_SLOT where none is free and none
   * can be taken.
   */
  allocate(ownerIndex: number, block: number, epoch: number): number {
    let slot = this.#free.pop() ?? NO_SLOT;
    if (slot === NO_SLOT && this.#evicts) slot = this.#takeClean();
    if (slot === NO_SLOT) return NO_SLOT;
    assert(this.#used[slot] === 0);
    this.#used[slot] = 1;
    this.#usedCount += 1;
    this.#referenced[slot] = 1;
    this.#owner[slot] = ownerIndex;
    this.#block[slot] = block;
    this.#epoch[slot] = epoch;
    this.#mask[slot] = 0;
    // Nothing of the slot's past is worth believing after a loss of power: it was clean, or released durably.
    this.#previousUsed[slot] = 0;
    this.#previousSequence[slot] = 0;
    this.#olderUsed[slot] = 0;
    this.#sequence[slot] = Number.POSITIVE_INFINITY;
    return slot;
  }

  /** Takes back a slot that `allocate` gave and nothing was written to. */
  giveBack(slot: number): void {
    assert(this.#used[slot] === 1 && this.#sequence[slot] === Number.POSITIVE_INFINITY);
    this.#used[slot] = 0;
    this.#usedCount -= 1;
    this.#free.push(slot);
  }

  /** Records the slot's epoch and valid pieces; call it after writing the pieces. */
  update(slot: number, epoch: number, mask: number): void {
    const owner = this.#owners[this.#owner[slot] ?? NOBODY];
    assert(owner !== undefined && this.#used[slot] === 1);
    if (this.#epoch[slot] === epoch && this.#mask[slot] === mask) return;
    this.#write(slot, owner.volumeId, { used: true, mask, epoch });
  }

  /**
   * Lets the slot go. `clean` says that its content is of no use even if a loss of power brought its record back,
   * because its epoch is durably known to be in the bucket.
   */
  release(slot: number, clean: boolean): void {
    const owner = this.#owners[this.#owner[slot] ?? NOBODY];
    assert(owner !== undefined && this.#used[slot] === 1);
    // What is not clean comes back if the power is lost before the release is durable: what took its place (the disk,
    // another slot) may not have got there either.
    this.#write(slot, owner.volumeId, { used: false, mask: 0, epoch: 0 }, !clean);
    this.#release(slot, !clean);
  }

  read(slot: number, offsetInSlot: number, target: Buffer, targetOffset: number, lengthBytes: number): void {
    assert(offsetInSlot + lengthBytes <= BLOCK_BYTES);
    this.#referenced[slot] = 1;
    const { disk, base } = this.#diskOf(slot);
    disk.read(slot - base, offsetInSlot, target, targetOffset, lengthBytes);
  }

  write(slot: number, offsetInSlot: number, source: Buffer, sourceOffset: number, lengthBytes: number): void {
    assert(offsetInSlot + lengthBytes <= BLOCK_BYTES);
    this.#referenced[slot] = 1;
    const { disk, base } = this.#diskOf(slot);
    disk.write(slot - base, offsetInSlot, source, sourceOffset, lengthBytes);
  }

  /** Where the slot's bytes are, for a reader in another thread. */
  location(slot: number): { readonly path: string; readonly positionBytes: number } {
    const { disk, base } = this.#diskOf(slot);
    return { path: disk.file.path, positionBytes: disk.positionOf(slot - base) };
  }

  /** Makes all slots and their records durable, and released ones available again. */
  async flush(): Promise<void> {
    await Promise.all(this.#disks.map(({ disk }) => disk.flush()));
    this.#endQuarantine();
  }

  /** Whether a flush would make released slots available. */
  get hasQuarantine(): boolean {
    return this.#quarantine.length > 0;
  }

  /** Calls `callback` once when a slot may have become available. */
  whenSpace(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Tells those who wait that slots have become clean. */
  cleaned(): void {
    this.#wake();
  }

  async close(): Promise<void> {
    for (const { disk } of this.#disks) await disk.close();
  }

  abandon(): void {
    for (const { disk } of this.#disks) disk.abandon();
  }

  #diskOf(slot: number): PoolDisk {
    for (let i = this.#disks.length - 1; i > 0; i--) {
      const disk = this.#disks[i];
      if (disk !== undefined && slot >= disk.base) return disk;
    }
    const first = this.#disks[0];
    assert(first !== undefined && slot >= 0 && slot < this.#used.length);
    return first;
  }

  #write(
    slot: number,
    volumeId: VolumeId,
    state: { used: boolean; mask: number; epoch: number },
    keepPrevious = state.used,
  ): void {
    const { disk, base } = this.#diskOf(slot);
    this.#retain(slot, disk);
    const sequence = disk.nextSequence();
    const previous = keepPrevious ? this.#previous(slot) : NEVER_USED;
    const older = keepPrevious ? this.#older(slot) : NEVER_USED;
    this.#sequence[slot] = sequence;
    this.#mask[slot] = state.mask;
    this.#epoch[slot] = state.epoch;
    disk.writeDescriptor(slot - base, {
      volumeId,
      block: this.block(slot),
      current: { ...state, sequence },
      previous,
      older,
    });
  }

  /**
   * Keeps the states that a loss of power must be able to bring back: the newest that is durable, and the newest that
   * a flush under way is making durable. That flush may end before or after the new record reaches the disk.
   */
  #retain(slot: number, { flushedSequence, flushingSequence }: SlotDisk): void {
    const before = this.#sequence[slot] ?? 0;
    const previousIsDurable =
      this.#previousUsed[slot] === 1 && (this.#previousSequence[slot] ?? 0) <= flushedSequence;
    if (before > flushingSequence) {
      if (previousIsDurable) this.#olderUsed[slot] = 0;
      return;
    }
    if (before <= flushedSequence) this.#olderUsed[slot] = 0;
    else if (previousIsDurable) {
      this.#olderUsed[slot] = 1;
      this.#olderMask[slot] = this.#previousMask[slot] ?? 0;
      this.#olderEpoch[slot] = this.#previousEpoch[slot] ?? 0;
      this.#olderSequence[slot] = this.#previousSequence[slot] ?? 0;
    }
    this.#previousUsed[slot] = 1;
    this.#previousMask[slot] = this.mask(slot);
    this.#previousEpoch[slot] = this.epoch(slot);
    this.#previousSequence[slot] = before;
  }

  #previous(slot: number): SlotState {
    if (this.#previousUsed[slot] === 0) return NEVER_USED;
    return {
      used: true,
      mask: this.#previousMask[slot] ?? 0,
      epoch: this.#previousEpoch[slot] ?? 0,
      sequence: this.#previousSequence[slot] ?? 0,
    };
  }

  #older(slot: number): SlotState {
    if (this.#olderUsed[slot] === 0) return NEVER_USED;
    return {
      used: true,
      mask: this.#olderMask[slot] ?? 0,
      epoch: this.#olderEpoch[slot] ?? 0,
      sequence: this.#olderSequence[slot] ?? 0,
    };
  }

  #release(slot: number, quarantine: boolean): void {
    this.#used[slot] = 0;
    this.#usedCount -= 1;
    if (quarantine) {
      this.#quarantine.push(slot);
      return;
    }
    this.#free.push(slot);
    this.#wake();
  }

  #endQuarantine(): void {
    const waiting: number[] = [];
    for (const slot of this.#quarantine) {
      const durable = (this.#sequence[slot] ?? 0) <= this.#diskOf(slot).disk.flushedSequence;
      (durable ? this.#free : waiting).push(slot);
    }
    const freed = this.#quarantine.length > waiting.length;
    this.#quarantine = waiting;
    if (freed) this.#wake();
  }

  /** The clock: passes over slots used since its last round, takes the first clean one that was not. */
  #takeClean(): number {
    const count = this.#used.length;
    for (let step = 0; step < 2 * count; step++) {
      const slot = this.#hand;
      this.#hand = slot + 1 === count ? 0 : slot + 1;
      const owner = this.#owners[this.#owner[slot] ?? NOBODY];
      if (this.#used[slot] === 0 || owner === undefined) continue;
      if (!owner.isClean(this.epoch(slot))) continue;
      if (this.#referenced[slot] === 1) {
        this.#referenced[slot] = 0;
        continue;
      }
      if (!owner.evict(this.block(slot), slot)) continue;
      // The old owner's claim must be gone before the new owner's first byte is there.
      this.#write(slot, owner.volumeId, { used: false, mask: 0, epoch: 0 });
      this.#used[slot] = 0;
      this.#usedCount -= 1;
      return slot;
    }
    return NO_SLOT;
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  #grow(count: number): void {
    this.#used = grown(this.#used, new Uint8Array(count));
    this.#referenced = grown(this.#referenced, new Uint8Array(count));
    this.#mask = grown(this.#mask, new Uint16Array(count));
    this.#owner = grown(this.#owner, new Uint16Array(count));
    this.#epoch = grown(this.#epoch, new Uint32Array(count));
    this.#block = grown(this.#block, new Float64Array(count));
    this.#sequence = grown(this.#sequence, new Float64Array(count));
    this.#previousUsed = grown(this.#previousUsed, new Uint8Array(count));
    this.#previousMask = grown(this.#previousMask, new Uint16Array(count));
    this.#previousEpoch = grown(this.#previousEpoch, new Uint32Array(count));
    this.#previousSequence = grown(this.#previousSequence, new Float64Array(count));
    this.#olderUsed = grown(this.#olderUsed, new Uint8Array(count));
    this.#olderMask = grown(this.#olderMask, new Uint16Array(count));
    this.#olderEpoch = grown(this.#olderEpoch, new Uint32Array(count));
    this.#olderSequence = grown(this.#olderSequence, new Float64Array(count));
  }
}

function grown<T extends { set(source: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
