import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { History, INTERVAL_MS, SAMPLES } from "./history.ts";
import { HistoryKeeper, type KeptResource, lineOf, type Merge } from "./history-keeper.ts";
import { KEPT_MS, LongHistory, TIER_MS } from "./long-history.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-history-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const MERGES: Readonly<Record<string, Merge>> = { Bytes: "sum", Percent: "mean", Latency: "max" };
const LINES = Object.entries(MERGES).map(([name, merge]) => ({ name, merge }));
const VOLUME: KeptResource = { id: "vol-1", lines: LINES };
const HOUR_MS = TIER_MS.hour;
/** At the beginning of an hour. */
const START_MS = 500_000 * HOUR_MS;

function failed(message: string, error: unknown): never {
  throw new Error(message, { cause: error });
}

/** One run of a gateway: samples go in, and the file stays. */
function run(name: string, nowMs: number) {
  const history = new History();
  const keeper = new HistoryKeeper(history, LongHistory.open(join(folder, name), failed), failed);
  keeper.restore(nowMs, (line) => MERGES[line] ?? "mean");
  const sample = (atMs: number, bytes: number, percent: number) => {
    history.advance(atMs);
    history.set(VOLUME.id, "Bytes", bytes);
    history.set(VOLUME.id, "Percent", percent);
    history.set(VOLUME.id, "Latency", percent);
    keeper.keep(atMs, [VOLUME]);
  };
  return { history, keeper, sample };
}

describe("the long history of metrics", () => {
  test("minutes and hours are made of intervals: sums, means and highest values", () => {
    const { keeper, sample } = run("tiers", START_MS);
    const count = (2 * HOUR_MS + TIER_MS.minute) / INTERVAL_MS;
    for (let i = 1; i <= count; i++) sample(START_MS + i * INTERVAL_MS, 100, i % 2 === 0 ? 10 : 20);
    const minutes = keeper.query("minute", VOLUME.id, START_MS, START_MS + HOUR_MS);
    assert.equal(minutes.length, 60);
    assert(lineOf(minutes, "Bytes").every((value) => value === 600));
    assert(lineOf(minutes, "Percent").every((value) => value === 15));
    assert(lineOf(minutes, "Latency").every((value) => value === 20));
    const hours = keeper.query("hour", VOLUME.id, 0, Number.POSITIVE_INFINITY);
    assert.deepEqual(
      hours.map(({ atMs }) => atMs),
      [START_MS + HOUR_MS, START_MS + 2 * HOUR_MS],
    );
    assert.deepEqual([...lineOf(hours, "Bytes")], [36_000, 36_000]);
    keeper.close();
  });

  test("after a restart the last hour is there again, and an hour that ended meanwhile is kept", () => {
    const before = run("restart", START_MS);
    for (let i = 1; i <= 30; i++) before.sample(START_MS + i * INTERVAL_MS, 60, 50);
    before.keeper.close();

    const soonMs = START_MS + 10 * TIER_MS.minute;
    const again = run("restart", soonMs);
    const found = again.history.intervals(0, Number.POSITIVE_INFINITY);
    assert.equal(found.length, 30);
    const line = again.history.line(VOLUME.id, "Bytes");
    const sum = found.reduce((total, { place }) => total + (line?.[place] ?? 0), 0);
    assert.equal(sum, 30 * 60);
    assert.equal(again.history.line(VOLUME.id, "Percent")?.[found[0]?.place ?? 0], 50);
    again.keeper.close();

    // It comes back only in the next hour but one: what was measured in the first is a row all the same.
    const late = run("restart", START_MS + 2 * HOUR_MS + 1);
    late.sample(START_MS + 2 * HOUR_MS + TIER_MS.minute + 1, 1, 1);
    const hours = late.keeper.query("hour", VOLUME.id, 0, Number.POSITIVE_INFINITY);
    assert.deepEqual([...lineOf(hours, "Bytes")], [30 * 60]);
    late.keeper.close();
  });

  test("it does not grow for ever", () => {
    const long = LongHistory.open(join(folder, "bounded"), failed);
    const row = { resource: "vol-1", names: ["Bytes"], values: new Float32Array([1]) };
    const hours = KEPT_MS.hour / HOUR_MS;
    for (let i = 1; i <= hours + 50; i++) long.add("hour", START_MS + i * HOUR_MS, [row]);
    assert.equal(long.rows("hour", 0, Number.POSITIVE_INFINITY).length, hours);
    long.close();
    assert.equal(SAMPLES * INTERVAL_MS, HOUR_MS);
  });

  test("a file that is none is begun anew, and told; only its owner reads it", () => {
    const path = join(folder, "damaged");
    writeFileSync(path, "no database, for certain, and long enough to be looked at as one ".repeat(20));
    const problems: string[] = [];
    const long = LongHistory.open(path, (message) => problems.push(message));
    assert.equal(problems.length, 1);
    long.add("minute", START_MS, [{ resource: "service", names: ["A"], values: new Float32Array([7]) }]);
    assert.deepEqual([...(long.rows("minute", 0, Number.POSITIVE_INFINITY)[0]?.values ?? [])], [7]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    long.close();
  });
});
