/** ListSnapshotSchedules, PutSnapshotSchedule, DeleteSnapshotSchedule: more than AWS's one schedule a volume, by cron. */
import { tagsOf } from "../../gateway/schedule.ts";
import type { Schedules } from "../../gateway/schedules.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags, type TagShape } from "../tags.ts";

interface ScheduleShape {
  readonly ScheduleId: string;
  readonly Name: string;
  /** Of a schedule by cron. */
  readonly Cron?: string;
  /** Of the one that AWS's API knows. */
  readonly StartAt?: number;
  readonly RecurrenceInHours?: number;
  readonly Timezone?: string;
  readonly Description: string;
  readonly Tags: readonly TagShape[];
  readonly Enabled: boolean;
  readonly NextRunTime?: number;
  readonly LastRunTime?: number;
  readonly LastSnapshotId?: string;
  /** Moments at which no snapshot could be made, since it was set. */
  readonly MissedRuns: number;
  /** Why the last attempt has failed. */
  readonly Problem?: string;
}

interface ListOutput {
  readonly VolumeARN: string;
  readonly Schedules: readonly ScheduleShape[];
}

/** ListSnapshotSchedules: all of a volume, the one of AWS's API among them, and how their runs went. */
export const listSnapshotSchedules: Operation<Services, { readonly VolumeARN: string }, ListOutput> = {
  name: "ListSnapshotSchedules",
  async handle({ schedules, volumes }, { VolumeARN }) {
    const volume = await volumes.byArn(VolumeARN);
    return { VolumeARN: volumes.arnOf(volume), Schedules: (await schedules.list(volume)).map(shapeOf) };
  },
};

interface PutInput {
  readonly VolumeARN: string;
  /** Without it a schedule is added. */
  readonly ScheduleId?: string;
  readonly Name?: string;
  /** `0 3 * * 1-5`, or AWS's `cron(0 3 ? * MON-FRI *)`. */
  readonly Cron: string;
  /** `GMT+1:00`, or a name such as `Europe/Berlin`; the gateway's without it. */
  readonly Timezone?: string;
  readonly SnapshotDescription?: string;
  readonly Tags?: readonly TagShape[];
  readonly Enabled?: boolean;
}

interface PutOutput {
  readonly VolumeARN: string;
  readonly ScheduleId: string;
}

/** PutSnapshotSchedule: adds a schedule, or replaces one of that id. */
export const putSnapshotSchedule: Operation<Services, PutInput, PutOutput> = {
  name: "PutSnapshotSchedule",
  async handle({ schedules, volumes }, input) {
    const tags = checkTags(input.Tags);
    const volume = await volumes.byArn(input.VolumeARN);
    const name = input.Name ?? "";
    const row = await schedules.putOwn(volume, input.ScheduleId, {
      name,
      cron: input.Cron,
      description: input.SnapshotDescription ?? (name || input.Cron),
      tags,
      isEnabled: input.Enabled !== false,
      ...(input.Timezone !== undefined && { timezone: input.Timezone }),
    });
    return { VolumeARN: volumes.arnOf(volume), ScheduleId: row.id };
  },
};

interface DeleteInput {
  readonly VolumeARN: string;
  readonly ScheduleId: string;
}

/** DeleteSnapshotSchedule: one that PutSnapshotSchedule has made. */
export const deleteSnapshotSchedule: Operation<Services, DeleteInput, DeleteInput> = {
  name: "DeleteSnapshotSchedule",
  async handle({ schedules, volumes }, { VolumeARN, ScheduleId }) {
    const volume = await volumes.byArn(VolumeARN);
    await schedules.removeOwn(volume, ScheduleId);
    return { VolumeARN: volumes.arnOf(volume), ScheduleId };
  },
};

function shapeOf({ row, nextRunAtMs }: Awaited<ReturnType<Schedules["list"]>>[number]): ScheduleShape {
  return {
    ScheduleId: row.id,
    Name: row.name,
    Description: row.description,
    Tags: tagsOf(row).map(({ key, value }) => ({ Key: key, Value: value })),
    Enabled: row.enabled === 1,
    MissedRuns: row.missed_runs,
    ...(row.cron !== null && { Cron: row.cron }),
    ...(row.start_hour !== null && { StartAt: row.start_hour }),
    ...(row.recurrence_hours !== null && { RecurrenceInHours: row.recurrence_hours }),
    ...(row.timezone !== null && { Timezone: row.timezone }),
    ...(nextRunAtMs !== undefined && { NextRunTime: nextRunAtMs / 1000 }),
    ...(row.last_run_at !== null && { LastRunTime: row.last_run_at / 1000 }),
    ...(row.last_snapshot_id !== null && { LastSnapshotId: row.last_snapshot_id }),
    ...(row.problem !== null && { Problem: row.problem }),
  };
}
