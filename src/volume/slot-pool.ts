/**
 * The slots of a gateway's cache, or of its upload buffer: who holds which, and where a new one comes from.
 *
 * A slot belongs to one block of one volume and holds what one epoch wrote to it (`mask` says which pieces). Every
 * change of that is in the disk's table, after the data it speaks of, before anything is acknowledged.
 *
 * A slot whose data a loss of power could make us believe again (it was dirty when it was let go) is handed out anew
 * only after the record of its release is durable. Otherwise the old owner might find the new owner's bytes in it.
 *
 * A slot is clean when its owner has said so: what it holds is in the bucket too. Only such a slot is ever taken away.
 */
import { strict as assert } from "node:assert";
import type { Disk } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import { CacheOrder } from "./cache-order.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import type { Lacking } from "./lacking.ts";
import { type FoundSlot, NEVER_USED, SlotDisk, SlotDiskError, type SlotDiskOptions } from "./slot-disk.ts";
import type { SlotOwner, SlotPoolOptions } from "./slot-owner.ts";
import { NOBODY, SlotStates } from "./slot-states.ts";
import { Throttle } from "./throttle.ts";

/** No slot could be had just now. */
export const NO_SLOT = -1;

interface PoolDisk {
  readonly disk: SlotDisk;
  /** The pool's number of the disk's slot 0. */
  readonly base: number;
}

interface Waiter {
  readonly ownerIndex: number;
  readonly wake: () => void;
}

const OWNERS_MAX = 4096;
/** Clean slots that their owners want to keep, before the search is given up. */
const REFUSALS_MAX = 1024;

export class SlotPool {
  readonly #evicts: boolean;
  readonly #disks: PoolDisk[] = [];
  readonly #owners: (SlotOwner | undefined)[] = [];
  /** Slots in use, by owner. */
  readonly #held: number[] = [];
  readonly #heldClean: number[] = [];
  readonly #found = new Map<VolumeId, FoundSlot[]>();
  readonly #states = new SlotStates();
  readonly #order = new CacheOrder();
  readonly #throttle: Throttle;
  #free = new Int32Array(0);
  #freeCount = 0;
  /** Released slots whose release is not durable yet, in the order of their release. */
  #quarantine: number[] = [];
  #usedCount = 0;
  #waiters: Waiter[] = [];

  readonly #onDiskFailed: SlotPoolOptions["onDiskFailed"];

  constructor(options: SlotPoolOptions) {
    this.#onDiskFailed = options.onDiskFailed;
    this.#evicts = options.evicts;
    this.#throttle = new Throttle(options.clock, options.writeDelayMsMax);
  }

  /** Puts a disk to use; its slots in use wait for their volumes in `register`. Answers the disk's id. */
  async addDisk(disk: Disk, path: string, options: SlotDiskOptions): Promise<string> {
    const found: FoundSlot[] = [];
    const opened = await SlotDisk.open(disk, path, (slot) => found.push(slot), options);
    const base = this.#states.count;
    this.#disks.push({ disk: opened, base });
    this.#grow(base + opened.slotCount);
    const inUse = new Set<number>();
    for (const slot of found) {
      inUse.add(slot.slot);
      const list = this.#found.get(slot.volumeId) ?? [];
      list.push({ ...slot, slot: base + slot.slot });
      this.#found.set(slot.volumeId, list);
      this.#states.used[base + slot.slot] = 1;
      this.#states.owner[base + slot.slot] = NOBODY;
      this.#usedCount += 1;
    }
    for (let slot = opened.slotCount - 1; slot >= 0; slot--)
      if (!inUse.has(slot)) this.#pushFree(base + slot);
    this.#wake();
    return opened.id;
  }

  get slotCount(): number {
    return this.#states.count;
  }

  /** Slots that hold something. */
  get usedSlots(): number {
    return this.#usedCount;
  }

  /** Slots that hold what is nowhere else. */
  get dirtySlots(): number {
    return this.#usedCount - this.#order.cleanSlots;
  }

  /** Slots that `allocate` can hand out without taking one from anybody. */
  get freeSlots(): number {
    return this.#freeCount;
  }

  /** Whether no power was lost since all of the pool's disks were written. */
  get trusted(): boolean {
    return this.#disks.every(({ disk }) => disk.trusted);
  }

