import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow, SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import { byCron, everyHours } from "./cron.ts";
import { GatewayError } from "./errors.ts";
import { dueAt } from "./schedule.ts";
import { Schedules } from "./schedules.ts";
import { Snapshots } from "./snapshots.ts";

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const at = (text: string) => Date.parse(text);
const iso = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
const invalid = (error: unknown) => error instanceof GatewayError && error.code === "InvalidSchedule";

describe("when a schedule is due", () => {
  test("every so many hours from an hour of the zone's day", () => {
    const next = (start: number, hours: number, zone: string, from: string) =>
      iso(everyHours(start, hours, zone).nextAfter(at(from)));
    assert.equal(next(6, 24, "GMT", "2026-03-29T05:59:59Z"), "2026-03-29T06:00:00.000Z");
    assert.equal(next(6, 24, "GMT", "2026-03-29T06:00:00Z"), "2026-03-30T06:00:00.000Z");
    assert.equal(next(6, 24, "GMT-8:00", "2026-03-29T06:00:00Z"), "2026-03-29T14:00:00.000Z");
    assert.equal(next(0, 4, "GMT+5:30", "2026-03-29T00:00:00Z"), "2026-03-29T02:30:00.000Z");
    assert.equal(next(23, 12, "GMT", "2026-03-29T00:00:00Z"), "2026-03-29T11:00:00.000Z");
  });

  test("by cron expressions of Unix and of AWS, in zones with and without summer time", () => {
    const next = (cron: string, zone: string, from: string) =>
      iso(byCron(cron, zone, at(from)).nextAfter(at(from)));
    assert.equal(next("0 3 * * 1-5", "GMT", "2026-11-27T03:00:00Z"), "2026-11-30T03:00:00.000Z");
    assert.equal(next("0 3 * * *", "GMT+1:00", "2026-07-01T00:00:00Z"), "2026-07-01T02:00:00.000Z");
    assert.equal(next("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z"), "2026-07-01T01:00:00.000Z");
    assert.equal(next("cron(0 18 ? * 2 *)", "GMT", "2026-11-24T00:00:00Z"), "2026-11-30T18:00:00.000Z");
    assert.equal(next("*/15 * * * *", "GMT", "2026-11-24T00:14:59.999Z"), "2026-11-24T00:15:00.000Z");
    assert.equal(next("*/15 * * * *", "GMT", "2026-11-24T00:15:00.001Z"), "2026-11-24T00:30:00.000Z");
  });

  test("expressions that are none, never come, or come too often are refused", () => {
    for (const cron of ["", "x", "* * * *", "61 * * * *", "0 0 31 2 *", "* * * * *", "cron(0 18 * * *)"]) {
      assert.throws(() => byCron(cron, "GMT", at("2026-11-24T00:00:00Z")), invalid, cron);
    }
    assert.throws(() => byCron("0 3 * * *", "Mars/Olympus", at("2026-11-24T00:00:00Z")), invalid);
    assert.throws(() => byCron("0 3 * * *".padEnd(300), "GMT", 0), invalid);
  });

  test("the latest of what has passed is due, and the others are counted", () => {
    const daily = everyHours(0, 24, "GMT");
    const day = at("2026-11-24T00:00:00Z");
    assert.deepEqual(dueAt(daily, day, day + DAY_MS - 1), { dueAtMs: undefined, missed: 0 });
    assert.deepEqual(dueAt(daily, day, day + DAY_MS), { dueAtMs: day + DAY_MS, missed: 0 });
    assert.deepEqual(dueAt(daily, day, day + 3.5 * DAY_MS), { dueAtMs: day + 3 * DAY_MS, missed: 2 });
    assert.deepEqual(dueAt(daily, day + DAY_MS, day), { dueAtMs: undefined, missed: 0 });
  });
});

