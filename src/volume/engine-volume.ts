/**
 * What stored and cached volumes share: epochs and cuts, the shared flush, failure, and waiting for a slot.
 *
 * A volume lives on one thread. Everything between two awaits is atomic with respect to cuts, so a write is either
 * wholly before a cut or wholly after it.
 */
import { strict as assert } from "node:assert";
import { type Clock, delay, nextTurn } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { Disk } from "../platform/disk.ts";
import { GroupCommit } from "../platform/group-commit.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import type { UploadedEpoch } from "./epoch-log.ts";
import { CLOSED_EPOCHS_MAX, type ClosedEpoch, type EpochState, type Epochs } from "./epochs.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import { isUnavailable, type RootReader, toDeviceError } from "./root-reader.ts";
import type { SlotPool } from "./slot-pool.ts";

/** The outside world of a volume. */
export interface VolumeWorld {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly roots: RootReader;
  readonly limits: VolumeLimits;
  /** A write waits because no slot is free: the owner may cut and upload. */
  onSlotShortage?(volumeId: VolumeId): void;
}

export interface VolumeLimits {
  /** How long a write may wait for a slot before it is answered BUSY. Below the initiator's command timer. */
  readonly slotWaitMs: number;
  /** How long a read may wait for a vault that gives no answer. */
  readonly vaultWaitMs: number;
  /** The pause between two attempts at it. */
  readonly vaultRetryMs: number;
}

export const DEFAULT_VOLUME_LIMITS: VolumeLimits = {
  slotWaitMs: 15_000,
  vaultWaitMs: 20_000,
  vaultRetryMs: 1_000,
};

/** What the uploader is told of the epoch whose turn it is. */
export interface PendingUpload {
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly snapshotId?: SnapshotId;
  readonly dirtyPath: string;
  readonly dirtyBlocks: number;
  /** The root that the epoch builds on. */
  readonly parentRootKey?: string;
}

/** A cut was asked for that can't be made now. */
export class CutRefused extends Error {
  override readonly name = "CutRefused";
}

/** The progress of a restored volume towards its own disk, 0 to 1, or undefined. */
export type RestoreProgress = number | undefined;

