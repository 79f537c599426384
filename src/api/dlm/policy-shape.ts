/** PolicyDetails as the API spells them, and what they mean here. What is not built is refused by name. */
import { PolicyError } from "../../gateway/policies.ts";
import type { AgeUnit, Keep, PolicyRules, PolicySchedule, PolicyTimes } from "../../gateway/policy-rules.ts";
import { checkTags } from "../tags.ts";

interface TagShape {
  readonly Key: string;
  readonly Value: string;
}

export interface PolicyDetails {
  readonly PolicyType?: string;
  readonly ResourceTypes?: readonly string[];
  readonly ResourceLocations?: readonly string[];
  readonly TargetTags?: readonly TagShape[];
  readonly Schedules?: readonly ScheduleShape[];
  readonly Parameters?: {
    readonly ExcludeBootVolume?: boolean;
    readonly NoReboot?: boolean;
    readonly ExcludeDataVolumeTags?: readonly TagShape[];
  };
  readonly [other: string]: unknown;
}

interface ScheduleShape {
  readonly Name?: string;
  readonly CopyTags?: boolean;
  readonly TagsToAdd?: readonly TagShape[];
  readonly VariableTags?: readonly TagShape[];
  readonly CreateRule?: {
    readonly Location?: string;
    readonly Interval?: number;
    readonly IntervalUnit?: string;
    readonly Times?: readonly string[];
    readonly CronExpression?: string;
    readonly Scripts?: readonly unknown[];
  };
  readonly RetainRule?: {
    readonly Count?: number;
    readonly Interval?: number;
    readonly IntervalUnit?: string;
  };
  readonly ShareRules?: readonly {
    readonly TargetAccounts: readonly string[];
    readonly UnshareInterval?: number;
  }[];
  readonly FastRestoreRule?: unknown;
  readonly CrossRegionCopyRules?: readonly unknown[];
  readonly DeprecateRule?: unknown;
  readonly ArchiveRule?: unknown;
}

const HOURS = [1, 2, 3, 4, 6, 8, 12, 24];
const START_DEFAULT = "09:00";
const TAGS_MAX = 45;
/** Schedules may keep for a hundred years, and no longer. */
const AGES_MAX: Readonly<Record<AgeUnit, number>> = { DAYS: 36_500, WEEKS: 5_200, MONTHS: 1_200, YEARS: 100 };
/** Members of PolicyDetails that mean something here. */
const KNOWN = new Set([
  ...["PolicyType", "ResourceTypes", "ResourceLocations", "TargetTags", "Schedules", "Parameters"],
  "PolicyLanguage",
]);

/** What the details mean. Throws a PolicyError for what makes no sense, or is not built. */
export function rulesOf(details: PolicyDetails): PolicyRules {
  const { PolicyType = "EBS_SNAPSHOT_MANAGEMENT", Parameters = {} } = details;
  if (PolicyType !== "EBS_SNAPSHOT_MANAGEMENT") throw notBuilt(`policies of the type ${PolicyType}`);
  if ((details.PolicyLanguage ?? "STANDARD") !== "STANDARD") throw notBuilt("default policies");
  for (const [name, value] of Object.entries(details))
    if (!KNOWN.has(name) && value !== undefined) throw notBuilt(`PolicyDetails.${name}`);
  if (details.ResourceLocations?.some((location) => location !== "CLOUD")) throw notBuilt("outposts");
  const [resource] = details.ResourceTypes ?? [];
  if (resource === undefined) throw missing("ResourceTypes");
  if (details.TargetTags === undefined) throw missing("TargetTags");
  if (details.Schedules === undefined) throw missing("Schedules");
  const schedules = details.Schedules.map(scheduleOf);
  const names = new Set(schedules.map(({ name }) => name));
  if (names.size < schedules.length) throw invalid("Schedules of a policy have different names.");
  return {
    targets: resource === "INSTANCE" ? "gateways" : "volumes",
    targetTags: pairs(details.TargetTags),
    excludedVolumeTags: pairs(Parameters.ExcludeDataVolumeTags),
    schedules,
  };
}

