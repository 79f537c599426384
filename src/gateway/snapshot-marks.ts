/** What some snapshots have and most have not: a lock, shares, the policy that made them. As rows, and as records. */
import type { SnapshotRow } from "../catalog/schema.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { SnapshotMarks } from "./ports.ts";

type Lock = Pick<SnapshotRow, "lock_mode" | "lock_days" | "locked_at" | "lock_until" | "cool_off_until">;
type Marked = Lock & Pick<SnapshotRow, "lineage_id" | "shared_with" | "policy_id" | "policy_schedule">;

/** How EC2 tells a lock's state; undefined where there is none. */
export type LockState = "governance" | "compliance" | "compliance-cooloff" | "expired";

export function lockState(row: Lock, nowMs: number): LockState | undefined {
  if (row.lock_mode === null) return undefined;
  if ((row.lock_until ?? 0) <= nowMs) return "expired";
  if (row.lock_mode === "compliance" && (row.cool_off_until ?? 0) > nowMs) return "compliance-cooloff";
  return row.lock_mode;
}

/** Whether nobody may delete it now. */
export function isLocked(row: Lock, nowMs: number): boolean {
  const state = lockState(row, nowMs);
  return state !== undefined && state !== "expired";
}

/** The marks as they go into the bucket. */
export function marksOf(row: Marked): { readonly marks?: SnapshotMarks } {
  const {
    lock_mode,
    lock_days,
    locked_at,
    lock_until,
    cool_off_until,
    lineage_id,
    policy_id,
    policy_schedule,
  } = row;
  const sharedWith = JSON.parse(row.shared_with) as string[];
  const marks: SnapshotMarks = {
    ...(lineage_id !== null && { lineageId: lineage_id }),
    ...(lock_mode !== null && {
      lock: {
        mode: lock_mode,
        days: lock_days ?? 0,
        lockedAtMs: locked_at ?? 0,
        untilMs: lock_until ?? 0,
        ...(cool_off_until !== null && { coolOffUntilMs: cool_off_until }),
      },
    }),
    ...(sharedWith.length > 0 && { sharedWith }),
    ...(policy_id !== null && { policy: { id: policy_id, schedule: policy_schedule ?? "" } }),
  };
  return Object.keys(marks).length === 0 ? {} : { marks };
}

/** The columns of marks out of the bucket. */
export function rowOfMarks(marks: SnapshotMarks | undefined): Marked {
  const { lineageId, lock, sharedWith = [], policy } = marks ?? {};
  return {
    lineage_id: (lineageId ?? null) as VolumeId | null,
    lock_mode: lock?.mode ?? null,
    lock_days: lock?.days ?? null,
    locked_at: lock?.lockedAtMs ?? null,
    lock_until: lock?.untilMs ?? null,
    cool_off_until: lock?.coolOffUntilMs ?? null,
    shared_with: JSON.stringify(sharedWith),
    policy_id: policy?.id ?? null,
    policy_schedule: policy?.schedule ?? null,
  };
}
