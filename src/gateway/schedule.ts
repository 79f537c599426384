/** One schedule of snapshots, as a row and what it means. */
import type { Tag } from "../catalog/catalog.ts";
import type { GatewayRow, ScheduleRow, SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import { upperCaseId } from "../platform/ids.ts";
import { byCron, everyHours, type Recurrence } from "./cron.ts";
import { wallTime } from "./time-zone.ts";

const DAY_HOURS = 24;

/** The id of the one schedule of a volume that AWS's API knows. */
export function volumeScheduleId(volume: Pick<VolumeRow, "id">): string {
  return `${volume.id}.schedule`;
}

/** What a stored volume begins with: a snapshot a day, at the hour at which the volume was made. */
export function defaultSchedule(volume: VolumeRow, gateway: GatewayRow, nowMs: number): ScheduleRow {
  return {
    ...emptySchedule(volumeScheduleId(volume), volume, "volume", nowMs),
    start_hour: wallTime(nowMs, gateway.timezone).hour,
    recurrence_hours: DAY_HOURS,
    description: defaultDescription(volume),
  };
}

/** `sgw-1A2B3C4D:vol-…:Schedule`: what snapshots of a schedule are called that nobody has named. */
export function defaultDescription(volume: VolumeRow): string {
  return `${upperCaseId(volume.gateway_id)}:${upperCaseId(volume.id)}:Schedule`;
}

/** A schedule that has not run yet, with nothing said of when it does. */
export function emptySchedule(
  id: string,
  volume: Pick<VolumeRow, "id">,
  kind: ScheduleRow["kind"],
  nowMs: number,
): ScheduleRow {
  return {
    id,
    volume_id: volume.id,
    kind,
    name: "",
    start_hour: null,
    recurrence_hours: null,
    cron: null,
    timezone: null,
    description: "",
    tags: "[]",
    enabled: 1,
    settled_until: nowMs,
    last_run_at: null,
    last_snapshot_id: null,
    missed_runs: 0,
    problem: null,
  };
}

/** When the schedule is due, in the zone of its own or of the volume's gateway. Throws InvalidSchedule. */
export function recurrenceOf(row: ScheduleRow, gatewayZone: string, nowMs: number): Recurrence {
  const zone = row.timezone ?? gatewayZone;
  if (row.cron !== null) return byCron(row.cron, zone, nowMs);
  return everyHours(row.start_hour ?? 0, row.recurrence_hours ?? DAY_HOURS, zone);
}

/** What is due of a schedule at a moment. */
export interface Due {
  /** The latest moment that was due and is not dealt with; undefined where there is none. */
  readonly dueAtMs: number | undefined;
  /** How many moments before that one are not dealt with either. */
  readonly missed: number;
}

const MISSED_MAX = 10_000;

/** Looks at what was due after `settledUntilMs`, up to now. */
export function dueAt(recurrence: Recurrence, settledUntilMs: number, nowMs: number): Due {
  let dueAtMs: number | undefined;
  let missed = -1;
  let next = recurrence.nextAfter(settledUntilMs);
  while (next !== undefined && next <= nowMs && missed < MISSED_MAX) {
    dueAtMs = next;
    missed += 1;
    next = recurrence.nextAfter(next);
  }
  return { dueAtMs, missed: Math.max(missed, 0) };
}

/** The schedule that makes a snapshot, and the moment it was due for. */
export interface ScheduleRun {
  readonly id: string;
  readonly dueAtMs: number;
  /** Of a lifecycle policy: which, and which of its schedules. */
  readonly policy?: { readonly id: string; readonly schedule: string };
}

/** The run as its snapshots name it. */
export function runOf({ id, dueAtMs }: ScheduleRun): string {
  return `${id}@${dueAtMs}`;
}

/** What the rows of a run's snapshots say of it. */
export function marksOfRun(run: ScheduleRun): Partial<SnapshotRow> {
  const { policy } = run;
  const made = policy === undefined ? {} : { policy_id: policy.id, policy_schedule: policy.schedule };
  return { schedule_run: runOf(run), ...made };
}

/** What the snapshots of a run change of its schedule. */
export function settled({ id, dueAtMs }: ScheduleRun, rows: readonly SnapshotRow[]) {
  const change = {
    settled_until: dueAtMs,
    last_run_at: rows[0]?.started_at ?? null,
    last_snapshot_id: rows[0]?.id ?? null,
    problem: null,
  };
  return { id, change };
}

/** The tags of each snapshot of the schedule. */
export function tagsOf(row: ScheduleRow): Tag[] {
  return JSON.parse(row.tags) as Tag[];
}
