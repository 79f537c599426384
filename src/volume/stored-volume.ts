/**
 * A stored volume: all its data on one local disk, as a raw image, block *i* at offset *i* × block size for ever.
 *
 * Invariants kept here:
 * - A block that a closed epoch has marked and that is not in the bucket yet (it is frozen) is never overwritten on
 *   the disk: writes to it go to upload-buffer slots, piece by piece, and are merged back afterwards (invariant 3).
 * - A write is marked in the dirty map, and its region is durably logged, before its bytes reach the disk
 *   (invariant 5).
 * - A slot is let go only when its content is durable on the volume's own disk (invariant 1).
 */
import { strict as assert } from "node:assert";
import { nextTurn } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { Disk, DiskFile } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import { EngineVolume, type RestoreProgress } from "./engine-volume.ts";
import type { ClosedEpoch } from "./epoch-state.ts";
import { CLOSED_EPOCHS_MAX, Epochs } from "./epochs.ts";
import { BLOCK_BYTES, touchedPieces } from "./geometry.ts";
import { HydrationMap } from "./hydration-map.ts";
import { Hydrator } from "./hydrator.ts";
import { type Lacking, readOrNote } from "./lacking.ts";
import { Merger } from "./merger.ts";
import { ownFilesGone } from "./own-files.ts";
import { BLOCKS_PER_REGION, REGION_BYTES, RegionLog } from "./region-log.ts";
import { SlotChains } from "./slot-chains.ts";
import { NO_SLOT, type SlotPool } from "./slot-pool.ts";
import type { VolumeWorld } from "./volume-world.ts";
import { isZeros, ZEROS } from "./zeros.ts";

export interface StoredVolumeOptions {
  readonly volumeId: VolumeId;
  readonly sizeBytes: number;
  /** The volume's own folder for maps and logs. */
  readonly folder: string;
  /** The disk with the data. */
  readonly diskPath: string;
  readonly preserveExistingData: boolean;
  readonly parentRootKey?: string;
  /** Whether it may be made, where nothing is found of it; undefined: yes. */
  readonly isNew?: boolean;
  /** The gateway's upload buffer. */
  readonly buffer: SlotPool;
}

const READY_MARK = "ready";
const NOT_BLANK_MARK = "not-blank";
/** Blocks copied between two turns of the event loop. */
const COPY_BYTES = 1024 * 1024;

export class StoredVolume extends EngineVolume {
  readonly #home: DiskFile;
  readonly #folder: string;
  readonly #regions: RegionLog;
  readonly #chains: SlotChains;
  readonly #ownerIndex: number;
  #hydration: HydrationMap | undefined;
  readonly #hydrator: Hydrator | undefined;
  readonly #merger: Merger;
  /** Whether slots were found of an epoch whose beginning was lost. */
  readonly #hasAdopted: boolean;

