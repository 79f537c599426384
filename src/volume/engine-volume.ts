/**
 * What stored and cached volumes share: epochs and cuts, the shared flush, failure, and waiting for a slot.
 *
 * A volume lives on one thread. Everything between two awaits is atomic with respect to cuts, so a write is either
 * wholly before a cut or wholly after it.
 */
import { strict as assert } from "node:assert";
import { delay, nextTurn } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import { GroupCommit } from "../platform/group-commit.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import type { RecoveryPoint, UploadedEpoch } from "./epoch-log.ts";
import { type ClosedEpoch, CutRefused, type EpochState } from "./epoch-state.ts";
import { CLOSED_EPOCHS_MAX, type Epochs } from "./epochs.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import { Attempts, Lacking } from "./lacking.ts";
import { readPatiently } from "./root-reader.ts";
import type { SlotPool } from "./slot-pool.ts";
import { StoppableVolume } from "./stoppable-volume.ts";
import type { PendingUpload } from "./upload-pump.ts";
import type { VolumeWorld } from "./volume-world.ts";
import type { BrakeShare } from "./write-brake.ts";
import { isZeros, ZEROS } from "./zeros.ts";

/** The progress of a restored volume towards its own disk, 0 to 1, or undefined. */
export type RestoreProgress = number | undefined;

