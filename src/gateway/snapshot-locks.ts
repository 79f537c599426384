/**
 * Locks of snapshots: nobody deletes a locked one. A governance lock can be changed and taken off; a compliance lock can be
 * too while it cools off, and after that only be made longer. Locks are in the row and in the record in the bucket.
 */
import type { SnapshotRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { SnapshotId } from "../platform/ids.ts";
import { GatewayError } from "./errors.ts";
import { lockState } from "./snapshot-marks.ts";
import type { Snapshots } from "./snapshots.ts";

/** What is wanted: for so many days from now on, or until a moment. */
export interface WantedLock {
  readonly mode: "governance" | "compliance";
  readonly days?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Only for compliance. */
  readonly coolOffHours?: number | undefined;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NO_LOCK = {
  lock_mode: null,
  lock_days: null,
  locked_at: null,
  lock_until: null,
  cool_off_until: null,
} as const satisfies Partial<SnapshotRow>;

export class SnapshotLocks {
  readonly #snapshots: Snapshots;
  readonly #clock: Clock;

  constructor(snapshots: Snapshots, clock: Clock) {
    this.#snapshots = snapshots;
    this.#clock = clock;
  }

  /** Locks the snapshot, or changes its lock as far as that may be. Rejects with a GatewayError where it may not. */
  lock(id: SnapshotId, wanted: WantedLock): Promise<SnapshotRow> {
    return this.#snapshots.change(id, (row) => lockOver(row, wanted, this.#clock.nowMs()));
  }

  /** Takes the lock off. Rejects with a GatewayError where that may not be, or there is none. */
  unlock(id: SnapshotId): Promise<SnapshotRow> {
    return this.#snapshots.change(id, (row) => {
      const state = lockState(row, this.#clock.nowMs());
      if (state === "compliance") throw new GatewayError("SnapshotLocked", "Its lock is a compliance lock.");
      if (state === undefined) throw new GatewayError("SnapshotNotLocked");
      return NO_LOCK;
    });
  }
}

/** The lock's columns, if `wanted` may take the place of the lock that is there. */
export function lockOver(row: SnapshotRow, wanted: WantedLock, nowMs: number): Partial<SnapshotRow> {
  const untilMs = wanted.untilMs ?? nowMs + (wanted.days ?? 0) * DAY_MS;
  if (untilMs <= nowMs) throw new GatewayError("InvalidParameters", "The lock would have expired already.");
  const state = lockState(row, nowMs);
  if (state === "compliance") {
    if (wanted.mode !== "compliance")
      throw new GatewayError("SnapshotLocked", "The mode of a compliance lock can't be changed.");
    if (wanted.coolOffHours !== undefined)
      throw new GatewayError("SnapshotLocked", "Its cooling-off period is over.");
    if (untilMs < (row.lock_until ?? 0))
      throw new GatewayError("SnapshotLocked", "A compliance lock can only be made longer.");
  }
  return {
    lock_mode: wanted.mode,
    lock_days: wanted.days ?? Math.ceil((untilMs - nowMs) / DAY_MS),
    locked_at: nowMs,
    lock_until: untilMs,
    cool_off_until: wanted.coolOffHours === undefined ? null : nowMs + wanted.coolOffHours * HOUR_MS,
  };
}
