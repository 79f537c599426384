/**
 * A cached volume: its data is in the bucket, a cache disk's slots hold the hot part and everything not uploaded yet.
 *
 * Invariants kept here:
 * - A slot of a closed epoch that is not in the bucket is never overwritten: a new write takes a fresh slot
 *   (invariant 3).
 * - A slot is evicted only when the epoch it belongs to is durably known to be in the bucket (invariant 1).
 * - What a fetch brings is used only if the base root is still the one it was fetched from: otherwise a newer block
 *   may have been uploaded and evicted meanwhile (invariant 1).
 */
import { strict as assert } from "node:assert";
import { nextTurn } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { VolumeId } from "../platform/ids.ts";
import { EngineVolume, type RestoreProgress } from "./engine-volume.ts";
import type { ClosedEpoch } from "./epoch-state.ts";
import { Epochs } from "./epochs.ts";
import { ALL_PIECES, BLOCK_BYTES, coveredPieces, PIECE_BYTES, touchedPieces } from "./geometry.ts";
import { Attempts, type Lacking } from "./lacking.ts";
import { ownFilesGone } from "./own-files.ts";
import { ReadAhead, RUN_BLOCKS } from "./read-ahead.ts";
import { type BaseReader, SlotChains } from "./slot-chains.ts";
import { NO_SLOT, type SlotPool } from "./slot-pool.ts";
import type { VolumeWorld } from "./volume-world.ts";

export interface CachedVolumeOptions {
  readonly volumeId: VolumeId;
  readonly sizeBytes: number;
  /** The volume's own folder for maps and logs. */
  readonly folder: string;
  readonly parentRootKey?: string;
  /** Whether it may be made, where nothing is found of it; undefined: yes. */
  readonly isNew?: boolean;
  /** The gateway's cache. */
  readonly cache: SlotPool;
  /** Why a part of the cache can't be used, if that is so: then only a volume that needs nothing of it is opened. */
  readonly missingStorage?: string;
}

/** Where the uploader finds what an epoch wrote to a block. */
export interface SlotLocation {
  readonly block: number;
  readonly path: string;
  readonly positionBytes: number;
  /** The pieces that are there; the others are as in the root before. 0: none, all of the block is. */
  readonly mask: number;
}

/** Looked through at once for what holds nothing. */
const EMPTY_BYTES_MAX = 2 ** 30;
/** Of a read so much is sent for at once. */
const EXPECTED_BYTES_MAX = 4 * 1024 * 1024;
/** Blocks handled between two turns of the event loop. */
const CLEAN_BATCH = 2048;

export class CachedVolume extends EngineVolume {
  readonly #chains: SlotChains;
  readonly #ownerIndex: number;
  readonly #reserved: number[] = [];
  /** A slot that was taken and is not recorded yet: one that a failure gives back. */
  #fresh = NO_SLOT;
  readonly #fetches = new Map<string, Promise<Buffer>>();
  /** Blocks that the write under way counts on: they are not evicted for it. */
  #pinnedFirst = -1;
  #pinnedLast = -1;
  readonly #readAhead: ReadAhead;
  #hits = 0;
  #misses = 0;
  /** Whether slots were found of an epoch whose beginning was lost. */
  #hasAdopted = false;

  private constructor(options: CachedVolumeOptions, world: VolumeWorld, epochs: Epochs) {
    super(options.volumeId, options.sizeBytes, world, epochs, options.parentRootKey);
    this.#chains = new SlotChains(options.cache);
    const { ownerIndex, found } = options.cache.register({
      volumeId: options.volumeId,
      isClean: (epoch) => epoch <= this.epochs.settledEpoch,
      evict: (block, slot) => {
        if (block >= this.#pinnedFirst && block <= this.#pinnedLast) return false;
        return this.#chains.remove(block, slot);
      },
      failed: (reason) => this.fail(reason),
    });
    this.#ownerIndex = ownerIndex;
    this.#readAhead = new ReadAhead(
      () => this.sizeBytes / BLOCK_BYTES,
      (first, count) => this.#fetchAhead(first, count),
    );
    this.#load(found);
  }

