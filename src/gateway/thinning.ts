/**
 * Which recovery points are kept as they grow older: all of them at first, then one in each ten minutes, hour, day.
 */

/** Up to the age `withinMs`, one point in each step of `everyMs` is kept; 0: all. */
export interface ThinningStage {
  readonly withinMs: number;
  readonly everyMs: number;
}

/** Stages by growing age. What is older than the last is not kept. */
export type ThinningRule = readonly ThinningStage[];

/** A root of a volume, as far as thinning goes. */
export interface ThinnedRoot {
  readonly rootKey: string;
  readonly cutAtMs: number;
  /** The other roots that this one can't be read without. */
  readonly standsOn: readonly string[];
}

/** A rule can't be read. */
export class ThinningRuleError extends Error {
  override readonly name = "ThinningRuleError";
}

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Every one for an hour, then one in ten minutes for a day, one an hour for a week, one a day for a month. */
export const DEFAULT_THINNING = "1h,1d/10m,7d/1h,30d/1d";

/** Reads a rule such as `1h,1d/10m,7d/1h`: AGE or AGE/STEP, by growing age; units s, m, h, d. */
export function parseThinningRule(text: string): ThinningRule {
  const stages = text.split(",").map((part): ThinningStage => {
    const [age = "", step] = part.trim().split("/");
    return { withinMs: parseDuration(age), everyMs: step === undefined ? 0 : parseDuration(step) };
  });
  for (const [i, stage] of stages.entries()) {
    const before = stages[i - 1];
    if (before !== undefined && stage.withinMs <= before.withinMs) {
      throw new ThinningRuleError(`"${text}": the ages of the stages have to grow`);
    }
  }
  return stages;
}

/** The rule as `parseThinningRule` reads it. */
export function thinningText(rule: ThinningRule): string {
  return rule
    .map(({ withinMs, everyMs }) =>
      everyMs === 0 ? durationText(withinMs) : `${durationText(withinMs)}/${durationText(everyMs)}`,
    )
    .join(",");
}

function durationText(ms: number): string {
  const fits = Object.entries(UNIT_MS).findLast(([, unitMs]) => ms % unitMs === 0);
  return fits === undefined ? `${ms / 1000}s` : `${ms / fits[1]}${fits[0]}`;
}

/** Milliseconds of a text such as `90s`, `10m`, `1h` or `30d`. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text.trim());
  const ms = Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ""] ?? Number.NaN);
  if (!(ms > 0)) throw new ThinningRuleError(`"${text}" is no time: write 30s, 10m, 1h or 7d`);
  return ms;
}

/**
 * Of `roots`, in the order in which they were made, those that go. What stays: the newest one (the last, whatever the
 * clock said when it was cut: a volume may stand on it), the pinned ones, one for each step of each stage (one that stands on
 * its own where the step has such a one, as it costs no others; else the newest of the step), and all that these stand
 * on. The same roots at a later time give the same answer or more: a second run after a crash does no harm. Of a volume
 * that is gone (`keepNewest` false) the newest one has to be kept by the rule, too.
 */
export function rootsToDrop(
  roots: readonly ThinnedRoot[],
  rule: ThinningRule,
  pinned: ReadonlySet<string>,
  nowMs: number,
  keepNewest = true,
): string[] {
  const newestFirst = [...roots].sort((a, b) => b.cutAtMs - a.cutAtMs);
  const kept = new Set<string>();
  const newest = roots.at(-1);
  if (keepNewest && newest !== undefined) kept.add(newest.rootKey);
  const ofStep = new Map<string, ThinnedRoot>();
  for (const root of newestFirst) {
    if (pinned.has(root.rootKey)) kept.add(root.rootKey);
    const stage = rule.findIndex(({ withinMs }) => nowMs - root.cutAtMs <= withinMs);
    const everyMs = rule[stage]?.everyMs;
    if (everyMs === undefined) continue;
    if (everyMs === 0) {
      kept.add(root.rootKey);
      continue;
    }
    const step = `${stage} ${Math.floor(root.cutAtMs / everyMs)}`;
    const there = ofStep.get(step);
    if (there === undefined || (there.standsOn.length > 0 && root.standsOn.length === 0)) {
      ofStep.set(step, root);
    }
  }
  for (const { rootKey } of ofStep.values()) kept.add(rootKey);
  for (const { rootKey, standsOn } of roots) if (kept.has(rootKey)) for (const key of standsOn) kept.add(key);
  return roots.filter(({ rootKey }) => !kept.has(rootKey)).map(({ rootKey }) => rootKey);
}
