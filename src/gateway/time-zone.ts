/** Time zones as gateways have them: `GMT`, or `GMT` with hours and minutes, such as `GMT-8:00`. No summer time. */

const FORM = /^GMT(?:([+-])(\d{1,2}):(\d\d))?$/;
const HOURS_MAX = 14;
const MINUTE_MS = 60_000;

/** The zone's difference to GMT in milliseconds, east positive; undefined for what is no such zone. */
export function zoneOffsetMs(zone: string): number | undefined {
  const [whole, sign, hours = "0", minutes = "0"] = FORM.exec(zone) ?? [];
  if (whole === undefined || Number(hours) > HOURS_MAX || Number(minutes) > 59) return undefined;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE_MS;
}

/** What a clock on the wall shows in a zone. */
export interface WallTime {
  /** 0: Sunday. */
  readonly dayOfWeek: number;
  readonly minuteOfDay: number;
  readonly hour: number;
}

export function wallTime(nowMs: number, zone: string): WallTime {
  const local = new Date(nowMs + (zoneOffsetMs(zone) ?? 0));
  const hour = local.getUTCHours();
  return { dayOfWeek: local.getUTCDay(), minuteOfDay: hour * 60 + local.getUTCMinutes(), hour };
}
