/** UpdateMaintenanceStartTime and DescribeMaintenanceStartTime. */
import type {
  DescribeMaintenanceStartTimeInput,
  DescribeMaintenanceStartTimeOutput,
  UpdateMaintenanceStartTimeInput,
  UpdateMaintenanceStartTimeOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { invalid } from "../../gateway/errors.ts";
import { type MaintenanceWindow, maintenanceOf, readSettings } from "../../gateway/gateway-settings.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/** UpdateMaintenanceStartTime: a whole window (weekly or monthly), a policy of updates, or both. */
export const updateMaintenanceStartTime: Operation<
  Services,
  UpdateMaintenanceStartTimeInput,
  UpdateMaintenanceStartTimeOutput
> = {
  name: "UpdateMaintenanceStartTime",
  async handle({ gateways, realm }, input) {
    const maintenance = windowOf(input);
    const updatePolicy = input.SoftwareUpdatePreferences?.AutomaticUpdatePolicy;
    if (maintenance === undefined && updatePolicy === undefined) throw invalid("Nothing is to be changed.");
    const row = await gateways.byArn(input.GatewayARN ?? "");
    await gateways.update(row, {
      settings: {
        ...(maintenance !== undefined && { maintenance }),
        ...(updatePolicy !== undefined && { updatePolicy }),
      },
    });
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

export const describeMaintenanceStartTime: Operation<
  Services,
  DescribeMaintenanceStartTimeInput,
  DescribeMaintenanceStartTimeOutput
> = {
  name: "DescribeMaintenanceStartTime",
  async handle({ gateways, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    const { hourOfDay, minuteOfHour, dayOfWeek, dayOfMonth } = maintenanceOf(row);
    return {
      GatewayARN: gatewayArn(realm, row.id),
      HourOfDay: hourOfDay,
      MinuteOfHour: minuteOfHour,
      ...(dayOfWeek !== undefined && { DayOfWeek: dayOfWeek }),
      ...(dayOfMonth !== undefined && { DayOfMonth: dayOfMonth }),
      Timezone: row.timezone,
      SoftwareUpdatePreferences: {
        AutomaticUpdatePolicy: readSettings(row).updatePolicy ?? "ALL_VERSIONS",
      },
    };
  },
};

/** The window that is asked for; undefined where none is. Throws InvalidParameters for a part of one. */
function windowOf(input: UpdateMaintenanceStartTimeInput): MaintenanceWindow | undefined {
  const { HourOfDay, MinuteOfHour, DayOfWeek, DayOfMonth } = input;
  const given = [HourOfDay, MinuteOfHour, DayOfWeek, DayOfMonth].filter((each) => each !== undefined);
  if (given.length === 0) return undefined;
  const isWhole = HourOfDay !== undefined && MinuteOfHour !== undefined && given.length === 3;
  if (!isWhole) throw invalid("A window is HourOfDay, MinuteOfHour and one of DayOfWeek and DayOfMonth.");
  return {
    hourOfDay: HourOfDay,
    minuteOfHour: MinuteOfHour,
    ...(DayOfWeek !== undefined && { dayOfWeek: DayOfWeek }),
    ...(DayOfMonth !== undefined && { dayOfMonth: DayOfMonth }),
  };
}
