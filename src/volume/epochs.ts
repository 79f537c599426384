/**
 * A volume's age: the open epoch, the closed ones on their way to the bucket, and what became of the others.
 *
 * A cut closes the open epoch and opens the next. It costs one appended line and one new, empty dirty map, whatever
 * the size of the volume (design: O(1)). From then on the closed epoch's dirty map never changes, and the engine
 * never overwrites a byte that is marked in it until it has reached the bucket: `isFrozen` is what it asks.
 *
 * Invariant 3: a closed epoch ends in `uploaded` or in `failed` with a reason, and only in the order of the epochs.
 */
import { strict as assert } from "node:assert";
import type { Disk } from "../platform/disk.ts";
import type { SnapshotId } from "../platform/ids.ts";
import { DirtyMap, removeStrayMaps } from "./dirty-map.ts";
import { EpochLog, type EpochRecord, type RecoveryPoint, type UploadedEpoch } from "./epoch-log.ts";
import type { ClosedEpoch, EpochState } from "./epoch-state.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import type { PageBudget } from "./page-budget.ts";

/** Cuts that may wait for their upload; one more is refused. */
export const CLOSED_EPOCHS_MAX = 32;
/** Finished epochs whose outcome is remembered, for whoever asks after a restart. */
const OUTCOMES_KEPT = 256;
/** A log that has become longer is begun anew with what still counts. */
const LOG_BYTES_MAX = 1024 * 1024;

const LOST_POWER = "the machine lost power before the data of this cut had reached stable storage";

export class Epochs {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #budget: PageBudget;
  #blockCount: number;
  readonly #log: EpochLog;
  readonly #closed: ClosedEpoch[] = [];
  readonly #outcomes = new Map<number, EpochState>();
  #openEpoch = 1;
  /** The epoch whose map holds marks of what it did not write itself. */
  #guessedEpoch: number;
  #dirty: DirtyMap;
  #lastUploaded: RecoveryPoint | undefined;
  #hydrated = false;
  #recordedBytes: number | undefined;
  /** Records that are being written down and are not in effect yet. */
  #recording = 0;
  #reset: (EpochRecord & { type: "reset" }) | undefined;
  /**
   * A disk has failed since the state was written. What is read may then be in the system's cache alone, with nobody
   * left to write it to the disk: it has to be written again before it is relied on.
   */
  readonly suspect: boolean;
  /** No power was lost since the state was written: the exact files may be believed. */
  readonly trusted: boolean;

  private constructor(disk: Disk, folder: string, blockCount: number, budget: PageBudget) {
    this.#disk = disk;
    this.#folder = folder;
    this.#blockCount = blockCount;
    this.#budget = budget;
    const cuts = new Map<number, { cut: EpochRecord & { type: "cut" }; durable: boolean }>();
    let bootId: string | undefined;
    let clean = true;
    this.#log = EpochLog.open(disk, `${folder}/epochs`, (records) => {
      for (const record of records) {
        clean = record.type === "clean" || record.type === "format";
        if (record.type === "boot") bootId = record.bootId;
        else if (record.type === "suspect") bootId = undefined;
        else if (record.type === "cut") cuts.set(record.epoch, { cut: record, durable: false });
        else this.#replay(record, cuts);
      }
      // Who wrote the files stays on record until `begin`: a crash before it finds what this start has found.
      const last: EpochRecord = bootId === undefined ? { type: "suspect" } : { type: "boot", bootId };
      return [...this.#compacted(cuts), clean ? { type: "clean" } : last];
    });
    this.suspect = !clean && bootId === undefined;
    this.trusted = clean || bootId === disk.bootId;

