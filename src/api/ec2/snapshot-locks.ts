/** LockSnapshot, UnlockSnapshot, DescribeLockedSnapshots. */
import type {
  DescribeLockedSnapshotsRequest,
  DescribeLockedSnapshotsResult,
  LockedSnapshotsInfo,
  LockSnapshotRequest,
  UnlockSnapshotRequest,
  UnlockSnapshotResult,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { lockState } from "../../gateway/snapshot-marks.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkedSnapshotId, dryRun, snapshotNotFound } from "./checks.ts";
import { namedSnapshots } from "./describe-snapshots.ts";
import { applyFilters } from "./filters.ts";
import { inPages } from "./paging.ts";

const HOUR_MS = 3_600_000;

export const lockSnapshot: Operation<Services, LockSnapshotRequest, LockedSnapshotsInfo> = {
  name: "LockSnapshot",
  async handle({ snapshots, snapshotLocks, clock }, input, { accountId }) {
    const id = checkedSnapshotId(input.SnapshotId);
    const { LockMode, LockDuration, ExpirationDate, CoolOffPeriod } = input;
    if ((LockDuration === undefined) === (ExpirationDate === undefined))
      throw new Ec2Error(
        "InvalidParameterCombination",
        "Either LockDuration or ExpirationDate has to be given, and not both.",
      );
    if (CoolOffPeriod !== undefined && LockMode !== "compliance")
      throw new Ec2Error("InvalidParameterCombination", "CoolOffPeriod goes with the mode compliance only.");
    if ((await snapshots.find(id)) === undefined) throw snapshotNotFound(id);
    if (input.DryRun === true) throw dryRun();
    const row = await snapshotLocks.lock(id, {
      mode: LockMode === "compliance" ? "compliance" : "governance",
      days: LockDuration,
      untilMs: ExpirationDate?.getTime(),
      coolOffHours: CoolOffPeriod,
    });
    return lockShape(row, clock.nowMs(), accountId);
  },
};

export const unlockSnapshot: Operation<Services, UnlockSnapshotRequest, UnlockSnapshotResult> = {
  name: "UnlockSnapshot",
  async handle({ snapshots, snapshotLocks }, { SnapshotId, DryRun }) {
    const id = checkedSnapshotId(SnapshotId);
    if ((await snapshots.find(id)) === undefined) throw snapshotNotFound(id);
    if (DryRun === true) throw dryRun();
    await snapshotLocks.unlock(id);
    return { SnapshotId: id };
  },
};

export const describeLockedSnapshots: Operation<
  Services,
  DescribeLockedSnapshotsRequest,
  DescribeLockedSnapshotsResult
> = {
  name: "DescribeLockedSnapshots",
  async handle({ snapshots, clock }, input, { accountId }) {
    const nowMs = clock.nowMs();
    const views = await namedSnapshots(snapshots, input.SnapshotIds ?? []);
    if (input.DryRun === true) throw dryRun();
    const locked = views.filter(({ row }) => row.lock_mode !== null);
    const found = applyFilters(locked, input.Filters, {
      names: { "lock-state": ({ row }) => [lockState(row, nowMs) ?? ""] },
    });
    const { page, nextToken } = inPages(found, ({ row }) => row.id, input);
    return { Snapshots: page.map(({ row }) => lockShape(row, nowMs, accountId)), NextToken: nextToken };
  },
};

function lockShape(row: SnapshotView["row"], nowMs: number, accountId: string): LockedSnapshotsInfo {
  const lockedAtMs = row.locked_at ?? 0;
  return {
    OwnerId: accountId,
    SnapshotId: row.id,
    LockState: lockState(row, nowMs),
    LockDuration: row.lock_days ?? 0,
    LockCreatedOn: new Date(lockedAtMs),
    LockDurationStartTime: new Date(lockedAtMs),
    LockExpiresOn: new Date(row.lock_until ?? 0),
    ...(row.cool_off_until !== null && {
      CoolOffPeriod: Math.round((row.cool_off_until - lockedAtMs) / HOUR_MS),
      CoolOffPeriodExpiresOn: new Date(row.cool_off_until),
    }),
  };
}
