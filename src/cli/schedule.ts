/** `sluicegate schedule …`: when snapshots of a volume are made by themselves. */
import { UsageError } from "./failure.ts";
import { clientOf, findVolume, type GatewayChoice, nameOf, volumesOf } from "./inventory.ts";
import { print, table, time } from "./output.ts";

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

const HOURS_MAX = 24;

/** The schedules of a volume, or of all. */
export async function scheduleList(name: string | undefined, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const volumes = name === undefined ? await volumesOf(api) : [await findVolume(api, name)];
  const found: (Schedule & { readonly Volume: string })[] = [];
  for (const volume of volumes) {
    const { Schedules } = await api.callOwn<{ Schedules: Schedule[] }>("ListSnapshotSchedules", {
      VolumeARN: volume.VolumeARN,
    });
    found.push(...Schedules.map((schedule) => ({ ...schedule, Volume: nameOf(volume) })));
  }
  print(found, () =>
    table(
      ["VOLUME", "SCHEDULE", "NAME", "WHEN", "TIME ZONE", "NEXT", "LAST", "REMARKS"],
      found.map((each) => [
        ...[each.Volume, each.ScheduleId, each.Name],
        each.Cron ?? `from ${each.StartAt}:00 every ${each.RecurrenceInHours} h`,
        each.Timezone ?? "",
        each.NextRunTime === undefined ? "off" : time(each.NextRunTime),
        each.LastRunTime === undefined ? "-" : `${time(each.LastRunTime)} ${each.LastSnapshotId ?? ""}`,
        [each.MissedRuns === 0 ? "" : `${each.MissedRuns} missed`, each.Problem ?? ""]
          .filter(Boolean)
          .join("; "),
      ]),
      "there are no schedules",
    ),
  );
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
  const api = clientOf(choice);
  const { VolumeARN } = await findVolume(api, name);
  const made = await api.callOwn<{ ScheduleId: string }>("PutSnapshotSchedule", {
    ...{ VolumeARN, Cron: cron },
    ...(choice.name !== undefined && { Name: choice.name }),
    ...(choice.timezone !== undefined && { Timezone: choice.timezone }),
    ...(choice.description !== undefined && { SnapshotDescription: choice.description }),
  });
  print(made, () => made.ScheduleId);
}

/** Sets the one schedule that AWS's API knows of. */
export async function scheduleSet(
  name: string,
  choice: GatewayChoice & { readonly at: string; readonly every: string; readonly description?: string },
): Promise<void> {
  const [StartAt, RecurrenceInHours] = [Number(choice.at), Number(choice.every)];
  if (!Number.isInteger(StartAt) || StartAt < 0 || StartAt > 23)
    throw new UsageError("--at takes an hour of the day, 0 to 23");
  if (!Number.isInteger(RecurrenceInHours) || RecurrenceInHours < 1 || RecurrenceInHours > HOURS_MAX)
    throw new UsageError(`--every takes hours: 1 to ${HOURS_MAX}`);
  const api = clientOf(choice);
  const { VolumeARN } = await findVolume(api, name);
  await api.call("UpdateSnapshotSchedule", {
    ...{ VolumeARN, StartAt, RecurrenceInHours },
    ...(choice.description !== undefined && { Description: choice.description }),
  });
  print(
    { VolumeARN, StartAt, RecurrenceInHours },
    () => `${name}: from ${StartAt}:00 every ${RecurrenceInHours} h`,
  );
}

export async function scheduleRemove(name: string, id: string, choice: GatewayChoice): Promise<void> {
  const api = clientOf(choice);
  const { VolumeARN } = await findVolume(api, name);
  await api.callOwn("DeleteSnapshotSchedule", { VolumeARN, ScheduleId: id });
  print({ VolumeARN, ScheduleId: id }, () => `${name} gets no more snapshots of ${id}`);
}
