import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  DEFAULT_THINNING,
  parseThinningRule,
  rootsToDrop,
  type ThinnedRoot,
  ThinningRuleError,
  thinningText,
} from "./thinning.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = 20_000 * DAY;

/** Roots that stand on their own, of so long ago. */
function ago(...agesMs: number[]): ThinnedRoot[] {
  return agesMs.map((ageMs) => ({ rootKey: `r${ageMs}`, cutAtMs: NOW - ageMs, standsOn: [] }));
}

/** Of roots given newest first, those that stay. */
function left(
  roots: readonly ThinnedRoot[],
  rule: string,
  pinned: readonly string[] = [],
  nowMs = NOW,
): string[] {
  const dropped = new Set(rootsToDrop([...roots].reverse(), parseThinningRule(rule), new Set(pinned), nowMs));
  return roots.map(({ rootKey }) => rootKey).filter((key) => !dropped.has(key));
}

describe("thinning of recovery points", () => {
  test("all of the last hour stay, one in each step of the stages behind, none beyond", () => {
    const everyMinute = ago(...Array.from({ length: 3 * 24 * 60 }, (_, i) => i * MINUTE));
    const kept = left(everyMinute, "1h,1d/10m,2d/1h");
    const ages = kept.map((key) => Number(key.slice(1)));
    assert.equal(ages.filter((age) => age <= HOUR).length, 61);
    assert.equal(ages.filter((age) => age > HOUR && age <= DAY).length, 23 * 6);
    assert.equal(ages.filter((age) => age > DAY && age <= 2 * DAY).length, 24);
    assert.equal(ages.filter((age) => age > 2 * DAY).length, 0);
  });

  test("the newest stays however old it is, and so do the pinned ones", () => {
    assert.deepEqual(left(ago(90 * DAY, 91 * DAY, 92 * DAY), "1h", [`r${92 * DAY}`]), [
      `r${90 * DAY}`,
      `r${92 * DAY}`,
    ]);
  });

  test("the newest is the one that was made last, where a clock that was ahead was put right", () => {
    // Cut while the clock was a year ahead; then, with the right time, one on which the volume has stood ever since.
    const [ahead, last] = ago(-300 * DAY, 60 * DAY);
    assert(ahead !== undefined && last !== undefined);
    assert(left([last, ahead], "1h,30d/1d").includes(last.rootKey));
  });

  test("what a kept one stands on is kept with it, and one that stands alone is chosen before one that does not", () => {
    const step = (ageMs: number, ...standsOn: string[]): ThinnedRoot => ({
      rootKey: `r${ageMs}`,
      cutAtMs: NOW - ageMs,
      standsOn,
    });
    const [checkpoint] = ago(2 * HOUR - 91);
    assert(checkpoint !== undefined);
    const roots = [
      step(0, "r5", "r9"),
      step(5, "r9"),
      ...ago(9),
      step(2 * HOUR - 100, checkpoint.rootKey),
      checkpoint,
    ];
    assert.deepEqual(left(roots, "1d/1h"), ["r0", "r5", "r9", checkpoint.rootKey]);
  });

  test("no moment is lost by thinning again and again as time goes by, compared with thinning once", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 3 * DAY }), { minLength: 1, maxLength: 60 }), (ages) => {
        const roots = ago(...[...new Set(ages)].sort((a, b) => a - b));
        const rule = "1h,1d/10m,7d/1h";
        const later = NOW + 2 * DAY;
        const now = new Set(left(roots, rule));
        const survivors = roots.filter(({ rootKey }) => now.has(rootKey));
        const again = left(survivors, rule, [], later);
        const once = left(roots, rule, [], later);
        // Each step that has a root when thinned once has one, too, when thinned on the way.
        const steps = (keys: string[]) =>
          new Set(keys.map((key) => Math.floor((NOW - Number(key.slice(1))) / HOUR)));
        assert.deepEqual(steps(again), steps(once));
      }),
    );
  });

  test("a rule as text is the rule", () => {
    for (const text of ["1h,1d/10m,7d/1h,30d/1d", "90s", "2m/1s,3d/90m"])
      assert.equal(thinningText(parseThinningRule(text)), text);
  });

  test("rules that can't be meant are refused", () => {
    assert.equal(parseThinningRule(DEFAULT_THINNING).length, 4);
    for (const text of ["", "1", "1x", "0h", "1h,1h/5m", "1d/10m,1h", "1h/"]) {
      assert.throws(() => parseThinningRule(text), ThinningRuleError, text);
    }
  });
});
