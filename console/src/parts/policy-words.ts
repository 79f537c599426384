/** Policies in words. */
import type { Schedule, Tag } from "@aws-sdk/client-dlm";
import { plural } from "./format.ts";

export function tagWords(tags: readonly Tag[] | undefined): string {
  return (tags ?? []).map(({ Key, Value }) => `${Key} = ${Value}`).join(" or ") || "no tag";
}

export function rhythmWords({ CreateRule }: Schedule): string {
  if (CreateRule?.CronExpression !== undefined) return CreateRule.CronExpression;
  const { Interval = 0, Times } = CreateRule ?? {};
  const from = Times?.[0] ?? "09:00";
  return Interval === 24 ? `Every day at ${from}` : `Every ${plural(Interval, "hour")}, from ${from}`;
}

export function keepWords({ RetainRule }: Schedule): string {
  const { Count, Interval = 0, IntervalUnit = "DAYS" } = RetainRule ?? {};
  if (Count !== undefined) return `the newest ${Count} are kept`;
  return `kept for ${plural(Interval, IntervalUnit.toLowerCase().replace(/s$/, ""))}`;
}