    for (const [epoch, { cut, durable }] of [...cuts].sort(([a], [b]) => a - b)) {
      this.#openEpoch = Math.max(this.#openEpoch, epoch + 1);
      const { cutAtMs, sizeBytes, snapshotId } = cut;
      const dirty = DirtyMap.open(disk, this.#dirtyPath(epoch), blockCount, budget);
      this.#closed.push({ epoch, cutAtMs, sizeBytes, dirty, durable, ...(snapshotId && { snapshotId }) });
    }
    this.#dirty = DirtyMap.open(disk, this.#dirtyPath(this.#openEpoch), blockCount, budget);
    // After a loss of power whole regions are marked, and after a crash perhaps what was never written.
    this.#guessedEpoch = this.#openEpoch;
    const known = [...this.#closed.map(({ dirty }) => dirty.path), this.#dirty.path];
    removeStrayMaps(disk, folder, new Set(known));
  }

  /** Whether there are any in `folder`. */
  static exist(disk: Disk, folder: string): boolean {
    return disk.readFile(`${folder}/epochs`) !== undefined;
  }

  /** Opens the epochs kept in `folder`, or begins with epoch 1. The volume calls `begin` before it writes. */
  static async open(disk: Disk, folder: string, blockCount: number, budget: PageBudget): Promise<Epochs> {
    const epochs = new Epochs(disk, folder, blockCount, budget);
    if (!epochs.trusted) {
      // A cut is made durable after those before it, so the ones that are not stand at the end of the list. All that
      // is behind the first of them goes with it: its base would be missing.
      const lost = epochs.#closed.findIndex((closed) => !closed.durable);
      if (lost >= 0) await epochs.#failFrom(lost);
    }
    return epochs;
  }

  /**
   * Records durably that this boot writes from now on. Until then the next start finds the files as untrusted as this
   * one did, so everything that had to be done about that (marks above all) must be in the files before.
   */
  async begin(): Promise<void> {
    this.#log.append({ type: "boot", bootId: this.#disk.bootId });
    await this.#log.sync();
  }

  /** The epoch that a write acknowledged now belongs to. */
  get openEpoch(): number {
    return this.#openEpoch;
  }

  /** What the open epoch has changed. */
  get dirty(): DirtyMap {
    return this.#dirty;
  }

  /** Blocks that are not in the bucket yet; one that several epochs hold counts for each. */
  get unsavedBlocks(): number {
    let blocks = this.#dirty.dirtyBlocks;
    for (const closed of this.#closed) blocks += closed.dirty.dirtyBlocks;
    return blocks;
  }

  /** Closed epochs that are not in the bucket yet, oldest first. */
  get closed(): readonly ClosedEpoch[] {
    return this.#closed;
  }

  /** The newest epoch that is in the bucket. */
  get lastUploaded(): RecoveryPoint | undefined {
    return this.#lastUploaded;
  }

  /** Epochs up to this one are in the bucket, or have handed what they changed to a later one. */
  get settledEpoch(): number {
    return (this.#closed[0]?.epoch ?? this.#openEpoch) - 1;
  }

  /** Slots of epochs up to this one are of no use any more: the cache that they were in was given up. 0: none. */
  get resetEpoch(): number {
    return this.#reset?.epoch ?? 0;
  }

  /** Whether there is anything that is not in the bucket. */
  get hasUnsent(): boolean {
    return this.#dirty.dirtyBlocks > 0 || this.#closed.length > 0;
  }

  /** Whether a restored volume has been marked as wholly on its disk. */
  get hydrated(): boolean {
    return this.#hydrated;
  }

  /** Whether some closed epoch still needs the block as it is. */
  isFrozen(block: number): boolean {
    for (const closed of this.#closed) if (closed.dirty.has(block)) return true;
    return false;
  }

  /**
   * Whether the open epoch has written to the block itself. False where that is not known: a mark may also come from a
   * crash, or from a failed epoch whose changes were taken over.
   */
  hasWritten(block: number): boolean {
    return this.#openEpoch !== this.#guessedEpoch && this.#dirty.has(block);
  }

  /** Closes the open epoch. Survives the death of the process at once, and loss of power after `sync`. */
  cut(cutAtMs: number, snapshotId?: SnapshotId): ClosedEpoch {
    assert(this.#closed.length < CLOSED_EPOCHS_MAX);
    const epoch = this.#openEpoch;
    const sizeBytes = this.#blockCount * BLOCK_BYTES;
    const next = this.#newMap(epoch + 1);
    try {
      this.#log.append({ type: "cut", epoch, cutAtMs, sizeBytes, ...(snapshotId && { snapshotId }) });
    } catch (error) {
      next.close();
      throw error;
    }
    const closed: ClosedEpoch = {
      epoch,
      cutAtMs,
      sizeBytes,
      dirty: this.#dirty,
      durable: false,
      ...(snapshotId && { snapshotId }),
    };
    this.#closed.push(closed);
    this.#openEpoch = epoch + 1;
    this.#dirty = next;
    return closed;
  }

  /** Makes all that was recorded durable. No rewrite of the log comes between. */
  sync(): Promise<void> {
    this.#recording += 1;
    return this.#log.sync().finally(() => {
      this.#recording -= 1;
    });
  }

  /** Records that the closed epoch's data and map are on stable storage. */
  async markDurable(closed: ClosedEpoch): Promise<void> {
    if (!this.#closed.includes(closed)) return;
    await this.#disk.syncFolder(this.#folder);
    await this.#record({ type: "durable", epoch: closed.epoch }, () => {
      closed.durable = true;
    });
  }

  /**
   * Records durably that the oldest closed epoch is in the bucket, and takes it off the list. Its dirty map is the
   * caller's until `discard`.
   */
  async markUploaded(uploaded: UploadedEpoch): Promise<ClosedEpoch> {
    const closed = this.#closed[0];
    assert(closed !== undefined && closed.epoch === uploaded.epoch);
    const point: RecoveryPoint = { ...uploaded, cutAtMs: closed.cutAtMs };
    // Before this is durable nothing that the epoch needs may be given up.
    await this.#record({ type: "uploaded", ...point }, () => {
      assert(this.#closed[0] === closed);
      this.#closed.shift();
      this.#lastUploaded = point;
      this.#remember(uploaded.epoch, { state: "uploaded", ...point });
    });
    if (this.#log.sizeBytes > LOG_BYTES_MAX && this.#recording === 0) {
      this.#log.rewrite([...this.#records(), { type: "boot", bootId: this.#disk.bootId }]);
    }
    return closed;
  }

  /**
   * Records that the oldest closed epoch can't be uploaded. What it changed counts as changed by the epoch after it,
   * and `settle` is called in the same instant to hand over the slots that the epoch held.
   */
  async markFailed(epoch: number, reason: string, settle: () => void): Promise<void> {
    const closed = this.#closed[0];
    assert(closed !== undefined && closed.epoch === epoch);
    const heir = this.#closed[1]?.dirty ?? this.#dirty;
    if (heir === this.#dirty) this.#guessedEpoch = this.#openEpoch;
    heir.absorb(closed.dirty);
    await heir.sync();
    await this.#record({ type: "failed", epoch, reason }, () => {
      // A cut made meanwhile has turned the open map into a closed one: it is the same map, so the heir stays right.
      this.#closed.shift();
      this.#remember(epoch, { state: "failed", reason });
      settle();
    });
    this.discard(closed);
  }