  /** Registers a volume and gives it the slots that were found in its name; none of them counts as clean. */
  register(owner: SlotOwner): { ownerIndex: number; found: readonly FoundSlot[] } {
    let ownerIndex = this.#owners.indexOf(undefined);
    if (ownerIndex < 0) ownerIndex = this.#owners.length;
    assert(ownerIndex < OWNERS_MAX);
    this.#owners[ownerIndex] = owner;
    const found = this.#found.get(owner.volumeId) ?? [];
    this.#found.delete(owner.volumeId);
    this.#held[ownerIndex] = found.length;
    this.#heldClean[ownerIndex] = 0;
    const { owner: owners, mask, epoch, block, sequence } = this.#states;
    for (const state of found) {
      owners[state.slot] = ownerIndex;
      mask[state.slot] = state.mask;
      epoch[state.slot] = state.epoch;
      block[state.slot] = state.block;
      sequence[state.slot] = state.sequence;
    }
    return { ownerIndex, found };
  }

  /** Takes a closed volume off the list; its slots stay on the disks for the next time. */
  unregister(ownerIndex: number): void {
    const owner = this.#owners[ownerIndex];
    if (owner === undefined) return;
    const { used, owner: owners, sequence } = this.#states;
    const found: FoundSlot[] = [];
    for (let slot = 0; slot < this.#states.count; slot++) {
      if (used[slot] === 0 || owners[slot] !== ownerIndex) continue;
      this.#order.remove(slot);
      found.push({
        slot,
        volumeId: owner.volumeId,
        block: this.block(slot),
        used: true,
        mask: this.mask(slot),
        epoch: this.epoch(slot),
        sequence: sequence[slot] ?? 0,
      });
      owners[slot] = NOBODY;
    }
    this.#owners[ownerIndex] = undefined;
    this.#throttle.forget(ownerIndex);
    if (found.length > 0) this.#found.set(owner.volumeId, found);
  }

  /** Whether a volume that is not registered (any more) has slots. */
  holds(volumeId: VolumeId): boolean {
    return this.#found.has(volumeId);
  }

  /** Frees every slot of a volume that is not registered (any more); answers whether it had any. */
  drop(volumeId: VolumeId): boolean {
    const found = this.#found.get(volumeId) ?? [];
    this.#found.delete(volumeId);
    for (const { slot, block } of found) {
      this.#states.block[slot] = block;
      this.#write(slot, volumeId, { used: false, mask: 0, epoch: 0 });
      this.#release(slot, true);
    }
    return found.length > 0;
  }

  mask(slot: number): number {
    return this.#states.mask[slot] ?? 0;
  }

  epoch(slot: number): number {
    return this.#states.epoch[slot] ?? 0;
  }

  block(slot: number): number {
    return this.#states.block[slot] ?? 0;
  }

  /**
   * A slot for `block`, without content: nothing is recorded before `update`. NO_SLOT where none is free and none
   * can be taken.
   */
  allocate(ownerIndex: number, block: number, epoch: number): number {
    const slot = this.#freeCount > 0 ? this.#popFree() : this.#evicts ? this.#takeClean() : NO_SLOT;
    if (slot === NO_SLOT) return NO_SLOT;
    const states = this.#states;
    assert(states.used[slot] === 0);
    states.used[slot] = 1;
    states.owner[slot] = ownerIndex;
    states.block[slot] = block;
    states.epoch[slot] = epoch;
    states.mask[slot] = 0;
    // Nothing of the slot's past is worth believing after a loss of power: it was clean, or released durably.
    states.forgetPast(slot);
    states.sequence[slot] = Number.POSITIVE_INFINITY;
    this.#usedCount += 1;
    this.#held[ownerIndex] = (this.#held[ownerIndex] ?? 0) + 1;
    this.#order.entered(slot);
    return slot;
  }

