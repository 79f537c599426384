/** What a lifecycle policy says, and what follows from it at a moment. Pure functions. */
import type { Tag } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import { byCron, everyHours, type Recurrence } from "./cron.ts";
import { isLocked } from "./snapshot-marks.ts";

export interface PolicyRules {
  /** Volumes one by one, or all volumes of a gateway at one instant. */
  readonly targets: "volumes" | "gateways";
  /** What has any of these is a target. */
  readonly targetTags: readonly Tag[];
  /** Volumes with any of these are left out. */
  readonly excludedVolumeTags: readonly Tag[];
  readonly schedules: readonly PolicySchedule[];
}

export interface PolicySchedule {
  /** Different from those of the policy's other schedules. */
  readonly name: string;
  readonly when: PolicyTimes;
  readonly keep: Keep;
  /** The snapshot gets the tags of its volume too. */
  readonly copyTags: boolean;
  readonly tags: readonly Tag[];
  /** Tags in whose values `$(timestamp)`, `$(instance-id)` and `$(volume-id)` stand for something. */
  readonly variableTags: readonly Tag[];
  /** Accounts that may make volumes of what it makes. */
  readonly sharedWith: readonly string[];
}

/** Times are GMT. */
export type PolicyTimes =
  | { readonly everyHours: number; readonly startMinute: number }
  | { readonly cron: string };

export type AgeUnit = "DAYS" | "WEEKS" | "MONTHS" | "YEARS";

/** So many of each volume, or so long. */
export type Keep = { readonly count: number } | { readonly age: number; readonly unit: AgeUnit };

const MINUTES = 60;
const DAY_MS = 24 * 3_600_000;
const ZONE = "GMT";

/** When a schedule is due. Throws a GatewayError for an expression that is none. */
export function timesOf(when: PolicyTimes, nowMs: number): Recurrence {
  if ("cron" in when) return byCron(when.cron, ZONE, nowMs);
  return everyHours(when.startMinute / MINUTES, when.everyHours, ZONE);
}

/** Whether one of the wanted tags is there. */
export function hasAny(tags: readonly Tag[], wanted: readonly Tag[]): boolean {
  return wanted.some((one) => tags.some(({ key, value }) => key === one.key && value === one.value));
}

/** The moment before which snapshots are too old. */
export function oldestKeptMs(keep: { readonly age: number; readonly unit: AgeUnit }, nowMs: number): number {
  const { age, unit } = keep;
  if (unit === "DAYS") return nowMs - age * DAY_MS;
  if (unit === "WEEKS") return nowMs - 7 * age * DAY_MS;
  const date = new Date(nowMs);
  const day = date.getUTCDate();
  const months = unit === "YEARS" ? 12 * age : age;
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() - months);
  // A month before the 31st of March is the last day of February.
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  return date.setUTCDate(Math.min(day, lastDay));
}

/** A snapshot that retention takes away, and why; or that it would, if it were not locked. */
export interface Retired {
  readonly row: SnapshotRow;
  readonly reason: string;
  readonly isLocked: boolean;
}

/**
 * What a schedule's rule does not keep of the snapshots that it has made, oldest first. Only completed ones count, and the
 * newest completed one of each volume stays in any case: also where nothing new comes any more.
 */
export function retire(keep: Keep, made: readonly SnapshotRow[], nowMs: number): Retired[] {
  const byVolume = new Map<string, SnapshotRow[]>();
  const failed = made.filter(({ state }) => state === "error");
  for (const row of made) {
    if (row.state !== "completed") continue;
    const rows = byVolume.get(row.volume_id) ?? [];
    rows.push(row);
    byVolume.set(row.volume_id, rows);
  }
  const retired: Retired[] = [];
  for (const rows of byVolume.values()) {
    rows.sort((a, b) => b.started_at - a.started_at || (a.id < b.id ? 1 : -1));
    for (const [i, row] of rows.entries()) {
      const reason = i === 0 ? undefined : whyGone(keep, row, i, nowMs);
      if (reason !== undefined) retired.push({ row, reason, isLocked: isLocked(row, nowMs) });
    }
  }
  for (const row of failed) {
    const newest = byVolume.get(row.volume_id)?.[0];
    if (newest !== undefined && newest.started_at > row.started_at)
      retired.push({
        row,
        reason: "it has failed, and a newer one is there",
        isLocked: isLocked(row, nowMs),
      });
  }
  return retired.sort((a, b) => a.row.started_at - b.row.started_at);
}

function whyGone(keep: Keep, row: SnapshotRow, newer: number, nowMs: number): string | undefined {
  if ("count" in keep) return newer >= keep.count ? `${keep.count} newer ones are kept` : undefined;
  if (row.started_at >= oldestKeptMs(keep, nowMs)) return undefined;
  return `older than ${keep.age} ${keep.unit.toLowerCase()}`;
}

/** The tags of a snapshot that a schedule makes of a volume; where two have one key, the schedule's own wins. */
export function tagsFor(
  policyId: string,
  schedule: PolicySchedule,
  volume: { readonly id: string; readonly instanceId: string; readonly tags: readonly Tag[] },
  dueAtMs: number,
): Tag[] {
  const filled = schedule.variableTags.map(({ key, value }) => ({
    key,
    value: value
      .replaceAll("$(timestamp)", new Date(dueAtMs).toISOString())
      .replaceAll("$(instance-id)", volume.instanceId)
      .replaceAll("$(volume-id)", volume.id),
  }));
  const own = [
    ...schedule.tags,
    ...filled,
    { key: "aws:dlm:lifecycle-policy-id", value: policyId },
    { key: "aws:dlm:lifecycle-schedule-name", value: schedule.name },
    { key: "dlm:managed", value: "true" },
  ];
  const all = new Map<string, string>();
  if (schedule.copyTags) for (const { key, value } of volume.tags) all.set(key, value);
  for (const { key, value } of own) all.set(key, value);
  return [...all].map(([key, value]) => ({ key, value }));
}
