/**
 * Moments that repeat: every so many hours from an hour of the day, or by a cron expression. Pure functions of what was
 * asked for and of a moment; nothing here runs anything.
 */
import { Cron } from "croner";
import { GatewayError } from "./errors.ts";
import { zoneOffsetMs } from "./time-zone.ts";

/** When something is due, again and again. */
export interface Recurrence {
  /** The first moment that is later than this one; undefined where there is none any more. */
  nextAfter(afterMs: number): number | undefined;
}

const HOUR_MS = 3600_000;
const MINUTE_MS = 60_000;
const CRON_LENGTH_MAX = 256;
/** Between two runs: more often than this nobody needs snapshots, which have recovery points between them. */
const CRON_STEP_MS_MIN = 5 * MINUTE_MS;
const CHECKED_RUNS = 50;

/** At `startHour` of the zone's day, and every `hours` hours before and after it. */
export function everyHours(startHour: number, hours: number, zone: string): Recurrence {
  const originMs = startHour * HOUR_MS - (zoneOffsetMs(zone) ?? 0);
  const stepMs = hours * HOUR_MS;
  return { nextAfter: (afterMs) => originMs + (Math.floor((afterMs - originMs) / stepMs) + 1) * stepMs };
}

/**
 * By a cron expression in a zone: `GMT+1:00`, or a name such as `Europe/Berlin` that knows of summer time. Expressions
 * have five fields as in Unix (`0 3 * * 1-5`), or are AWS's, of six with a year: `cron(0 3 ? * MON-FRI *)`. Throws
 * InvalidSchedule for what is neither, or comes more often than every five minutes.
 */
export function byCron(expression: string, zone: string, nowMs: number): Recurrence {
  const cron = parse(expression, zone);
  const nextAfter = (afterMs: number) => {
    // The expression knows no milliseconds: what is due at this very second is not later.
    const next = cron.nextRun(new Date(Math.floor(afterMs / 1000) * 1000))?.getTime();
    return next !== undefined && next <= afterMs ? cron.nextRun(new Date(next))?.getTime() : next;
  };
  let atMs = nextAfter(nowMs);
  if (atMs === undefined) throw new GatewayError("InvalidSchedule", "It never comes.");
  for (let i = 0; i < CHECKED_RUNS; i++) {
    const laterMs = nextAfter(atMs);
    if (laterMs === undefined) break;
    if (laterMs - atMs < CRON_STEP_MS_MIN) {
      throw new GatewayError("InvalidSchedule", "It comes more often than every five minutes.");
    }
    atMs = laterMs;
  }
  return { nextAfter };
}

function parse(expression: string, zone: string): Cron {
  const offsetMs = zoneOffsetMs(zone);
  const where = offsetMs === undefined ? { timezone: zone } : { utcOffset: offsetMs / MINUTE_MS };
  const aws = /^cron\((.*)\)$/.exec(expression.trim())?.[1];
  try {
    if (expression.length > CRON_LENGTH_MAX) throw new RangeError("it is too long");
    // AWS counts the days of the week from 1, and ends with a year.
    if (aws !== undefined) {
      if (aws.trim().split(/\s+/).length !== 6) throw new RangeError("AWS's expressions have six fields");
      return tried(new Cron(`0 ${aws.trim()}`, { ...where, mode: "7-part", alternativeWeekdays: true }));
    }
    return tried(new Cron(expression, { ...where, mode: "5-part" }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GatewayError("InvalidSchedule", `"${expression.slice(0, CRON_LENGTH_MAX)}": ${reason}`);
  }
}

/** A zone that nobody knows shows only when it is used. */
function tried(cron: Cron): Cron {
  cron.nextRun(new Date(0));
  return cron;
}