  /** Takes back a slot that `allocate` gave and nothing was recorded of. */
  giveBack(slot: number): void {
    assert(this.#states.used[slot] === 1 && this.#states.sequence[slot] === Number.POSITIVE_INFINITY);
    this.#letGo(slot);
    this.#pushFree(slot);
  }

  /** Records the slot's epoch and valid pieces; call it after writing the pieces. A new epoch makes it dirty. */
  update(slot: number, epoch: number, mask: number): void {
    const ownerIndex = this.#states.owner[slot] ?? NOBODY;
    const owner = this.#owners[ownerIndex];
    assert(owner !== undefined && this.#states.used[slot] === 1);
    if (this.epoch(slot) === epoch && this.mask(slot) === mask) return;
    if (this.epoch(slot) !== epoch) this.#setDirty(slot);
    this.#write(slot, owner.volumeId, { used: true, mask, epoch });
  }

  /** What the slot holds is in the bucket too: it may be taken from now on. */
  clean(slot: number): void {
    const ownerIndex = this.#states.owner[slot] ?? NOBODY;
    const owner = this.#owners[ownerIndex];
    assert(owner?.isClean(this.epoch(slot)) === true);
    if (!this.#evicts || this.#order.isClean(slot)) return;
    this.#order.add(slot, this.#keyOf(slot));
    this.#heldClean[ownerIndex] = (this.#heldClean[ownerIndex] ?? 0) + 1;
    this.#throttle.freed(1);
  }

  /**
   * Lets the slot go. `clean` says that its content is of no use even if a loss of power brought its record back,
   * because its epoch is durably known to be in the bucket.
   */
  release(slot: number, clean: boolean): void {
    const owner = this.#owners[this.#states.owner[slot] ?? NOBODY];
    assert(owner !== undefined && this.#states.used[slot] === 1);
    // What is not clean comes back if the power is lost before the release is durable: what took its place (the disk,
    // another slot) may not have got there either.
    this.#write(slot, owner.volumeId, { used: false, mask: 0, epoch: 0 }, !clean);
    this.#release(slot, !clean);
  }

  /** See `SlotDisk.read`. */
  read(
    slot: number,
    offsetInSlot: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking?: Lacking,
  ): boolean {
    assert(offsetInSlot + lengthBytes <= BLOCK_BYTES);
    this.#order.used(slot);
    const { disk, base } = this.#diskOf(slot);
    try {
      return disk.read(slot - base, offsetInSlot, target, targetOffset, lengthBytes, lacking);
    } catch (error) {
      // Bytes that can't be read are the trouble of those who want them; a disk that is gone is everybody's.
      if ((error as { code?: unknown }).code !== "EIO") this.#failDisk(disk, error);
      throw error;
    }
  }

  write(slot: number, offsetInSlot: number, source: Buffer, sourceOffset: number, lengthBytes: number): void {
    assert(offsetInSlot + lengthBytes <= BLOCK_BYTES);
    this.#order.used(slot);
    const { disk, base } = this.#diskOf(slot);
    try {
      disk.write(slot - base, offsetInSlot, source, sourceOffset, lengthBytes);
    } catch (error) {
      if (!isNoSpace(error)) this.#failDisk(disk, error);
      throw error;
    }
  }

  /** Where the slot's bytes are, for a reader in another thread. */
  location(slot: number): { readonly path: string; readonly positionBytes: number } {
    const { disk, base } = this.#diskOf(slot);
    return { path: disk.file.path, positionBytes: disk.positionOf(slot - base) };
  }

  /** Makes all slots and their records durable, and released ones available again. */
  async flush(): Promise<void> {
    const flushed = await Promise.allSettled(this.#disks.map(({ disk }) => disk.flush()));
    for (const [i, result] of flushed.entries()) {
      if (result.status === "fulfilled") continue;
      const failed = this.#disks[i];
      if (failed !== undefined) this.#failDisk(failed.disk, result.reason);
      throw result.reason;
    }
    this.#endQuarantine();
  }

  /** Whether a flush would make released slots available. */
  get hasQuarantine(): boolean {
    return this.#quarantine.length > 0;
  }

  /** Whether a write that takes slots may have to wait: `delayMs` says how long. On the hot path. */
  get isPressed(): boolean {
    return Throttle.isPressed(this.dirtySlots, this.#states.count);
  }

  /** How long a write that takes `slots` has to wait, so that the pool does not fill up. */
  delayMs(ownerIndex: number, slots: number): number {
    let owners = 0;
    for (let i = 0; i < this.#owners.length; i++) {
      if (this.#owners[i] !== undefined && this.#dirtyOf(i) > 0) owners += 1;
    }
    return this.#throttle.delayMs(ownerIndex, slots, {
      heldSlots: this.dirtySlots,
      slotCount: this.#states.count,
      ownSlots: this.#dirtyOf(ownerIndex),
      owners,
    });
  }

  /** Calls `callback` once when a slot may have become available; those who hold least are called first. */
  whenSpace(ownerIndex: number, callback: () => void): void {
    this.#waiters.push({ ownerIndex, wake: callback });
  }

  /** Tells those who wait that slots have become clean. */
  cleaned(): void {
    this.#wake();
  }

  async close(): Promise<void> {
    for (const { disk } of this.#disks) await disk.close();
  }

  /** Lets go of the disks without a word to them. */
  abandon(): void {
    for (const { disk } of this.#disks) disk.abandon();
  }

  /** Everybody with a slot stops: what one of them could not make durable, the others have lost too. */
  #failDisk({ file }: SlotDisk, error: unknown): void {
    const reason = `the local disk ${file.path} has failed: ${error instanceof Error ? error.message : String(error)}`;
    for (const owner of this.#owners) owner?.failed(reason);
    this.#onDiskFailed(file.path, reason);
  }

  #dirtyOf(ownerIndex: number): number {
    return (this.#held[ownerIndex] ?? 0) - (this.#heldClean[ownerIndex] ?? 0);
  }

  /** Tells a slot's content from all other content. */
  #keyOf(slot: number): number {
    return (this.#states.owner[slot] ?? NOBODY) * 2 ** 32 + this.block(slot);
  }

  #diskOf(slot: number): PoolDisk {
    for (let i = this.#disks.length - 1; i > 0; i--) {
      const disk = this.#disks[i];
      if (disk !== undefined && slot >= disk.base) return disk;
    }
    const first = this.#disks[0];
    assert(first !== undefined && slot >= 0 && slot < this.#states.count);
    return first;
  }

  #write(
    slot: number,
    volumeId: VolumeId,
    state: { used: boolean; mask: number; epoch: number },
    keepPrevious = state.used,
  ): void {
    const { disk, base } = this.#diskOf(slot);
    const states = this.#states;
    states.retain(slot, disk);
    const sequence = disk.nextSequence();
    try {
      disk.writeDescriptor(slot - base, {
        volumeId,
        block: this.block(slot),
        current: { ...state, sequence },
        previous: keepPrevious ? states.previous(slot) : NEVER_USED,
        older: keepPrevious ? states.older(slot) : NEVER_USED,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failDisk(disk, error);
      // Memory and disk are not of one mind any more: whoever asked has to stop.
      throw new SlotDiskError(`${disk.file.path}: the record of a slot can't be written: ${reason}`, {
        cause: error,
      });
    }
    states.sequence[slot] = sequence;
    states.mask[slot] = state.mask;
    states.epoch[slot] = state.epoch;
  }

  #setDirty(slot: number): void {
    if (!this.#order.isClean(slot)) return;
    this.#order.remove(slot);
    const ownerIndex = this.#states.owner[slot] ?? NOBODY;
    this.#heldClean[ownerIndex] = (this.#heldClean[ownerIndex] ?? 0) - 1;
  }

  #letGo(slot: number): void {
    const ownerIndex = this.#states.owner[slot] ?? NOBODY;
    this.#setDirty(slot);
    this.#states.used[slot] = 0;
    this.#usedCount -= 1;
    if (ownerIndex !== NOBODY) this.#held[ownerIndex] = (this.#held[ownerIndex] ?? 0) - 1;
  }

  #release(slot: number, quarantine: boolean): void {
    if (!this.#order.isClean(slot)) this.#throttle.freed(1);
    this.#letGo(slot);
    if (quarantine) {
      this.#quarantine.push(slot);
      return;
    }
    this.#pushFree(slot);
    this.#wake();
  }

  #endQuarantine(): void {
    const waiting: number[] = [];
    for (const slot of this.#quarantine) {
      const durable = (this.#states.sequence[slot] ?? 0) <= this.#diskOf(slot).disk.flushedSequence;
      if (durable) this.#pushFree(slot);
      else waiting.push(slot);
    }
    const freed = this.#quarantine.length > waiting.length;
    this.#quarantine = waiting;
    if (freed) this.#wake();
  }

  #takeClean(): number {
    for (let refusals = 0; refusals < REFUSALS_MAX; refusals++) {
      const slot = this.#order.take((taken) => this.#keyOf(taken));
      if (slot === NO_SLOT) return NO_SLOT;
      const ownerIndex = this.#states.owner[slot] ?? NOBODY;
      const owner = this.#owners[ownerIndex];
      // Invariant 1: what is taken away is in the bucket.
      assert(owner?.isClean(this.epoch(slot)) === true && this.#states.used[slot] === 1);
      this.#heldClean[ownerIndex] = (this.#heldClean[ownerIndex] ?? 0) - 1;
      if (!owner.evict(this.block(slot), slot)) {
        this.#order.add(slot, this.#keyOf(slot));
        this.#heldClean[ownerIndex] = (this.#heldClean[ownerIndex] ?? 0) + 1;
        continue;
      }
      // The old owner's claim must be gone before the new owner's first byte is there.
      this.#write(slot, owner.volumeId, { used: false, mask: 0, epoch: 0 });
      this.#letGo(slot);
      return slot;
    }
    return NO_SLOT;
  }

  #pushFree(slot: number): void {
    this.#free[this.#freeCount] = slot;
    this.#freeCount += 1;
  }

  #popFree(): number {
    this.#freeCount -= 1;
    return this.#free[this.#freeCount] ?? NO_SLOT;
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    waiters.sort((a, b) => this.#dirtyOf(a.ownerIndex) - this.#dirtyOf(b.ownerIndex));
    for (const { wake } of waiters) wake();
  }

  #grow(count: number): void {
    this.#states.grow(count);
    this.#order.grow(count);
    const free = new Int32Array(count);
    free.set(this.#free);
    this.#free = free;
  }
}

function isNoSpace(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}