export abstract class EngineVolume {
  readonly volumeId: VolumeId;
  readonly sizeBytes: number;
  readonly logicalBlockBytes = 512;
  readonly physicalBlockBytes = 4096;
  protected readonly world: VolumeWorld;
  protected readonly epochs: Epochs;
  protected readonly parentRootKey: string | undefined;
  readonly #flush = new GroupCommit(() => {
    this.#unsyncedBytes = 0;
    return this.syncAll();
  });
  #unsyncedBytes = 0;
  #failure: string | undefined;
  #stopping = false;
  /** Cuts are made durable one after the other, so that a durable one never has a lost one below it. */
  #durability: Promise<void> = Promise.resolve();

  protected constructor(
    volumeId: VolumeId,
    sizeBytes: number,
    world: VolumeWorld,
    epochs: Epochs,
    parentRootKey: string | undefined,
  ) {
    assert(sizeBytes > 0 && sizeBytes % BLOCK_BYTES === 0);
    this.volumeId = volumeId;
    this.sizeBytes = sizeBytes;
    this.world = world;
    this.epochs = epochs;
    this.parentRootKey = parentRootKey;
  }

  /** Why the volume has stopped, if it has. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  abstract get restoreProgress(): RestoreProgress;

  /** The root that holds every block the volume has no newer bytes of; undefined for all zeros. */
  get baseRootKey(): string | undefined {
    return this.epochs.lastUploaded?.rootKey ?? this.parentRootKey;
  }

  /** Bytes of the blocks that hold something: exact after an upload, an upper bound in between. */
  get usedBytes(): number {
    let blocks = this.epochs.dirty.dirtyBlocks;
    for (const closed of this.epochs.closed) blocks += closed.dirty.dirtyBlocks;
    const known = this.epochs.lastUploaded?.fullBytes ?? 0;
    return Math.min(this.sizeBytes, known + blocks * BLOCK_BYTES);
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

  get closedEpochs(): number {
    return this.epochs.closed.length;
  }

  abstract tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean;
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
      // What is zeros already stays as it is: sparse on the disk, and not dirty.
      if (this.tryRead(offsetBytes + at, now, 0, length) && now.compare(ZEROS, 0, length, 0, length) === 0) {
        continue;
      }
      if (!this.tryWrite(offsetBytes + at, ZEROS, 0, length)) {
        await this.write(offsetBytes + at, ZEROS, 0, length);
      }
    }
  }

  /**
   * Closes the open epoch: whatever was acknowledged before this call is in it, whatever is acknowledged later is
   * not. When the promise resolves, the cut itself survives loss of power; its data is being made durable behind it.
   */
  async cut(snapshotId?: SnapshotId): Promise<{ epoch: number; cutAtMs: number }> {
    this.check();
    const reason = this.cutObstacle();
    if (reason !== undefined) throw new CutRefused(reason);
    if (this.epochs.closed.length >= CLOSED_EPOCHS_MAX) {
      throw new CutRefused(`${CLOSED_EPOCHS_MAX} cuts already wait for their upload`);
    }
    const closed = this.epochs.cut(this.world.clock.nowMs(), snapshotId);
    await this.guarded(() => this.epochs.sync());
    this.#durability = this.#durability.then(() => this.#makeDurable(closed));
    return { epoch: closed.epoch, cutAtMs: closed.cutAtMs };
  }

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
    if (closed === undefined || this.#failure !== undefined || this.#stopping) return undefined;
    // What the bucket has must be here too after a loss of power: the next root is made of this one and of what
    // changes here from now on.
    while (!closed.durable) {
      await this.#durability;
      if (this.#failure !== undefined || this.#stopping) return undefined;
      // The cut has just been made: its turn comes when its caller goes on.
      if (!closed.durable) await nextTurn();
    }
    await this.prepareUpload(closed);
    const parentRootKey = this.baseRootKey;
    return {
      epoch: closed.epoch,
      cutAtMs: closed.cutAtMs,
      dirtyPath: closed.dirty.path,
      dirtyBlocks: closed.dirty.dirtyBlocks,
      ...(closed.snapshotId && { snapshotId: closed.snapshotId }),
      ...(parentRootKey !== undefined && { parentRootKey }),
    };
  }

  /** The oldest closed epoch is in the bucket: records it, and lets go of what was kept for it. */
  async uploaded(uploaded: UploadedEpoch): Promise<void> {
    const closed = await this.guarded(() => this.epochs.markUploaded(uploaded));
    await this.afterSettled(closed);
    this.epochs.discard(closed);
  }

  /** The oldest closed epoch can never be uploaded; the next one takes over what it changed. */
  async uploadFailed(epoch: number, reason: string): Promise<void> {
    await this.guarded(() => this.epochs.markFailed(epoch, reason, () => this.handOver(epoch)));
    await this.afterSettled(undefined);
  }

  epochState(epoch: number): EpochState {
    return this.epochs.state(epoch);
  }

  /** Stops serving, makes everything durable and lets go of the files; `open` finds all as it was. */
  async close(): Promise<void> {
    this.#stopping = true;
    await this.#durability;
    if (this.#failure === undefined) {
      await this.#flush.run();
      await this.epochs.markClean();
    }
    this.release();
    this.epochs.close();
  }

  /** Makes data, slots and maps of everything acknowledged durable. */
  protected abstract syncAll(): Promise<void>;
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
  }

  /** Throws unless the volume serves. */
  protected check(): void {
    if (this.#failure !== undefined) throw new DeviceError("hardwareError", this.#failure);
    if (this.#stopping) throw new DeviceError("notReady", "the volume is being closed");
  }

  /** Stops the volume for good: its files can't be relied on any more. */
  protected fail(reason: string): void {
    this.#failure ??= reason;
  }

  /** Runs an action on the volume's files. A failure of it stops the volume: a failed sync is never tried again. */
  protected async guarded<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.fail(`local storage failed: ${reason}`);
      throw new DeviceError("hardwareError", this.#failure ?? reason, { cause: error });
    }
  }

  /** Resolves when a slot may have become free; rejects with BUSY after `deadlineMs`. */
  protected async waitForSlot(pool: SlotPool, deadlineMs: number): Promise<void> {
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
      pool.whenSpace(() => {
        cancel();
        resolve();
      });
    });
    this.check();
  }

  /** Reads blocks of a root, trying again while the vault gives no answer, within the limit. */
  protected async fetch(rootKey: string, firstBlock: number, count: number): Promise<Buffer> {
    const { clock, limits, roots } = this.world;
    const deadlineMs = clock.monotonicMs() + limits.vaultWaitMs;
    for (;;) {
      try {
        return await roots.readBlocks(rootKey, firstBlock, count);
      } catch (error) {
        if (!isUnavailable(error) || clock.monotonicMs() >= deadlineMs) throw toDeviceError(error);
        await delay(clock, limits.vaultRetryMs);
        this.check();
      }
    }
  }

  async #makeDurable(closed: ClosedEpoch): Promise<void> {
    if (this.#failure !== undefined || closed.durable) return;
    try {
      await this.guarded(async () => {
        await Promise.all([this.#flush.run(), closed.dirty.sync()]);
        await this.epochs.markDurable(closed);
      });
      this.afterDurable(closed);
    } catch {
      // `guarded` has stopped the volume and kept the reason: `failure` tells it, and no later cut becomes durable.
    }
  }
}

const ZEROS = Buffer.alloc(1024 * 1024);