  /** Opens the volume as it was left, or makes a new one. */
  static async open(options: CachedVolumeOptions, world: VolumeWorld): Promise<CachedVolume> {
    // Not to be made again: it would look empty, or as old as what it was made of.
    if (options.isNew === false && !Epochs.exist(world.disk, options.folder))
      throw ownFilesGone(options.folder);
    world.disk.makeFolder(options.folder);
    const blockCount = options.sizeBytes / BLOCK_BYTES;
    assert(Number.isInteger(blockCount));
    const epochs = await Epochs.open(world.disk, options.folder, blockCount, world.pages);
    if (options.missingStorage !== undefined && (epochs.hasUnsent || !epochs.trusted)) {
      epochs.close();
      throw new DeviceError("notReady", options.missingStorage);
    }
    const volume = new CachedVolume(options, world, epochs);
    await epochs.dirty.sync();
    // As long as that is not durable the slots are found as they were, and this is done again.
    if (volume.#hasAdopted) await volume.guarded(() => options.cache.flush());
    volume.finishGrowth();
    await epochs.begin();
    volume.resumeCuts();
    return volume;
  }

  /** Gives up what a volume that is not open has in its cache (see `reset`). */
  static async resetClosed(
    options: { readonly folder: string; readonly sizeBytes: number },
    world: VolumeWorld,
    reason: string,
  ): Promise<number> {
    world.disk.makeFolder(options.folder);
    const epochs = await Epochs.open(
      world.disk,
      options.folder,
      options.sizeBytes / BLOCK_BYTES,
      world.pages,
    );
    const lostBlocks = epochs.unsavedBlocks;
    await epochs.reset(reason);
    epochs.close();
    return lostBlocks;
  }

  /** A cached volume serves its parent's blocks from the vault: nothing has to be brought over. */
  override get restoreProgress(): RestoreProgress {
    return undefined;
  }

  /** Reads served from the cache, and reads that had to ask the vault. */
  get cacheUse(): { readonly hits: number; readonly misses: number } {
    return { hits: this.#hits, misses: this.#misses };
  }

  /** Blocks that are not in the bucket yet. */
  get dirtyBlocks(): number {
    return this.epochs.unsavedBlocks;
  }

  protected override readHere(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking: Lacking | undefined,
  ): boolean {
    this.check();
    assert(offsetBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes);
    if (this.baseRootKey !== undefined && this.#uncovered(offsetBytes, lengthBytes) >= 0) return false;
    try {
      if (!this.#compose(offsetBytes, target, targetOffset, lengthBytes, undefined, 0, lacking)) return false;
    } catch (error) {
      throw this.storageError(error, "read");
    }
    this.#hits += 1;
    this.#readAhead.touched(Math.floor(offsetBytes / BLOCK_BYTES));
    return true;
  }

  override expect(offsetBytes: number, lengthBytes: number): void {
    this.check();
    assert(offsetBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes);
    if (this.baseRootKey === undefined) return;
    const first = this.#uncovered(offsetBytes, lengthBytes);
    if (first < 0) return;
    const end = Math.ceil((offsetBytes + Math.min(lengthBytes, EXPECTED_BYTES_MAX)) / BLOCK_BYTES);
    if (first < end) this.#readAhead.expected(first, end - first);
  }

  override async read(offset: number, target: Buffer, targetOffset: number, length: number): Promise<void> {
    // In parts, so that a long read needs no more memory than a short one.
    for (let at = 0; at < length; ) {
      const from = offset + at;
      const inFirst = BLOCK_BYTES - (from % BLOCK_BYTES);
      const part = Math.min(inFirst + (RUN_BLOCKS - 1) * BLOCK_BYTES, length - at);
      await this.#readPart(from, target, targetOffset + at, part);
      at += part;
    }
  }

  override tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean {
    return this.mayWrite(lengthBytes) && this.#attempt(offsetBytes, source, sourceOffset, lengthBytes, false);
  }

  /** `hasWaited`: the write was held back already for the sake of a cache that fills up. */
  #attempt(
    offset: number,
    source: Buffer,
    sourceOffset: number,
    length: number,
    hasWaited: boolean,
  ): boolean {
    this.check();
    assert(offset >= 0 && offset + length <= this.sizeBytes);
    const { pool } = this.#chains;
    if (this.baseRootKey !== undefined && this.#needsBase(offset, length) >= 0) return false;
    if (pool.isPressed && !hasWaited && this.#slotsNeeded(offset, length) > 0) return false;
    try {
      if (!this.#reserve(offset, length)) return false;
      // From here on nothing waits: the write is whole, and in one epoch.
      this.epochs.dirty.markRange(offset, length);
      this.#writeBlocks(offset, source, sourceOffset, length);
      this.wrote(length);
    } catch (error) {
      throw this.storageError(error, "write");
    } finally {
      for (const slot of this.#reserved.splice(0)) pool.giveBack(slot);
    }
    return true;
  }

  override async write(offset: number, source: Buffer, sourceOffset: number, length: number): Promise<void> {
    await this.untilMayWrite(length);
    const { clock, limits } = this.world;
    const deadlineMs = clock.monotonicMs() + limits.slotWaitMs;
    const { pool } = this.#chains;
    let hasWaited = false;
    while (!this.#attempt(offset, source, sourceOffset, length, hasWaited)) {
      if (clock.monotonicMs() >= deadlineMs) throw new DeviceError("busy", "no free slot in time");
      const block = this.baseRootKey === undefined ? -1 : this.#needsBase(offset, length);
      if (block >= 0 && !this.#needsSlot(block)) await this.#fill(block);
      else if (block >= 0) await this.#fillFresh(block, offset, length, deadlineMs);
      else if (!hasWaited) {
        hasWaited = true;
        await this.holdBack(pool, this.#ownerIndex, this.#slotsNeeded(offset, length));
      } else await this.waitForSlot(pool, this.#ownerIndex, deadlineMs);
    }
  }

  /**
   * Where the closed epoch's version of each block is; what is named stays there until the epoch is settled. Throws for
   * an epoch that is not waiting for its upload any more: a block without a slot would pass for an unchanged one.
   */
  locate(epoch: number, blocks: readonly number[]): SlotLocation[] {
    if (!this.epochs.closed.some((closed) => closed.epoch === epoch)) {
      throw new DeviceError("notReady", `epoch ${epoch} of ${this.volumeId} is not to be uploaded any more`);
    }
    const { pool } = this.#chains;
    return blocks.map((block) => {
      const slot = this.#chains.ofEpoch(block, epoch);
      if (slot === undefined) return { block, path: "", positionBytes: 0, mask: 0 };
      return { block, ...pool.location(slot), mask: pool.mask(slot) };
    });
  }

  override emptyBytes(offsetBytes: number, lengthBytes: number): number {
    this.check();
    if (this.baseRootKey !== undefined) return 0;
    const end = offsetBytes + Math.min(lengthBytes, EMPTY_BYTES_MAX);
    let at = offsetBytes;
    while (at < end && this.#chains.newest(Math.floor(at / BLOCK_BYTES)) === undefined) {
      at = Math.min((Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES, end);
    }
    return at - offsetBytes;
  }

  protected override giveBack(): void {
    // A slot with zeros is clean or will be: the cache takes it back by itself.
  }

  protected override cutObstacle(): string | undefined {
    return this.#chains.pool.slotCount === 0 ? "the gateway has no cache" : undefined;
  }

  protected override async syncAll(): Promise<void> {
    await this.guarded(() => this.#chains.pool.flush());
  }

  protected override quiesce(): void {
    // A fetch under way looks whether the volume still serves before it keeps what it has brought.
  }

  protected override async syncMaps(): Promise<void> {
    // The dirty maps are all there is.
  }

  protected override async prepareUpload(): Promise<void> {
    // The uploader asks `locate`; frozen slots stay where they are.
  }

  protected override async afterSettled(closed: ClosedEpoch | undefined): Promise<void> {
    if (closed === undefined) return;
    let handled = 0;
    for (const block of closed.dirty.blocks()) {
      const slot = this.#chains.ofEpoch(block, closed.epoch);
      // An older version below a newer one has done its duty; the newest is a clean copy now.
      if (slot === undefined) continue;
      if (this.#chains.newest(block) === slot) this.#chains.pool.clean(slot);
      else this.#drop(block, slot, true);
      handled += 1;
      if (handled % CLEAN_BATCH === 0) await nextTurn();
    }
    this.#chains.pool.cleaned();
  }

  protected override handOver(epoch: number): void {
    const heir = this.epochs.heirOf(epoch);
    const { pool } = this.#chains;
    for (const block of [...this.#chains.blocks()]) {
      const slot = this.#chains.ofEpoch(block, epoch);
      if (slot === undefined) continue;
      const newer = this.#chains.ofEpoch(block, heir);
      if (newer === undefined) pool.update(slot, heir, pool.mask(slot));
      else {
        this.#chains.fold(slot, newer);
        this.#drop(block, slot, false);
      }
    }
  }

  protected override beforeGrowth(): void {
    // Slots know no size.
  }

  protected override afterGrowth(): void {
    // The vault has zeros there.
  }

  protected override afterDurable(): void {
    // Nothing was kept back for it.
  }

  protected override release(): void {
    this.#chains.pool.unregister(this.#ownerIndex);
  }

  /** Takes over what the cache disks held, as far as it can be believed. */
  #load(found: readonly { slot: number; block: number; epoch: number; mask: number }[]): void {
    const { pool } = this.#chains;
    const believeClean = pool.trusted && this.epochs.trusted;
    const { settledEpoch } = this.epochs;
    const uploadedEpoch = this.epochs.lastUploaded?.epoch ?? 0;
    const kept: (typeof found)[number][] = [];
    const orphaned = new Set<number>();
    for (const state of found) {
      if (state.epoch <= this.epochs.resetEpoch) {
        pool.release(state.slot, true);
        continue;
      }
      const failed = state.epoch > uploadedEpoch && this.epochs.state(state.epoch).state === "failed";
      // After a loss of power a clean slot may hold another block's bytes: its record may be older than its data.
      if (!failed && state.epoch <= settledEpoch && !believeClean) {
        pool.release(state.slot, true);
        continue;
      }
      if (failed) orphaned.add(state.epoch);
      kept.push(state);
    }
    this.#chains.load(kept);
    this.#hasAdopted = this.#chains.adopt(this.epochs.openEpoch);
    // The newest first: what is handed over later only fills what is missing.
    for (const epoch of [...orphaned].sort((a, b) => b - a)) this.handOver(epoch);
    for (const { slot, block } of kept) {
      if (pool.epoch(slot) > settledEpoch || !this.#chains.has(block, slot)) continue;
      if (this.#chains.newest(block) === slot) pool.clean(slot);
      else this.#drop(block, slot, true);
    }
    if (believeClean) return;
    for (const block of this.#chains.blocks()) {
      const newest = this.#chains.newest(block);
      if (newest !== undefined && pool.epoch(newest) === this.epochs.openEpoch) {
        this.epochs.dirty.mark(block, pool.mask(newest));
      }
    }
  }

  #drop(block: number, slot: number, clean: boolean): void {
    if (this.#chains.remove(block, slot)) this.#chains.pool.release(slot, clean);
  }

  /** The first block of the range with a piece that no slot has, or -1. */
  #uncovered(offsetBytes: number, lengthBytes: number): number {
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const stop = Math.min((block + 1) * BLOCK_BYTES, end);
      const needed = touchedPieces(at - block * BLOCK_BYTES, stop - at);
      if ((needed & ~this.#chains.coverage(block)) !== 0) return block;
      at = stop;
    }
    return -1;
  }

  /** The first block of the range with a piece that is written in part and that no slot has, or -1. */
  #needsBase(offsetBytes: number, lengthBytes: number): number {
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const stop = Math.min((block + 1) * BLOCK_BYTES, end);
      const offset = at - block * BLOCK_BYTES;
      const partial = touchedPieces(offset, stop - at) & ~coveredPieces(offset, stop - at);
      if (partial !== 0 && (partial & ~this.#chains.coverage(block)) !== 0) return block;
      at = stop;
    }
    return -1;
  }

  /** Takes all the slots that the write will need, or none. */
  #reserve(offsetBytes: number, lengthBytes: number): boolean {
    assert(this.#reserved.length === 0);
    this.#pin(offsetBytes, lengthBytes);
    try {
      for (let block = this.#pinnedFirst; block <= this.#pinnedLast; block++) {
        if (!this.#needsSlot(block)) continue;
        const slot = this.#chains.pool.allocate(this.#ownerIndex, block, this.epochs.openEpoch);
        if (slot === NO_SLOT) {
          for (const taken of this.#reserved.splice(0)) this.#chains.pool.giveBack(taken);
          return false;
        }
        this.#reserved.push(slot);
      }
    } finally {
      this.#unpin();
    }
    this.#reserved.reverse();
    return true;
  }

  #pin(offsetBytes: number, lengthBytes: number): void {
    this.#pinnedFirst = Math.floor(offsetBytes / BLOCK_BYTES);
    this.#pinnedLast = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
  }

  #unpin(): void {
    this.#pinnedFirst = -1;
    this.#pinnedLast = -1;
  }

  /** Whether a write to the block can't go to the slot it has: there is none, or it is frozen. */
  #needsSlot(block: number): boolean {
    const newest = this.#chains.newest(block);
    if (newest === undefined) return true;
    const epoch = this.#chains.pool.epoch(newest);
    return epoch !== this.epochs.openEpoch && epoch > this.epochs.settledEpoch;
  }

  #writeBlocks(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): void {
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const stop = Math.min((block + 1) * BLOCK_BYTES, end);
      this.#writeBlock(block, at - block * BLOCK_BYTES, source, sourceOffset + at - offsetBytes, stop - at);
      at = stop;
    }
  }

  /** How many slots a write would make dirty, new ones and those that are clean now. */
  #slotsNeeded(offsetBytes: number, lengthBytes: number): number {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    let needed = 0;
    for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++) {
      const newest = this.#chains.newest(block);
      if (newest === undefined || this.#chains.pool.epoch(newest) !== this.epochs.openEpoch) needed += 1;
    }
    return needed;
  }

  #writeBlock(block: number, offsetInBlock: number, source: Buffer, from: number, lengthBytes: number): void {
    const { pool } = this.#chains;
    const open = this.epochs.openEpoch;
    const fresh = this.#needsSlot(block);
    const slot = fresh ? this.#reserved.pop() : this.#chains.newest(block);
    assert(slot !== undefined && pool.block(slot) === block);
    // A clean copy becomes dirty in its record before its bytes change.
    if (!fresh && pool.epoch(slot) !== open) pool.update(slot, open, pool.mask(slot));
    let mask: number;
    try {
      mask = this.#chains.writeInto(
        slot,
        offsetInBlock,
        source,
        from,
        lengthBytes,
        (offset, into, to, length) =>
          this.complete(() => this.#chains.read(block, offset, into, to, length, fillZeros)),
      );
    } catch (error) {
      if (fresh) pool.giveBack(slot);
      throw error;
    }
    pool.update(slot, open, mask);
    if (fresh) this.#chains.push(block, slot);
  }

  /**
   * Puts a range together from slots and, where they have nothing, from `base`: the content of blocks from
   * `baseFirst` on. Without `base`, what no slot has is zeros. See `SlotChains.read` for `lacking`.
   */
  #compose(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    base: Buffer | undefined,
    baseFirst: number,
    lacking: Lacking | undefined,
  ): boolean {
    const end = offsetBytes + lengthBytes;
    let isThere = true;
    assert(base === undefined || baseFirst * BLOCK_BYTES + base.length >= end);
    for (let at = offsetBytes; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const stop = Math.min((block + 1) * BLOCK_BYTES, end);
      const to = targetOffset + at - offsetBytes;
      const baseOffset = (block - baseFirst) * BLOCK_BYTES;
      const readBase: BaseReader = (offset, into, i, length) => {
        if (base === undefined) into.fill(0, i, i + length);
        else base.copy(into, i, baseOffset + offset, baseOffset + offset + length);
        return true;
      };
      const isRead = this.#chains.read(
        block,
        at - block * BLOCK_BYTES,
        target,
        to,
        stop - at,
        readBase,
        lacking,
      );
      isThere &&= isRead;
      at = stop;
    }
    return isThere;
  }

  async #readPart(offset: number, target: Buffer, targetOffset: number, length: number): Promise<void> {
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    const attempts = new Attempts(this.lacking);
    for (;;) {
      if (this.readHere(offset, target, targetOffset, length, attempts.next())) return;
      if (attempts.isLacking) {
        await this.bring(attempts);
        continue;
      }
      const coming = this.#readAhead.fetchOf(this.#uncovered(offset, length));
      if (coming !== undefined) {
        await coming;
        continue;
      }
      this.#misses += 1;
      const count = this.#readAhead.missed(first, last - first + 1);
      const rootKey = this.baseRootKey;
      assert(rootKey !== undefined);
      let base: Buffer;
      try {
        base = await this.#fetchOnce(rootKey, first, count);
      } catch (error) {
        // What can't be had of a root that is not the newest any more is of no interest.
        if (rootKey !== this.baseRootKey) continue;
        throw error;
      }
      this.check();
      // Another root may mean that a newer version of a block was uploaded, and its slot taken away, meanwhile.
      if (rootKey !== this.baseRootKey) continue;
      this.#keep(first, count, base);
      try {
        this.#compose(offset, target, targetOffset, length, base, first, undefined);
      } catch (error) {
        throw this.storageError(error, "read");
      }
      return;
    }
  }

  async #fetchAhead(first: number, count: number): Promise<void> {
    const rootKey = this.baseRootKey;
    if (rootKey === undefined || this.failure !== undefined || this.stopping) return;
    const base = await this.world.roots.readBlocks(rootKey, first, count);
    if (rootKey !== this.baseRootKey || this.failure !== undefined || this.stopping) return;
    this.#keep(first, count, base);
  }

  /** Misses on the same blocks at the same time share one fetch. */
  #fetchOnce(rootKey: string, first: number, count: number): Promise<Buffer> {
    const key = `${rootKey} ${first} ${count}`;
    let fetch = this.#fetches.get(key);
    if (fetch === undefined) {
      fetch = this.fetch(rootKey, first, count).finally(() => this.#fetches.delete(key));
      this.#fetches.set(key, fetch);
    }
    return fetch;
  }

  /** Keeps fetched blocks in the cache, as far as there is room: a read never waits for room, nor fails for it. */
  #keep(first: number, count: number, base: Buffer): void {
    assert(first >= 0 && base.length === count * BLOCK_BYTES);
    try {
      for (let i = 0; i < count; i++) {
        if (!this.#isFrozen(first + i)) this.#fillFrom(first + i, base, i * BLOCK_BYTES);
      }
    } catch (error) {
      if (!(error instanceof DeviceError) || error.kind !== "noSpace") throw error;
    }
  }

  /**
   * Whether the block's newest slot belongs to a closed epoch that is not in the bucket. Such a slot is durable as it
   * is, and is sent as it is: nothing is added to it that a failure could take away again.
   */
  #isFrozen(block: number): boolean {
    const newest = this.#chains.newest(block);
    if (newest === undefined) return false;
    const epoch = this.#chains.pool.epoch(newest);
    return epoch !== this.epochs.openEpoch && epoch > this.epochs.settledEpoch;
  }

  /**
   * Adds the pieces that the block's slots lack: to the newest one, or where that is frozen to one of the open epoch.
   * Answers false where a slot is needed and there is none.
   */
  #fillFrom(block: number, base: Buffer, offset: number): boolean {
    const { pool } = this.#chains;
    const missing = ALL_PIECES & ~this.#chains.coverage(block);
    if (missing === 0) return true;
    const newest = this.#chains.newest(block);
    try {
      const isFrozen = this.#isFrozen(block);
      if (newest !== undefined && !isFrozen) {
        this.#writePieces(newest, missing, base, offset);
        pool.update(newest, pool.epoch(newest), pool.mask(newest) | missing);
        return true;
      }
      const epoch = isFrozen ? this.epochs.openEpoch : (this.epochs.lastUploaded?.epoch ?? 0);
      const slot = pool.allocate(this.#ownerIndex, block, epoch);
      if (slot === NO_SLOT) return false;
      this.#fresh = slot;
      this.#writePieces(slot, missing, base, offset);
      if (isFrozen) this.epochs.dirty.mark(block, missing);
      this.#fresh = NO_SLOT;
      pool.update(slot, epoch, missing);
      this.#chains.push(block, slot);
      if (!isFrozen) pool.clean(slot);
      return true;
    } catch (error) {
      throw this.storageError(error, "write");
    } finally {
      if (this.#fresh !== NO_SLOT) pool.giveBack(this.#fresh);
      this.#fresh = NO_SLOT;
    }
  }

  #writePieces(slot: number, mask: number, base: Buffer, offset: number): void {
    const { pool } = this.#chains;
    if (mask === ALL_PIECES) {
      pool.write(slot, 0, base, offset, BLOCK_BYTES);
      return;
    }
    for (let at = 0; at < BLOCK_BYTES; at += PIECE_BYTES) {
      if ((mask & (1 << (at / PIECE_BYTES))) !== 0) pool.write(slot, at, base, offset + at, PIECE_BYTES);
    }
  }

  /** Completes a block that has a slot, so that a write of part of a piece can go on. */
  async #fill(block: number): Promise<void> {
    const rootKey = this.baseRootKey;
    if (rootKey === undefined) return;
    const base = await this.#fetchOnce(rootKey, block, 1);
    this.check();
    if (rootKey === this.baseRootKey) this.#fillFrom(block, base, 0);
  }

  /** The same for a block without a slot: waits for one. */
  async #fillFresh(block: number, offset: number, length: number, deadlineMs: number): Promise<void> {
    const rootKey = this.baseRootKey;
    if (rootKey === undefined) return;
    const base = await this.#fetchOnce(rootKey, block, 1);
    this.check();
    if (rootKey !== this.baseRootKey) return;
    // The one end of a write must not be taken away for the other.
    let filled: boolean;
    this.#pin(offset, length);
    try {
      filled = this.#fillFrom(block, base, 0);
    } finally {
      this.#unpin();
    }
    if (!filled) await this.waitForSlot(this.#chains.pool, this.#ownerIndex, deadlineMs);
  }
}

function fillZeros(_offset: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean {
  target.fill(0, targetOffset, targetOffset + lengthBytes);
  return true;
}
