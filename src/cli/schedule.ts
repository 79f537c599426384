/** `sluicegate schedule …`: when snapshots of a volume are made by themselves. */
import { type GatewayChoice, volumeNamed } from "./volume.ts";

interface Schedule {
  readonly ScheduleId: string;
  readonly Name: string;
  readonly Cron?: string;
  readonly StartAt?: number;
  readonly RecurrenceInHours?: number;
  readonly Timezone?: string;
  readonly Enabled: boolean;
  readonly NextRunTime?: number;
  readonly LastRunTime?: number;
  readonly LastSnapshotId?: string;
  readonly MissedRuns: number;
  readonly Problem?: string;
}

export async function scheduleList(name: string, choice: GatewayChoice): Promise<void> {
  const { api, arn } = await volumeNamed(name, choice);
  const { Schedules } = await api.callOwn<{ Schedules: Schedule[] }>("ListSnapshotSchedules", {
    VolumeARN: arn,
  });
  for (const each of Schedules) {
    const when = each.Cron ?? `from ${each.StartAt}:00 every ${each.RecurrenceInHours} h`;
    const next = each.NextRunTime === undefined ? "off" : `next ${timeOf(each.NextRunTime)}`;
    const last =
      each.LastRunTime === undefined ? "" : `last ${timeOf(each.LastRunTime)} ${each.LastSnapshotId}`;
    const missed = each.MissedRuns === 0 ? "" : `${each.MissedRuns} missed`;
    const columns = [
      each.ScheduleId,
      each.Name,
      when,
      each.Timezone ?? "",
      next,
      last,
      missed,
      each.Problem ?? "",
    ];
    process.stdout.write(`${columns.filter(Boolean).join("\t")}\n`);
  }
}

export async function scheduleAdd(
  name: string,
  cron: string,
  choice: GatewayChoice & {
    readonly name?: string;
    readonly timezone?: string;
    readonly description?: string;
  },
): Promise<void> {
  const { api, arn } = await volumeNamed(name, choice);
  const { ScheduleId } = await api.callOwn<{ ScheduleId: string }>("PutSnapshotSchedule", {
    VolumeARN: arn,
    Cron: cron,
    ...(choice.name !== undefined && { Name: choice.name }),
    ...(choice.timezone !== undefined && { Timezone: choice.timezone }),
    ...(choice.description !== undefined && { SnapshotDescription: choice.description }),
  });
  process.stdout.write(`${ScheduleId}\n`);
}

export async function scheduleRemove(name: string, id: string, choice: GatewayChoice): Promise<void> {
  const { api, arn } = await volumeNamed(name, choice);
  await api.callOwn("DeleteSnapshotSchedule", { VolumeARN: arn, ScheduleId: id });
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