export abstract class EngineVolume extends StoppableVolume {
  readonly logicalBlockBytes = 512;
  readonly physicalBlockBytes = 4096;
  protected readonly parentRootKey: string | undefined;
  /** What the last attempt to read has not found in memory. */
  protected readonly lacking = new Lacking();
  readonly #flush = new GroupCommit(() => {
    this.#unsyncedBytes = 0;
    return this.syncAll();
  });
  readonly #brakeShare: BrakeShare = { turn: 0, bytes: 0 };
  #sizeBytes: number;
  #unsyncedBytes = 0;
  /** Cuts are made durable one after the other, so that a durable one never has a lost one below it. */
  #durability: Promise<void> = Promise.resolve();

  protected constructor(
    volumeId: VolumeId,
    sizeBytes: number,
    world: VolumeWorld,
    epochs: Epochs,
    parentRootKey: string | undefined,
  ) {
    super(volumeId, world, epochs);
    assert(sizeBytes > 0 && sizeBytes % BLOCK_BYTES === 0);
    this.#sizeBytes = sizeBytes;
    this.parentRootKey = parentRootKey;
  }

  /** It may grow while initiators use it. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  abstract get restoreProgress(): RestoreProgress;

  /** The root that holds every block the volume has no newer bytes of; undefined for all zeros. */
  get baseRootKey(): string | undefined {
    return this.epochs.lastUploaded?.rootKey ?? this.parentRootKey;
  }

  /** The newest moment of the volume that is in the bucket. */
  get recoveryPoint(): RecoveryPoint | undefined {
    return this.epochs.lastUploaded;
  }

  /** Bytes of the blocks that hold something: exact after an upload, an upper bound in between. */
  get usedBytes(): number {
    return Math.min(this.sizeBytes, (this.epochs.lastUploaded?.fullBytes ?? 0) + this.unsavedBytes);
  }

  /** Whether there is nowhere to keep what a cut needs: no upload buffer, or no cache. */
  get isWithoutStorage(): boolean {
    return this.cutObstacle() !== undefined;
  }

  /** Bytes written since the last flush began. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes;
  }

  /** Whether something was written since the last cut. */
  get isDirty(): boolean {
    return this.epochs.dirty.dirtyBlocks > 0;
  }

  /** See `Epochs.unsavedBlocks`. */
  get unsavedBytes(): number {
    return this.epochs.unsavedBlocks * BLOCK_BYTES;
  }

  get closedEpochs(): number {
    return this.epochs.closed.length;
  }

  /** Reads where neither the vault nor a disk has to be waited for; see `BlockDevice.tryRead`. */
  tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean {
    return this.readHere(offsetBytes, target, targetOffset, lengthBytes, this.lacking.cleared());
  }

  abstract tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean;
  abstract read(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
  ): Promise<void>;
  abstract write(
    offsetBytes: number,
    source: Buffer,
    sourceOffset: number,
    lengthBytes: number,
  ): Promise<void>;

  /** Makes everything acknowledged so far survive loss of power (invariant 2). */
  async flush(): Promise<void> {
    this.check();
    await this.#flush.run();
  }

  /** Gives the range back: it reads as zeros from now on. */
  async unmap(offsetBytes: number, lengthBytes: number): Promise<void> {
    const now = Buffer.alloc(Math.min(ZEROS.length, lengthBytes));
    for (let at = 0; at < lengthBytes; at += ZEROS.length) {
      const length = Math.min(ZEROS.length, lengthBytes - at);
      await nextTurn();
      // What is zeros already is not dirty for that.
      if (this.#isZeros(offsetBytes + at, now, length)) {
        this.giveBack(offsetBytes + at, length);
        continue;
      }
      if (!this.tryWrite(offsetBytes + at, ZEROS, 0, length)) {
        await this.write(offsetBytes + at, ZEROS, 0, length);
      }
    }
  }

  /** See `BlockDevice.expect`. */
  expect(_offsetBytes: number, _lengthBytes: number): void {
    // On a disk of its own, the system reads ahead.
  }

  /** Whether the range is known to hold zeros only; `scratch` takes it. */
  #isZeros(offsetBytes: number, scratch: Buffer, lengthBytes: number): boolean {
    try {
      return (
        this.readHere(offsetBytes, scratch, 0, lengthBytes, undefined) && isZeros(scratch, 0, lengthBytes)
      );
    } catch (error) {
      // Zeros over what can't be read any more mend it.
      if (error instanceof DeviceError && error.kind === "mediumError") return false;
      throw error;
    }
  }

  /**
   * Reads what is on this machine: answers false, with `target` undefined in content, where the vault has to be asked;
   * and, with `lacking`, where a disk would have to be waited for, which is noted there then.
   */
  protected abstract readHere(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking: Lacking | undefined,
  ): boolean;

  /** See `BlockDevice.readNear`. */
  async readNear(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
  ): Promise<boolean> {
    const attempts = new Attempts(this.lacking);
    while (!this.readHere(offsetBytes, target, targetOffset, lengthBytes, attempts.next())) {
      if (!attempts.isLacking) return false;
      await this.bring(attempts);
    }
    return true;
  }

  /** Bytes from the offset on, at most `lengthBytes`, that are known to be zeros without being looked at. */
  abstract emptyBytes(offsetBytes: number, lengthBytes: number): number;

  /** The range holds zeros and is not needed: space that they take may be set free. */
  protected abstract giveBack(offsetBytes: number, lengthBytes: number): void;

  /** Throws a CutRefused where the volume can't be cut now. */
  checkCut(): void {
    this.check();
    const reason = this.cutObstacle();
    if (reason !== undefined) throw new CutRefused(reason);
    if (this.epochs.closed.length >= CLOSED_EPOCHS_MAX) {
      throw new CutRefused(`${CLOSED_EPOCHS_MAX} cuts already wait for their upload`);
    }
  }

  /**
   * Closes the open epoch, now, without a wait: whatever was acknowledged before this call is in it, whatever is
   * acknowledged later is not. So cuts of several volumes in one turn are of one instant: no write that waited for
   * another's acknowledgement is in while that other is out (invariant 3).
   *
   * When `recorded` resolves, the cut itself survives loss of power; its data is being made durable behind it.
   */
  cutNow(cutAtMs: number, snapshotId?: SnapshotId): { epoch: number; recorded: Promise<void> } {
    this.checkCut();
    let closed: ClosedEpoch;
    try {
      closed = this.epochs.cut(cutAtMs, snapshotId);
    } catch (error) {
      throw this.storageError(error, "write");
    }
    const recorded = this.guarded(() => this.epochs.sync());
    const before = this.#durability;
    this.#durability = recorded.then(
      () => before.then(() => this.#makeDurable(closed)),
      // `guarded` has stopped the volume.
      () => before,
    );
    return { epoch: closed.epoch, recorded };
  }

  /** The size of the volume becomes `sizeBytes`: the disk of a stored volume has to have it. */
  grow(sizeBytes: number): void {
    this.check();
    assert(sizeBytes % BLOCK_BYTES === 0 && sizeBytes >= this.#sizeBytes);
    if (sizeBytes === this.#sizeBytes) return;
    this.beforeGrowth(sizeBytes);
    this.epochs.grow(sizeBytes);
    this.#sizeBytes = sizeBytes;
    this.finishGrowth();
  }

  /** Does what a growth needs that the log does not know of yet; to be called when the volume is opened, too. */
  protected finishGrowth(): void {
    const before = this.epochs.recordedBytes;
    if (before === this.#sizeBytes) return;
    if (before !== undefined) {
      this.afterGrowth(before / BLOCK_BYTES, (this.#sizeBytes - before) / BLOCK_BYTES);
    }
    this.epochs.recordSize();
  }

  /** Makes room in the volume's own files. Throws a DeviceError where the disk is too small. */
  protected abstract beforeGrowth(sizeBytes: number): void;
  /** The maps have room for the new blocks. */
  protected abstract afterGrowth(firstBlock: number, count: number): void;

  /** Makes the cuts durable that a crash of the process has kept from it; to be called when the volume is open. */
  protected resumeCuts(): void {
    for (const closed of this.epochs.closed) {
      this.#durability = this.#durability.then(() => this.#makeDurable(closed));
    }
  }

  /** Resolves when the cuts made so far have become durable, or the volume has failed. */
  settled(): Promise<void> {
    return this.#durability;
  }

  /** Why the volume can't be cut now, or undefined. */
  protected abstract cutObstacle(): string | undefined;

  /** The epoch whose upload is due, ready to be read; undefined if there is none. */
  async nextUpload(): Promise<PendingUpload | undefined> {
    const closed = this.epochs.closed[0];
    if (closed === undefined || this.failure !== undefined || this.stopping) return undefined;
    // What the bucket has must be here too after a loss of power: the next root is made of this one and of what
    // changes here from now on.
    while (!closed.durable) {
      await this.#durability;
      if (this.failure !== undefined || this.stopping) return undefined;
      // The cut has just been made: its turn comes when its caller goes on.
      if (!closed.durable) await nextTurn();
    }
    await this.prepareUpload(closed);
    const parentRootKey = this.baseRootKey;
    return {
      epoch: closed.epoch,
      cutAtMs: closed.cutAtMs,
      sizeBytes: closed.sizeBytes,
      dirtyPath: closed.dirty.path,
      dirtyBlocks: closed.dirty.dirtyBlocks,
      ...(closed.snapshotId && { snapshotId: closed.snapshotId }),
      ...(parentRootKey !== undefined && { parentRootKey }),
    };
  }

  /** The oldest closed epoch is in the bucket: records it, and lets go of what was kept for it. */
  async uploaded(uploaded: UploadedEpoch): Promise<void> {
    this.throwIfFailed();
    const closed = await this.guarded(() => this.epochs.markUploaded(uploaded));
    await this.guarded(() => this.afterSettled(closed));
    this.epochs.discard(closed);
  }

  /** The oldest closed epoch can never be uploaded; the next one takes over what it changed. */
  async uploadFailed(epoch: number, reason: string): Promise<void> {
    await this.guarded(() => this.epochs.markFailed(epoch, reason, () => this.handOver(epoch)));
    await this.guarded(() => this.afterSettled(undefined));
  }

  epochState(epoch: number): EpochState {
    return this.epochs.state(epoch);
  }

  /**
   * Stops serving and gives up everything that is not in the bucket, durably, with `reason`; the slots that held it
   * are dropped when the volume is opened again. For a cached volume whose cache is lost, or is to be given away.
   * Answers the number of blocks that are given up.
   */
  async reset(reason: string): Promise<number> {
    await this.endService();
    let lostBlocks = this.epochs.dirty.dirtyBlocks;
    for (const closed of this.epochs.closed) lostBlocks += closed.dirty.dirtyBlocks;
    await this.epochs.reset(reason);
    this.release();
    this.epochs.close();
    return lostBlocks;
  }

  /** Stops serving, makes everything durable and lets go of the files; `open` finds all as it was. */
  async close(): Promise<void> {
    await this.endService();
    if (this.failure === undefined) {
      await this.#flush.run();
      await this.syncMaps();
      await this.epochs.markClean();
    }
    this.release();
    this.epochs.close();
  }

  /** Nobody is served any more, and nothing goes on in the background. */
  protected async endService(): Promise<void> {
    this.beginToStop();
    await this.#durability;
    await this.suspected;
    this.quiesce();
  }

  /** Makes data, slots and maps of everything acknowledged durable. */
  protected abstract syncAll(): Promise<void>;
  /** Nothing that works in the background changes a file from now on. */
  protected abstract quiesce(): void;
  /** Makes those maps durable that are believed as they stand after a clean shutdown. */
  protected abstract syncMaps(): Promise<void>;
  /** Puts the epoch's blocks where the uploader will look for them. */
  protected abstract prepareUpload(closed: ClosedEpoch): Promise<void>;
  /** An epoch has left the list of closed ones; `closed` is given if it was uploaded. */
  protected abstract afterSettled(closed: ClosedEpoch | undefined): Promise<void>;
  /** Gives the slots of a failed epoch to its heir; runs in the instant the epoch leaves the list. */
  protected abstract handOver(epoch: number): void;
  /** What must follow once the cut's data is on stable storage. */
  protected abstract afterDurable(closed: ClosedEpoch): void;
  /** Lets go of slots and files of the volume's own. */
  protected abstract release(): void;

  /** To be told of every write: an addition, for it is on the hot path. */
  protected wrote(lengthBytes: number): void {
    this.#unsyncedBytes += lengthBytes;
    this.world.brake.wrote(lengthBytes);
  }

  /** Whether a write may go on now, as far as the disks keep up. On the hot path. */
  protected mayWrite(lengthBytes: number): boolean {
    return this.world.brake.mayPass(this.#brakeShare, lengthBytes);
  }

  /** Waits until `mayWrite` says yes, within limits. */
  protected untilMayWrite(lengthBytes: number): Promise<void> {
    return this.world.brake.admitted(this.#brakeShare, lengthBytes);
  }

  /** Holds a write back that takes slots of a pool which fills up. */
  protected async holdBack(pool: SlotPool, ownerIndex: number, slots: number): Promise<void> {
    const delayMs = pool.delayMs(ownerIndex, slots);
    if (delayMs <= 0) return;
    await delay(this.world.clock, delayMs);
    this.check();
  }

  /** Resolves when a slot may have become free; rejects with BUSY after `deadlineMs`. */
  protected async waitForSlot(pool: SlotPool, ownerIndex: number, deadlineMs: number): Promise<void> {
    if (pool.hasQuarantine) {
      await this.guarded(() => pool.flush());
      return;
    }
    this.world.onSlotShortage?.(this.volumeId);
    const { clock } = this.world;
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) throw new DeviceError("busy", "no free slot: the upload is behind");
    await new Promise<void>((resolve) => {
      const cancel = clock.after(leftMs, resolve);
      pool.whenSpace(ownerIndex, () => {
        cancel();
        resolve();
      });
    });
    this.check();
  }

  /** Reads blocks of a root, trying again while the vault gives no answer, within the limit. */
  protected fetch(rootKey: string, firstBlock: number, count: number): Promise<Buffer> {
    return readPatiently(this.world, rootKey, firstBlock, count, () => this.check());
  }

  async #makeDurable(closed: ClosedEpoch): Promise<void> {
    while (this.failure === undefined && !closed.durable) {
      try {
        await this.guarded(async () => {
          await Promise.all([this.#flush.run(), closed.dirty.sync()]);
          await this.epochs.markDurable(closed);
          this.afterDurable(closed);
        });
      } catch (error) {
        // Either the volume has stopped, and `failure` tells why; no later cut becomes durable then. Or there is no
        // room: until there is, the cut waits, and those behind it with it.
        if (this.failure !== undefined || this.stopping) return;
        if (!(error instanceof DeviceError)) throw error;
        await delay(this.world.clock, NO_ROOM_RETRY_MS);
      }
    }
  }
}

/** The pause before something is tried again for which there was no room. */
const NO_ROOM_RETRY_MS = 1_000;