describe("snapshots that make themselves", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-schedules-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const gateway: GatewayRow = {
    id: "sgw-00000001" as GatewayId,
    name: "g",
    kind: "CACHED",
    timezone: "GMT",
    created_at: 0,
    state: "running",
    settings: "{}",
  };
  const volume: VolumeRow = {
    id: "vol-00000000000000001" as VolumeId,
    gateway_id: gateway.id,
    kind: "cached",
    size_bytes: 2 ** 30,
    target_name: "t",
    disk_id: null,
    preserve_existing_data: 0,
    parent_root_key: null,
    source_snapshot_id: null,
    state: "active",
    created_at: 0,
    recovery_point_every_ms: null,
    ec2_type: null,
    modification: null,
    attachment: "attached",
    network_interface: null,
    detached_used_bytes: null,
  };
  const START = at("2026-11-24T10:20:00Z");
  let run = 0;
  let path = "";
  let clock: ManualClock;
  let catalog: Catalog;
  let schedules: Schedules;
  let refuses: Error | undefined;
  let problems: string[] = [];

  /** A process: the catalog opened, and the services that need no data plane. */
  const open = async () => {
    catalog = await Catalog.open({ sqlitePath: path });
    const onProblem = (message: string) => void problems.push(message);
    let epoch = 0;
    const snapshots = new Snapshots({
      catalog,
      clock,
      random: systemRandom,
      onProblem,
      onNameGone: async () => {},
      volumes: { arnOf: () => "arn" },
      store: {},
      host: {
        cut: async () => {
          if (refuses !== undefined) throw refuses;
          epoch += 1;
          return [{ epoch, cutAtMs: clock.nowMs() }];
        },
        cutState: async () => ({ state: "pending" }),
      },
    } as unknown as ConstructorParameters<typeof Snapshots>[0]);
    schedules = new Schedules({ catalog, snapshots, clock, random: systemRandom, onProblem });
  };
  beforeEach(async () => {
    run += 1;
    path = join(folder, `${run}.sqlite`);
    clock = new ManualClock(START);
    refuses = undefined;
    problems = [];
    await open();
    await catalog.addGateway(gateway, []);
    await catalog.addVolume(volume, { tags: [] });
  });
  afterEach(async () => {
    await schedules.close();
    await catalog.close();
  });
  const restart = async () => {
    await schedules.close();
    await catalog.close();
    await open();
  };
  const made = async (): Promise<SnapshotRow[]> =>
    [...(await catalog.snapshots())].sort((a, b) => a.started_at - b.started_at);
  const times = async () => (await made()).map(({ started_at }) => iso(started_at));
  const only = async () => (await schedules.list(volume))[0];
  const daily = (hour = 12) =>
    schedules.setVolume(volume, hour, 24, { tags: [{ key: "by", value: "night" }] });

  test("a run at its time, with description and tags, once", async () => {
    await daily();
    await schedules.look();
    assert.deepEqual(await times(), []);
    clock.advance(1.7 * HOUR_MS);
    await schedules.look();
    await schedules.look();
    assert.deepEqual(await times(), ["2026-11-24T12:02:00.000Z"]);
    const [snapshot] = await made();
    assert.equal(snapshot?.description, "sgw-00000001:vol-00000000000000001:Schedule");
    assert.deepEqual(
      (await catalog.tags.of(snapshot?.id ?? "")).map((t) => ({ ...t })),
      [{ key: "by", value: "night" }],
    );
    const shown = await only();
    assert.equal(iso(shown?.nextRunAtMs), "2026-11-25T12:00:00.000Z");
    assert.equal(shown?.row.last_snapshot_id, snapshot?.id);
  });

  test("a restart repeats nothing, and makes up for what fell into the pause, as one, and counts the others", async () => {
    await daily();
    clock.advance(2 * HOUR_MS);
    await schedules.look();
    await restart();
    await schedules.look();
    assert.equal((await made()).length, 1);
    clock.advance(3 * DAY_MS);
    await restart();
    await schedules.look();
    await schedules.look();
    assert.deepEqual(await times(), ["2026-11-24T12:20:00.000Z", "2026-11-27T12:20:00.000Z"]);
    assert.equal((await only())?.row.missed_runs, 2);
    assert.match(problems.join(), /missed 2 runs/);
  });

  test("a clock that is set back repeats nothing; one that was far ahead does not stop it for long", async () => {
    await daily();
    clock.advance(2 * HOUR_MS);
    await schedules.look();
    clock = new ManualClock(START + HOUR_MS);
    await restart();
    await schedules.look();
    clock.advance(HOUR_MS);
    await schedules.look();
    assert.equal((await made()).length, 1);
    clock = new ManualClock(START + 365 * DAY_MS);
    await restart();
    await schedules.look();
    assert.equal((await made()).length, 2);
    clock = new ManualClock(START + DAY_MS);
    await restart();
    await schedules.look();
    clock.advance(2 * HOUR_MS);
    await schedules.look();
    assert.equal((await made()).length, 3, "the year ahead is forgotten");
    assert.match(problems.join(), /set back/);
  });

  test("a run that can't be made is tried again; when the next is due it is missed", async () => {
    refuses = new GatewayError("VolumeNotReady", "no buffer");
    await schedules.setVolume(volume, 0, 1, {});
    clock.advance(45 * 60_000);
    await schedules.look();
    assert.match((await only())?.row.problem ?? "", /no buffer/);
    await schedules.look();
    assert.equal(problems.length, 1, "told once");
    refuses = undefined;
    await schedules.look();
    assert.equal((await made()).length, 0, "not before a minute has passed");
    clock.advance(60_000);
    await schedules.look();
    assert.equal((await made()).length, 1);
    assert.equal((await only())?.row.problem, null);
    refuses = new Error("away");
    clock.advance(2 * HOUR_MS);
    await schedules.look();
    refuses = undefined;
    clock.advance(60_000);
    await schedules.look();
    assert.equal((await made()).length, 2);
    assert.equal((await only())?.row.missed_runs, 1);
  });

  test("a gateway that is shut down makes none, and says so", async () => {
    await daily();
    await catalog.updateGateway(gateway.id, { state: "shutdown" });
    clock.advance(2 * HOUR_MS);
    await schedules.look();
    assert.match((await only())?.row.problem ?? "", /not connected/);
    await catalog.updateGateway(gateway.id, { state: "running" });
    clock.advance(60_000);
    await schedules.look();
    assert.equal((await made()).length, 1);
  });

  test("the gateway's zone counts, and a change of it", async () => {
    await daily(3);
    await catalog.updateGateway(gateway.id, { timezone: "GMT-8:00" });
    assert.equal(iso((await only())?.nextRunAtMs), "2026-11-24T11:00:00.000Z");
  });

  test("schedules of one's own: several, each at its times, changed, switched off and removed", async () => {
    const wanted = { name: "hourly", cron: "0 * * * *", description: "d", tags: [], isEnabled: true };
    const first = await schedules.putOwn(volume, undefined, wanted);
    await schedules.putOwn(volume, undefined, { ...wanted, name: "noon", cron: "0 12 * * *" });
    await daily();
    clock.advance(1.7 * HOUR_MS);
    await schedules.look();
    assert.deepEqual((await made()).length, 3);
    await schedules.putOwn(volume, first.id, { ...wanted, isEnabled: false });
    clock.advance(HOUR_MS);
    await schedules.look();
    assert.deepEqual((await made()).length, 3);
    await schedules.removeOwn(volume, first.id);
    const notFound = (error: unknown) => (error as GatewayError).code === "SnapshotScheduleNotFound";
    await assert.rejects(schedules.removeOwn(volume, first.id), notFound);
    await assert.rejects(schedules.removeOwn(volume, `${volume.id}.schedule`), notFound);
    await assert.rejects(schedules.putOwn(volume, "sched-none", wanted), notFound);
    await assert.rejects(schedules.putOwn(volume, undefined, { ...wanted, cron: "x" }), invalid);
    assert.equal((await schedules.list(volume)).length, 2);
  });

  test("AWS's schedule is set again from now on, and removed", async () => {
    await daily();
    clock.advance(3 * DAY_MS);
    await daily(11);
    await schedules.look();
    assert.equal((await made()).length, 0, "what was due before it was set is of no interest");
    await schedules.removeVolume(volume);
    await assert.rejects(schedules.removeVolume(volume));
    clock.advance(DAY_MS);
    await schedules.look();
    assert.equal((await made()).length, 0);
  });
});