  /** The epoch that inherits what a failed epoch changed: the next one that is not in the bucket. */
  heirOf(epoch: number): number {
    return this.#closed.find((closed) => closed.epoch > epoch)?.epoch ?? this.#openEpoch;
  }

  /** Throws a finished epoch's dirty map away. */
  discard(closed: ClosedEpoch): void {
    assert(!this.#closed.includes(closed));
    closed.dirty.close();
    this.#disk.remove(closed.dirty.path);
  }

  /** What became of an epoch. */
  state(epoch: number): EpochState {
    if (this.#closed.some((closed) => closed.epoch === epoch)) return { state: "pending" };
    return this.#outcomes.get(epoch) ?? { state: "unknown" };
  }

  /** The volume's size as it was last recorded; undefined for a new one. */
  get recordedBytes(): number | undefined {
    return this.#recordedBytes;
  }

  /** Records the size; all that a growth needs has been done. */
  recordSize(): void {
    const sizeBytes = this.#blockCount * BLOCK_BYTES;
    this.#log.append({ type: "size", sizeBytes });
    this.#recordedBytes = sizeBytes;
  }

  /** The volume has grown: cuts from now on are of the new size. */
  grow(sizeBytes: number): void {
    const blockCount = sizeBytes / BLOCK_BYTES;
    this.#dirty.grow(this.#disk, blockCount);
    this.#blockCount = blockCount;
  }

  /**
   * Gives up, durably, everything that is not in the bucket: cuts that wait for their upload fail with `reason`, and
   * what the open epoch has changed is forgotten. For a cached volume whose cache is lost.
   */
  async reset(reason: string): Promise<void> {
    const record = { type: "reset", epoch: this.#openEpoch, reason } as const;
    this.#log.append(record);
    await this.#log.sync();
    this.#reset = record;
    for (const closed of this.#closed.splice(0)) {
      this.#outcomes.set(closed.epoch, { state: "failed", reason });
      this.discard(closed);
    }
    this.#dirty.close();
    this.#disk.remove(this.#dirty.path);
    this.#openEpoch = record.epoch + 1;
    this.#dirty = this.#newMap(this.#openEpoch);
  }

  /**
   * Records that files here may not hold what was written to them, although the machine runs on: the next start takes
   * it for a loss of power. After a sync that failed.
   */
  async markSuspect(): Promise<void> {
    // As a new file: where it was the log's own sync that has failed, the old one may have holes.
    this.#log.rewrite([...this.#records(), { type: "suspect" }]);
  }

  /** Records that a restored volume is wholly on its disk. */
  async markHydrated(): Promise<void> {
    await this.#record({ type: "hydrated" }, () => {
      this.#hydrated = true;
    });
  }

  /** Records a clean shutdown: the caller has made everything durable and writes nothing any more. */
  async markClean(): Promise<void> {
    await Promise.all([this.#dirty.sync(), ...this.#closed.map((closed) => closed.dirty.sync())]);
    this.#log.append({ type: "clean" });
    await this.#log.sync();
  }

  close(): void {
    this.#log.close();
    this.#dirty.close();
    for (const closed of this.#closed) closed.dirty.close();
  }

  async #failFrom(index: number): Promise<void> {
    for (const closed of this.#closed.splice(index)) {
      this.#dirty.absorb(closed.dirty);
      await this.#dirty.sync();
      this.#log.append({ type: "failed", epoch: closed.epoch, reason: LOST_POWER });
      await this.#log.sync();
      this.#outcomes.set(closed.epoch, { state: "failed", reason: LOST_POWER });
      this.discard(closed);
    }
  }

  /** Appends a record, makes it durable, and only then lets it take effect. No rewrite of the log comes between. */
  async #record(record: EpochRecord, effect: () => void): Promise<void> {
    this.#recording += 1;
    try {
      this.#log.append(record);
      await this.#log.sync();
      effect();
    } finally {
      this.#recording -= 1;
    }
  }

  #newMap(epoch: number): DirtyMap {
    return DirtyMap.create(this.#disk, this.#dirtyPath(epoch), this.#blockCount, this.#budget);
  }

  #dirtyPath(epoch: number): string {
    return `${this.#folder}/dirty-${epoch}`;
  }

  #replay(record: EpochRecord, cuts: Map<number, { durable: boolean }>): void {
    if (record.type === "size") this.#recordedBytes = record.sizeBytes;
    else if (record.type === "reset") {
      this.#reset = record;
      for (const epoch of cuts.keys()) this.#outcomes.set(epoch, { state: "failed", reason: record.reason });
      cuts.clear();
      this.#openEpoch = Math.max(this.#openEpoch, record.epoch + 1);
    } else if (record.type === "durable") {
      const cut = cuts.get(record.epoch);
      if (cut !== undefined) cut.durable = true;
    } else if (record.type === "uploaded") {
      const { type: _, ...uploaded } = record;
      cuts.delete(record.epoch);
      this.#lastUploaded = uploaded;
      this.#outcomes.set(record.epoch, { state: "uploaded", ...uploaded });
      this.#openEpoch = Math.max(this.#openEpoch, record.epoch + 1);
    } else if (record.type === "failed") {
      cuts.delete(record.epoch);
      this.#outcomes.set(record.epoch, { state: "failed", reason: record.reason });
      this.#openEpoch = Math.max(this.#openEpoch, record.epoch + 1);
    } else if (record.type === "hydrated") {
      this.#hydrated = true;
    }
  }

