/** What a volume is given of the world around it. */
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { PageBudget } from "./page-budget.ts";
import type { RootReader } from "./root-reader.ts";
import type { WriteBrake } from "./write-brake.ts";

/** The outside world of a volume. */
export interface VolumeWorld {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly roots: RootReader;
  readonly limits: VolumeLimits;
  /** Bounds the memory of all dirty maps together. */
  readonly pages: PageBudget;
  /** Holds back who writes faster than the disks, one for all volumes. */
  readonly brake: WriteBrake;
  /** A write waits because no slot is free: the owner may cut and upload. */
  onSlotShortage?(volumeId: VolumeId): void;
  /** The volume has stopped for good. */
  onStopped?(volumeId: VolumeId, reason: string): void;
}

export interface VolumeLimits {
  /** How long a write may wait for a slot before it is answered BUSY. Below the initiator's command timer. */
  readonly slotWaitMs: number;
  /** The longest that a write is held back while a cache or buffer fills up. */
  readonly writeDelayMsMax: number;
  /** How long a read may wait for a vault that gives no answer. */
  readonly vaultWaitMs: number;
  /** The pause between two attempts at it. */
  readonly vaultRetryMs: number;
}

export const DEFAULT_VOLUME_LIMITS: VolumeLimits = {
  slotWaitMs: 15_000,
  writeDelayMsMax: 1_000,
  vaultWaitMs: 20_000,
  vaultRetryMs: 1_000,
};
