/** What a pool of slots is given: how it is to behave, and the volumes that hold its slots. */
import type { Clock } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";

/** A volume as the pool sees it. */
export interface SlotOwner {
  readonly volumeId: VolumeId;
  /** Whether slots of this epoch hold nothing that is not in the bucket too. */
  isClean(epoch: number): boolean;
  /** The slot is being taken away: forget it. Answers false where it can't be spared. */
  evict(block: number, slot: number): boolean;
  /** A disk of the pool has failed: what the slots hold can't be relied on any more. */
  failed(reason: string): void;
}

export interface SlotPoolOptions {
  /** Clean slots may be taken for other blocks (a cache); otherwise only free ones (an upload buffer). */
  readonly evicts: boolean;
  readonly clock: Clock;
  /** The longest that one write is held back while the pool fills up. */
  readonly writeDelayMsMax: number;
  /** A disk has failed: to be kept for `addDisk`, which must know of it. */
  onDiskFailed(path: string, reason: string): void;
}
