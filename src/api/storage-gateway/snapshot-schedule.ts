/** UpdateSnapshotSchedule, DescribeSnapshotSchedule, DeleteSnapshotSchedule: the one schedule of a volume. */
import type {
  DeleteSnapshotScheduleInput,
  DeleteSnapshotScheduleOutput,
  DescribeSnapshotScheduleInput,
  DescribeSnapshotScheduleOutput,
  UpdateSnapshotScheduleInput,
  UpdateSnapshotScheduleOutput,
} from "@aws-sdk/client-storage-gateway";
import { GatewayError } from "../../gateway/errors.ts";
import { tagsOf } from "../../gateway/schedule.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { tagShapes } from "./shapes.ts";

/** UpdateSnapshotSchedule: sets it; the tags are those of each snapshot. */
export const updateSnapshotSchedule: Operation<
  Services,
  UpdateSnapshotScheduleInput,
  UpdateSnapshotScheduleOutput
> = {
  name: "UpdateSnapshotSchedule",
  async handle({ schedules, volumes }, { VolumeARN, StartAt, RecurrenceInHours, Description, Tags }) {
    const tags = checkTags(Tags);
    const volume = await volumes.byArn(VolumeARN ?? "");
    await schedules.setVolume(volume, StartAt ?? 0, RecurrenceInHours ?? 0, {
      ...(Description !== undefined && { description: Description }),
      ...(Tags !== undefined && { tags }),
    });
    return { VolumeARN: volumes.arnOf(volume) };
  },
};

/** DescribeSnapshotSchedule: a cached volume has none until one is set. */
export const describeSnapshotSchedule: Operation<
  Services,
  DescribeSnapshotScheduleInput,
  DescribeSnapshotScheduleOutput
> = {
  name: "DescribeSnapshotSchedule",
  async handle({ gateways, schedules, volumes }, { VolumeARN }) {
    const volume = await volumes.byArn(VolumeARN ?? "");
    const row = await schedules.ofVolume(volume);
    if (row === undefined) throw new GatewayError("SnapshotScheduleNotFound");
    return {
      VolumeARN: volumes.arnOf(volume),
      StartAt: row.start_hour ?? 0,
      RecurrenceInHours: row.recurrence_hours ?? 0,
      Description: row.description,
      Timezone: await gateways.timezoneOf(volume.gateway_id),
      Tags: tagShapes(tagsOf(row)),
    };
  },
};

/** DeleteSnapshotSchedule: of cached volumes only. */
export const deleteSnapshotSchedule: Operation<
  Services,
  DeleteSnapshotScheduleInput,
  DeleteSnapshotScheduleOutput
> = {
  name: "DeleteSnapshotSchedule",
  async handle({ schedules, volumes }, { VolumeARN }) {
    const volume = await volumes.byArn(VolumeARN ?? "");
    if (volume.kind !== "cached") throw new GatewayError("UnsupportedOperationForGatewayType");
    await schedules.removeVolume(volume);
    return { VolumeARN: volumes.arnOf(volume) };
  },
};