  #compacted(cuts: ReadonlyMap<number, { cut: EpochRecord; durable: boolean }>): EpochRecord[] {
    const kept = this.#settledRecords();
    for (const [epoch, { cut, durable }] of cuts) {
      kept.push(cut);
      if (durable) kept.push({ type: "durable", epoch });
    }
    return kept;
  }

  /** All that the log has to say now, but for who writes it. */
  #records(): EpochRecord[] {
    const records = this.#settledRecords();
    for (const { epoch, cutAtMs, sizeBytes, snapshotId, durable } of this.#closed) {
      records.push({ type: "cut", epoch, cutAtMs, sizeBytes, ...(snapshotId && { snapshotId }) });
      if (durable) records.push({ type: "durable", epoch });
    }
    return records;
  }

  #settledRecords(): EpochRecord[] {
    const kept: EpochRecord[] = this.#hydrated ? [{ type: "hydrated" }] : [];
    if (this.#reset !== undefined) kept.push(this.#reset);
    if (this.#recordedBytes !== undefined) kept.push({ type: "size", sizeBytes: this.#recordedBytes });
    const last = this.#lastUploaded;
    const outcomes = [...this.#outcomes].slice(-OUTCOMES_KEPT);
    if (last !== undefined && !outcomes.some(([epoch]) => epoch === last.epoch)) {
      kept.push({ type: "uploaded", ...last });
    }
    for (const [epoch, outcome] of outcomes) {
      if (outcome.state === "uploaded") {
        const { state: _, ...uploaded } = outcome;
        kept.push({ type: "uploaded", ...uploaded });
      } else if (outcome.state === "failed") {
        kept.push({ type: "failed", epoch, reason: outcome.reason });
      }
    }
    return kept;
  }

  #remember(epoch: number, outcome: EpochState): void {
    this.#outcomes.set(epoch, outcome);
    if (this.#outcomes.size <= OUTCOMES_KEPT) return;
    const oldest = this.#outcomes.keys().next();
    if (!oldest.done) this.#outcomes.delete(oldest.value);
  }
}