function scheduleOf(shape: ScheduleShape, index: number): PolicySchedule {
  const name = shape.Name ?? `Schedule ${index + 1}`;
  for (const [rule, value] of [
    ["FastRestoreRule", shape.FastRestoreRule],
    ["CrossRegionCopyRules", shape.CrossRegionCopyRules?.length ? shape.CrossRegionCopyRules : undefined],
    ["DeprecateRule", shape.DeprecateRule],
    ["ArchiveRule", shape.ArchiveRule],
    ["CreateRule.Scripts", shape.CreateRule?.Scripts?.length ? shape.CreateRule.Scripts : undefined],
  ] as const)
    if (value !== undefined) throw notBuilt(rule);
  const [share] = shape.ShareRules ?? [];
  if (share?.UnshareInterval !== undefined) throw notBuilt("ShareRules.UnshareInterval");
  const tags = checkTags(shape.TagsToAdd, "any");
  const variableTags = checkTags(shape.VariableTags, "any");
  if (tags.length + variableTags.length > TAGS_MAX)
    throw invalid(`A schedule adds at most ${TAGS_MAX} tags.`);
  return {
    name,
    when: timesOf(shape.CreateRule),
    keep: keepOf(shape.RetainRule),
    copyTags: shape.CopyTags ?? false,
    tags,
    variableTags,
    sharedWith: [...(share?.TargetAccounts ?? [])],
  };
}

function timesOf(rule: ScheduleShape["CreateRule"]): PolicyTimes {
  if (rule === undefined) throw missing("CreateRule");
  if ((rule.Location ?? "CLOUD") !== "CLOUD") throw notBuilt("outposts");
  const { Interval, IntervalUnit, Times, CronExpression } = rule;
  if (CronExpression !== undefined) {
    if (Interval !== undefined || Times !== undefined)
      throw exclusive(
        "CreateRule has a CronExpression, or an Interval with Times, and not both.",
        "CronExpression",
        Interval !== undefined ? "Interval" : "Times",
      );
    return { cron: CronExpression };
  }
  if (Interval === undefined) throw missing("CreateRule.Interval");
  if (IntervalUnit === undefined) throw missing("CreateRule.IntervalUnit");
  if (!HOURS.includes(Interval)) throw invalid(`CreateRule.Interval is one of ${HOURS.join(", ")} hours.`);
  const [hour = 0, minute = 0] = (Times?.[0] ?? START_DEFAULT).split(":").map(Number);
  return { everyHours: Interval, startMinute: 60 * hour + minute };
}

function keepOf(rule: ScheduleShape["RetainRule"]): Keep {
  const { Count, Interval, IntervalUnit } = rule ?? {};
  if (Count === undefined && Interval === undefined) throw missing("RetainRule.Count or RetainRule.Interval");
  if (Count !== undefined && Interval !== undefined)
    throw exclusive(
      "RetainRule has a Count, or an Interval with its unit, and not both.",
      "Count",
      "Interval",
    );
  if (Count !== undefined) {
    if (Count < 1) throw invalid("RetainRule.Count is at least 1.");
    return { count: Count };
  }
  const unit = IntervalUnit as AgeUnit | undefined;
  if (unit === undefined || Interval === undefined) throw missing("RetainRule.IntervalUnit");
  if (Interval < 1 || Interval > AGES_MAX[unit])
    throw invalid(`RetainRule.Interval is 1 to ${AGES_MAX[unit]} ${unit.toLowerCase()}.`);
  return { age: Interval, unit };
}

function pairs(tags: readonly TagShape[] | undefined): { key: string; value: string }[] {
  return (tags ?? []).map(({ Key, Value }) => ({ key: Key, value: Value }));
}

function invalid(message: string): PolicyError {
  return new PolicyError("invalid", message);
}

function missing(name: string): PolicyError {
  return new PolicyError("invalid", `The request must contain ${name}.`, [], { required: [name] });
}

function exclusive(message: string, ...names: string[]): PolicyError {
  return new PolicyError("invalid", message, [], { exclusive: names });
}

function notBuilt(what: string): PolicyError {
  return invalid(`Not supported here: ${what}.`);
}
