/** A schedule of a policy as the form has it: texts, and what is wrong with them. */
import type { RetentionIntervalUnitValues, Schedule } from "@aws-sdk/client-dlm";

export interface ScheduleDraft {
  readonly name: string;
  /** Hours between runs, or `cron`. */
  readonly every: string;
  readonly startAt: string;
  readonly cron: string;
  readonly keepBy: "count" | "age";
  readonly count: string;
  readonly age: string;
  readonly unit: RetentionIntervalUnitValues;
  readonly copyTags: boolean;
  /** What else the schedule has; it is sent back as it was. */
  readonly rest: Schedule;
}

export type ScheduleProblems = Partial<Record<"name" | "startAt" | "cron" | "count" | "age", string>>;

export const START_DRAFT: ScheduleDraft = {
  ...{ name: "Daily", every: "24", startAt: "03:00", cron: "", copyTags: true },
  ...{ keepBy: "count", count: "14", age: "30", unit: "DAYS", rest: {} },
};

const COUNT_MAX = 1000;
const NAME_LENGTH_MAX = 120;
const CRON_FIELDS = 6;
const AGES_MAX: Readonly<Record<RetentionIntervalUnitValues, number>> = {
  ...{ DAYS: 36_500, WEEKS: 5_200, MONTHS: 1_200, YEARS: 100 },
};

export function draftOf(schedule: Schedule): ScheduleDraft {
  const { Name = "", CreateRule = {}, RetainRule = {}, CopyTags = false } = schedule;
  return {
    ...START_DRAFT,
    name: Name,
    every: CreateRule.CronExpression === undefined ? String(CreateRule.Interval ?? 24) : "cron",
    startAt: CreateRule.Times?.[0] ?? "09:00",
    cron: CreateRule.CronExpression ?? "",
    keepBy: RetainRule.Count === undefined ? "age" : "count",
    count: String(RetainRule.Count ?? START_DRAFT.count),
    age: String(RetainRule.Interval ?? START_DRAFT.age),
    unit: RetainRule.IntervalUnit ?? "DAYS",
    copyTags: CopyTags,
    rest: schedule,
  };
}

export function shapeOf(draft: ScheduleDraft): Schedule {
  return {
    ...draft.rest,
    Name: draft.name.trim(),
    CopyTags: draft.copyTags,
    CreateRule:
      draft.every === "cron"
        ? { CronExpression: cronOf(draft.cron) }
        : { Interval: Number(draft.every), IntervalUnit: "HOURS", Times: [draft.startAt] },
    RetainRule:
      draft.keepBy === "count"
        ? { Count: Number(draft.count) }
        : { Interval: Number(draft.age), IntervalUnit: draft.unit },
  };
}

/** `0 3 * * ? *` → `cron(0 3 * * ? *)`. */
function cronOf(text: string): string {
  const inner = text.trim();
  return /^cron\(.*\)$/.test(inner) ? inner : `cron(${inner})`;
}

export function scheduleProblems(draft: ScheduleDraft, all: readonly ScheduleDraft[]): ScheduleProblems {
  const whole = (text: string, max: number) =>
    /^\d+$/.test(text.trim()) && Number(text) >= 1 && Number(text) <= max;
  const name = draft.name.trim();
  const fields = draft.cron
    .trim()
    .replace(/^cron\(|\)$/g, "")
    .split(/\s+/);
  return {
    ...((name === "" || name.length > NAME_LENGTH_MAX) && { name: `1 to ${NAME_LENGTH_MAX} characters.` }),
    ...(all.filter((each) => each.name.trim() === name).length > 1 && {
      name: "Another schedule has this name.",
    }),
    ...(draft.every !== "cron" &&
      !/^([01]\d|2[0-3]):[0-5]\d$/.test(draft.startAt) && { startAt: "Hours and minutes, such as 03:30." }),
    ...(draft.every === "cron" &&
      fields.length !== CRON_FIELDS && {
        cron: "Minute, hour, day, month, weekday and year, such as 30 2 ? * MON *.",
      }),
    ...(draft.keepBy === "count" &&
      !whole(draft.count, COUNT_MAX) && { count: `1 to ${COUNT_MAX}, a whole number.` }),
    ...(draft.keepBy === "age" &&
      !whole(draft.age, AGES_MAX[draft.unit]) && {
        age: `1 to ${AGES_MAX[draft.unit]} ${draft.unit.toLowerCase()}, a whole number.`,
      }),
  };
}