  private constructor(
    options: StoredVolumeOptions,
    world: VolumeWorld,
    parts: { epochs: Epochs; home: DiskFile; regions: RegionLog; hydration: HydrationMap | undefined },
  ) {
    super(options.volumeId, options.sizeBytes, world, parts.epochs, options.parentRootKey);
    this.#home = parts.home;
    this.#folder = options.folder;
    this.#regions = parts.regions;
    this.#hydration = parts.hydration;
    this.#chains = new SlotChains(options.buffer);
    const { ownerIndex, found } = options.buffer.register({
      volumeId: options.volumeId,
      // Nothing in an upload buffer may be taken away: it holds what the disk does not have yet.
      isClean: () => false,
      evict: () => false,
      failed: (reason) => this.fail(reason),
    });
    this.#ownerIndex = ownerIndex;
    this.#chains.load(found);
    this.#hasAdopted = this.#chains.adopt(parts.epochs.openEpoch);
    this.#merger = new Merger(parts.home, this.#chains, parts.epochs, () => this.throwIfFailed());
    if (this.#hydration !== undefined) {
      this.#hydrator = new Hydrator({
        hydration: this.#hydration,
        world,
        rootKey: options.parentRootKey ?? "",
        blank: world.disk.readFile(`${options.folder}/${NOT_BLANK_MARK}`) === undefined,
        writeBlocks: (first, count, content, offset) => {
          this.#writeHome(first, count, content, offset);
          // Synced on the way, as what guests write: otherwise all of it has to be at the end.
          this.wrote(count * BLOCK_BYTES);
        },
        done: () => this.#hydrated(),
      });
    }
  }

  /** Opens the volume as it was left, or makes a new one. */
  static async open(options: StoredVolumeOptions, world: VolumeWorld): Promise<StoredVolume> {
    const { disk } = world;
    const { folder, sizeBytes, parentRootKey } = options;
    const blockCount = sizeBytes / BLOCK_BYTES;
    assert(Number.isInteger(blockCount));
    const isNew = disk.readFile(`${folder}/${READY_MARK}`) === undefined;
    // Not to be made again: that would empty a disk with data.
    if (isNew && options.isNew === false) throw ownFilesGone(folder);
    if (isNew) {
      // What a crash left of an earlier attempt was never offered to anybody.
      disk.removeFolder(folder);
      disk.makeFolder(folder);
    }
    // What is restored begins on a blank disk, whatever it held.
    const erase = isNew && (!options.preserveExistingData || parentRootKey !== undefined);
    const epochs = await Epochs.open(disk, folder, blockCount, world.pages);
    let home: DiskFile;
    try {
      home = openHome(disk, options, isNew ? 0 : (epochs.recordedBytes ?? 0), erase);
    } catch (error) {
      epochs.close();
      throw error;
    }
    const regions = RegionLog.open(disk, `${folder}/regions`, sizeBytes);
    const hydration =
      parentRootKey !== undefined && !epochs.hydrated
        ? HydrationMap.open(disk, folder, blockCount, epochs.trusted)
        : undefined;
    if (isNew) {
      if (erase) await eraseDevice(disk, options.diskPath, home);
      else {
        // Everything that is there already belongs to the first snapshot.
        epochs.dirty.markBlocks(0, blockCount);
        await epochs.dirty.sync();
      }
      disk.replaceFile(`${folder}/${READY_MARK}`, Buffer.from("1\n"));
    }
    if (hydration !== undefined && !epochs.trusted) {
      // Blocks still to be fetched may hold bytes of writes that no flush had promised to keep.
      disk.replaceFile(`${folder}/${NOT_BLANK_MARK}`, Buffer.from("1\n"));
    }
    const volume = new StoredVolume(options, world, { epochs, home, regions, hydration });
    if (!epochs.trusted) {
      volume.#markLoggedRegions();
      await epochs.dirty.sync();
    } else volume.#undoWrites(epochs.dirty.blocks());
    if (epochs.suspect) await volume.#rewrite();
    // As long as that is not durable the slots are found as they were, and this is done again.
    if (volume.#hasAdopted) await volume.guarded(() => options.buffer.flush());
    volume.finishGrowth();
    await epochs.begin();
    await volume.#mergeIfRoom();
    volume.resumeCuts();
    volume.#hydrator?.start();
    return volume;
  }

  override get restoreProgress(): RestoreProgress {
    const hydration = this.#hydration;
    return hydration === undefined ? undefined : hydration.hydratedBlocks / hydration.blockCount;
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
    if (this.#hydration !== undefined && this.#missing(offsetBytes, lengthBytes, false) >= 0) return false;
    if (this.#chains.size === 0) {
      return this.#readHome(offsetBytes, target, targetOffset, lengthBytes, lacking);
    }
    try {
      return this.#readBlocks(offsetBytes, target, targetOffset, lengthBytes, lacking);
    } catch (error) {
      // Slots are on another disk.
      throw this.storageError(error, "read");
    }
  }

  override async read(offset: number, target: Buffer, targetOffset: number, length: number): Promise<void> {
    while (!(await this.readNear(offset, target, targetOffset, length))) {
      await this.#hydrateAt(this.#missing(offset, length, false));
    }
  }

  override tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean {
    return this.mayWrite(lengthBytes) && this.#attempt(offsetBytes, source, sourceOffset, lengthBytes, false);
  }

  /** `hasWaited`: the write was held back already for the sake of a buffer that fills up. */
  #attempt(
    offset: number,
    source: Buffer,
    sourceOffset: number,
    length: number,
    hasWaited: boolean,
  ): boolean {
    this.check();
    assert(offset >= 0 && offset + length <= this.sizeBytes);
    if (!this.#regions.covers(offset, length)) return false;
    if (this.#hydration !== undefined && this.#missing(offset, length, true) >= 0) return false;
    const redirects = this.epochs.closed.length > 0 || this.#chains.size > 0;
    if (redirects) {
      const { pool } = this.#chains;
      const needed = this.#slotsNeeded(offset, length);
      if (needed > pool.freeSlots || (needed > 0 && !hasWaited && pool.isPressed)) return false;
    }
    try {
      // From here on nothing waits: the write is whole, and in one epoch.
      if (redirects) this.#writeBlocks(offset, source, sourceOffset, length);
      else {
        this.epochs.dirty.markRange(offset, length);
        this.#put(offset, source, sourceOffset, length);
      }
      if (this.#hydration !== undefined) this.#addHydrated(offset, length);
      this.wrote(length);
    } catch (error) {
      throw this.#refused(error, offset, length);
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
      const missing = this.#hydration === undefined ? -1 : this.#missing(offset, length, true);
      if (!this.#regions.covers(offset, length)) await this.guarded(() => this.#regions.add(offset, length));
      else if (missing >= 0) await this.#hydrateAt(missing);
      else if (!hasWaited) {
        hasWaited = true;
        await this.holdBack(pool, this.#ownerIndex, this.#slotsNeeded(offset, length));
      } else await this.waitForSlot(pool, this.#ownerIndex, deadlineMs);
    }
  }

  override emptyBytes(offsetBytes: number, lengthBytes: number): number {
    this.check();
    if (this.#hydration !== undefined) return 0;
    let end = offsetBytes + Math.min(lengthBytes, this.#home.holeBytes(offsetBytes));
    if (end === offsetBytes) return 0;
    // What has a slot may hold anything there.
    for (const block of this.#chains.blocks()) {
      const start = block * BLOCK_BYTES;
      if (start < end && start + BLOCK_BYTES > offsetBytes) end = Math.max(start, offsetBytes);
    }
    return end - offsetBytes;
  }

  /**
   * Ends the volume's service for good and gives up what waits for the bucket, so that its disk becomes what the guest
   * has seen last: while a closed epoch needs a block, newer bytes of it are in the upload buffer. `close` it then.
   */
  async bringHome(reason: string): Promise<void> {
    await this.endService();
    await this.guarded(async () => {
      await this.epochs.reset(reason);
      // Of each block at most one slot an epoch, the oldest first.
      for (let i = 0; i <= CLOSED_EPOCHS_MAX && this.#chains.size > 0; i++) await this.#merger.merge();
    });
    assert(this.#chains.size === 0);
  }

  protected override cutObstacle(): string | undefined {
    return this.#chains.pool.slotCount === 0 ? "the gateway has no upload buffer" : undefined;
  }

  protected override async syncAll(): Promise<void> {
    await this.guarded(async () => {
      const sync = async () => {
        await Promise.all([this.#home.sync(), this.#chains.pool.flush()]);
      };
      if (this.#hydration === undefined) await sync();
      else await this.#hydration.flush(sync);
    });
  }

  /** The uploader reads the epoch's blocks from the disk itself, so what it wrote to slots must be merged first. */
  protected override async prepareUpload(closed: ClosedEpoch): Promise<void> {
    await this.guarded(() => this.#merger.merge(closed.epoch));
    for (const block of this.#chains.blocks()) {
      const oldest = this.#chains.oldest(block);
      assert(oldest === undefined || this.#chains.pool.epoch(oldest) > closed.epoch);
    }
  }

  protected override async afterSettled(): Promise<void> {
    await this.#mergeIfRoom();
  }

  protected override handOver(): void {
    // Slots of the failed epoch need no heir: nothing below them is frozen any more, so the next merge takes them.
  }

  protected override afterDurable(closed: ClosedEpoch): void {
    // A steady load goes on where it was: its regions stay logged, so that its writes need not wait for a sync.
    const keep = closed.dirty.regions();
    for (const later of this.epochs.closed) {
      if (later.epoch > closed.epoch) for (const region of later.dirty.regions()) keep.add(region);
    }
    for (const region of this.epochs.dirty.regions()) keep.add(region);
    this.#regions.restrict(keep);
  }

  protected override beforeGrowth(sizeBytes: number): void {
    const { disk } = this.world;
    if (this.#hydration !== undefined)
      throw new DeviceError("notReady", "the volume is still being restored");
    const home = disk.open(this.#home.path);
    const homeBytes = home.sizeBytes;
    home.close();
    if (homeBytes < sizeBytes) {
      throw new DeviceError("noSpace", `${this.#home.path} has ${homeBytes} bytes, fewer than ${sizeBytes}`);
    }
    this.#regions.grow(disk, sizeBytes);
  }

  protected override afterGrowth(firstBlock: number, count: number): void {
    // A file that was made longer holds zeros there, as the vault thinks; a device holds whatever it holds.
    if (!this.world.disk.isRegularFile(this.#home.path)) this.epochs.dirty.markBlocks(firstBlock, count);
  }

  protected override quiesce(): void {
    this.#hydrator?.stop();
  }

  protected override async syncMaps(): Promise<void> {
    await this.#hydration?.syncExact();
  }

  protected override release(): void {
    this.#hydrator?.stop();
    this.#chains.pool.unregister(this.#ownerIndex);
    this.#home.close();
    this.#regions.close();
    this.#hydration?.close();
  }

  /**
   * The first block of the range that is not on the disk yet, or -1. `forWrite`: a block that the range covers from
   * end to end needs nothing from the parent.
   */
  #missing(offsetBytes: number, lengthBytes: number, forWrite: boolean): number {
    const hydration = this.#hydration;
    if (hydration === undefined) return -1;
    const last = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++) {
      if (hydration.has(block)) continue;
      const start = block * BLOCK_BYTES;
      if (forWrite && offsetBytes <= start && start + BLOCK_BYTES <= offsetBytes + lengthBytes) continue;
      return block;
    }
    return -1;
  }

  async #hydrateAt(block: number): Promise<void> {
    if (block >= 0) await this.#hydrator?.fetchBlock(block);
    this.check();
  }

  /** A write may only have passed `tryWrite` where its blocks are on the disk now. */
  #addHydrated(offsetBytes: number, lengthBytes: number): void {
    const hydration = this.#hydration;
    if (hydration === undefined) return;
    const first = Math.floor(offsetBytes / BLOCK_BYTES);
    const last = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    for (let block = first; block <= last; block++) {
      if (hydration.has(block)) continue;
      hydration.add(first, last - first + 1);
      return;
    }
  }

  async #hydrated(): Promise<void> {
    await this.flush();
    if (this.stopping) return;
    await this.guarded(() => this.epochs.markHydrated());
    this.#hydration?.close();
    this.#hydration = undefined;
    HydrationMap.remove(this.world.disk, this.#folder);
  }

  /** What a write is answered that has failed. Of blocks that are still to be fetched nothing of it stays. */
  #refused(error: unknown, offset: number, length: number): DeviceError {
    const refusal = this.storageError(error, "write");
    if (this.#hydration === undefined || this.failure !== undefined) return refusal;
    const first = Math.floor(offset / BLOCK_BYTES);
    const count = Math.floor((offset + length - 1) / BLOCK_BYTES) - first + 1;
    try {
      this.#undoWrites(Array.from({ length: count }, (_, i) => first + i));
    } catch (problem) {
      // A block with a mark and without its bytes would get into the next snapshot: the next start clears that up.
      const why = problem instanceof Error ? problem.message : String(problem);
      this.fail(`a write that was refused can't be undone: ${why}`);
    }
    return refusal;
  }

  /**
   * A block that is still to be fetched has no bytes of its own, and is not dirty. A mark on one is of a write over the
   * whole block that was cut short between its mark and the record that the block is there, by a crash or a full disk:
   * it was never acknowledged. The disk is made blank there again; after that the mark goes.
   */
  #undoWrites(blocks: Iterable<number>): void {
    if (this.#hydration === undefined) return;
    for (const block of [...blocks]) {
      if (this.#hydration.has(block) || !this.epochs.dirty.has(block)) continue;
      this.#home.zeroSync(block * BLOCK_BYTES, BLOCK_BYTES);
      this.epochs.dirty.clear(block);
    }
  }

  #writeHome(first: number, count: number, content: Buffer, offset: number): void {
    this.#home.writeSync(content, offset, count * BLOCK_BYTES, first * BLOCK_BYTES);
  }

  #readHome(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking: Lacking | undefined,
  ): boolean {
    try {
      return readOrNote(this.#home, target, targetOffset, lengthBytes, offsetBytes, lacking);
    } catch (error) {
      throw this.storageError(error, "read");
    }
  }

  #readBlocks(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking: Lacking | undefined,
  ): boolean {
    const end = offsetBytes + lengthBytes;
    let isThere = true;
    for (let at = offsetBytes; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const start = block * BLOCK_BYTES;
      const stop = Math.min(start + BLOCK_BYTES, end);
      const isRead = this.#readBlock(
        block,
        at - start,
        target,
        targetOffset + at - offsetBytes,
        stop - at,
        lacking,
      );
      isThere &&= isRead;
      at = stop;
    }
    return isThere;
  }

  #readBlock(
    block: number,
    offsetInBlock: number,
    target: Buffer,
    to: number,
    lengthBytes: number,
    lacking: Lacking | undefined,
  ): boolean {
    const start = block * BLOCK_BYTES;
    if (this.#chains.newest(block) === undefined) {
      return this.#readHome(start + offsetInBlock, target, to, lengthBytes, lacking);
    }
    return this.#chains.read(
      block,
      offsetInBlock,
      target,
      to,
      lengthBytes,
      (offset, into, at, length) => this.#readHome(start + offset, into, at, length, lacking),
      lacking,
    );
  }

  #slotsNeeded(offsetBytes: number, lengthBytes: number): number {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    let needed = 0;
    for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++) {
      const newest = this.#chains.newest(block);
      const fresh =
        newest === undefined
          ? this.#isFrozen(block)
          : this.#chains.pool.epoch(newest) !== this.epochs.openEpoch;
      if (fresh) needed += 1;
    }
    return needed;
  }

  /**
   * Whether a closed epoch needs what the disk holds of the block, which has no slot. Between two cuts no block becomes
   * frozen, so one that the open epoch has written to the disk already is not: the closed epochs are asked once for
   * each block and epoch, however many wait for their upload.
   */
  #isFrozen(block: number): boolean {
    return !this.epochs.hasWritten(block) && this.epochs.isFrozen(block);
  }

  #writeBlocks(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): void {
    const end = offsetBytes + lengthBytes;
    let at = offsetBytes;
    while (at < end) {
      const block = Math.floor(at / BLOCK_BYTES);
      const stop = Math.min((block + 1) * BLOCK_BYTES, end);
      this.#writeBlock(block, at - block * BLOCK_BYTES, source, sourceOffset + at - offsetBytes, stop - at);
      at = stop;
    }
  }

  #writeBlock(block: number, offsetInBlock: number, source: Buffer, from: number, lengthBytes: number): void {
    const { pool } = this.#chains;
    const open = this.epochs.openEpoch;
    const newest = this.#chains.newest(block);
    if (newest === undefined && !this.#isFrozen(block)) {
      this.epochs.dirty.mark(block, touchedPieces(offsetInBlock, lengthBytes));
      this.#put(block * BLOCK_BYTES + offsetInBlock, source, from, lengthBytes);
      return;
    }
    const reuse = newest !== undefined && pool.epoch(newest) === open;
    const slot = reuse ? newest : pool.allocate(this.#ownerIndex, block, open);
    assert(slot !== NO_SLOT);
    let mask: number;
    try {
      mask = this.#chains.writeInto(
        slot,
        offsetInBlock,
        source,
        from,
        lengthBytes,
        (offset, into, to, length) =>
          this.complete(() => this.#readBlock(block, offset, into, to, length, undefined)),
      );
      // The mark stands before the slot counts, and not without it: see #isFrozen.
      this.epochs.dirty.mark(block, touchedPieces(offsetInBlock, lengthBytes));
    } catch (error) {
      if (!reuse) pool.giveBack(slot);
      throw error;
    }
    pool.update(slot, open, mask);
    if (!reuse) this.#chains.push(block, slot);
    else this.#merger.written(slot);
  }

  /** Writes to the disk; zeros become holes where they come from `unmap` or fill whole blocks. */
  #put(offsetBytes: number, source: Buffer, from: number, lengthBytes: number): void {
    const isGivenBack =
      source === ZEROS || (lengthBytes >= BLOCK_BYTES && isZeros(source, from, lengthBytes));
    if (isGivenBack) this.#home.zeroSync(offsetBytes, lengthBytes);
    else this.#home.writeSync(source, from, lengthBytes, offsetBytes);
  }

  /**
   * The disk itself holds these zeros, also for a closed epoch, unless a block has slots: then it may hold what is
   * frozen.
   */
  protected override giveBack(offsetBytes: number, lengthBytes: number): void {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / BLOCK_BYTES);
    if (this.#chains.size > 0) {
      for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++) {
        if (this.#chains.newest(block) !== undefined) return;
      }
    }
    this.#home.trimSync(offsetBytes, lengthBytes);
  }

  /** What there is no room for now is merged before the next upload. */
  async #mergeIfRoom(): Promise<void> {
    try {
      await this.guarded(() => this.#merger.merge());
    } catch (error) {
      if (!(error instanceof DeviceError) || error.kind !== "noSpace") throw error;
    }
  }

  /** After a failed disk: writes everything again that may be in the system's cache alone. */
  async #rewrite(): Promise<void> {
    const buffer = Buffer.alloc(COPY_BYTES);
    for (const region of this.#regions.regions()) {
      const end = Math.min((region + 1) * REGION_BYTES, this.sizeBytes);
      for (let at = region * REGION_BYTES; at < end; at += buffer.length) {
        const length = Math.min(buffer.length, end - at);
        this.#home.readSync(buffer, 0, length, at);
        this.#home.writeSync(buffer, 0, length, at);
        await nextTurn();
      }
    }
    await this.#home.sync();
    await this.#regions.rewrite();
    await this.#hydration?.rewrite();
  }

  /** After a loss of power: every block of a logged region may have changed; the uploader finds out by hash. */
  #markLoggedRegions(): void {
    const blockCount = this.sizeBytes / BLOCK_BYTES;
    for (const region of this.#regions.regions()) {
      const first = region * BLOCKS_PER_REGION;
      const end = Math.min(first + BLOCKS_PER_REGION, blockCount);
      this.epochs.dirty.markBlocks(first, end - first);
    }
    for (const block of this.#chains.blocks()) {
      this.epochs.dirty.mark(block, this.#chains.coverage(block));
    }
    if (this.#hydration === undefined) return;
    // A block that is still to be fetched has no bytes of its own.
    for (const block of [...this.epochs.dirty.blocks()]) {
      if (!this.#hydration.has(block)) this.epochs.dirty.clear(block);
    }
  }
}

/** The disk with the data, which had so many bytes before: a file may only have to be made longer than that. */
function openHome(
  disk: Disk,
  { diskPath, sizeBytes }: StoredVolumeOptions,
  bytesBefore: number,
  erase: boolean,
): DiskFile {
  const there = disk.open(diskPath);
  const bytes = there.sizeBytes;
  there.close();
  // To make it as long as it was would be to serve zeros for what is gone.
  if (bytes < bytesBefore)
    throw new DeviceError(
      "notReady",
      `${diskPath} has ${bytes} bytes, and had ${bytesBefore}: what is there now?`,
    );
  const home = disk.open(diskPath, { erase, sizeBytes });
  if (home.sizeBytes >= sizeBytes) return home;
  home.close();
  throw new DeviceError("notReady", `${diskPath} is smaller than the volume`);
}

/** A regular file was emptied when it was opened; a device has to be overwritten. */
async function eraseDevice(disk: Disk, path: string, home: DiskFile): Promise<void> {
  if (disk.isRegularFile(path)) return;
  for (let at = 0; at < home.sizeBytes; at += COPY_BYTES) {
    home.zeroSync(at, Math.min(COPY_BYTES, home.sizeBytes - at));
    await nextTurn();
  }
  await home.sync();
}
