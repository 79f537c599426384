import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow, SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import { nextTurn } from "../platform/clock.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { Policies } from "./policies.ts";
import type { PolicyRules, PolicySchedule } from "./policy-rules.ts";
import { PolicyRunner } from "./policy-runner.ts";
import type { SnapshotRecord, SnapshotStore, VolumeHost, WantedCut } from "./ports.ts";
import { SnapshotLocks } from "./snapshot-locks.ts";
import { Snapshots } from "./snapshots.ts";
import { Tags } from "./tags.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-policy-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 1, 0, 30);
const GATEWAY = "sgw-00000001" as GatewayId;
const [ONE, TWO, OTHER] = ["1", "2", "3"].map((n) => `vol-${n.padStart(17, "0")}` as VolumeId) as [
  VolumeId,
  VolumeId,
  VolumeId,
];
const TAG = { key: "backup", value: "yes" };

const hourly: PolicySchedule = {
  name: "hourly",
  when: { everyHours: 1, startMinute: 0 },
  keep: { count: 3 },
  copyTags: true,
  tags: [],
  variableTags: [],
  sharedWith: [],
};
const rules: PolicyRules = {
  targets: "volumes",
  targetTags: [TAG],
  excludedVolumeTags: [],
  schedules: [hourly],
};
const wanted = { description: "d", roleArn: "r", isEnabled: true, details: "{}", rules };
let runs = 0;
let seeds = 0;
let epochs = 0;

/** A gateway with three volumes, two of them tagged; its uploads end at once. */
class Bench {
  readonly clock = new ManualClock(START_MS);
  readonly problems: string[] = [];
  readonly refused = new Set<VolumeId>();
  /** What a deletion waits for. */
  bucket: Promise<void> = Promise.resolve();
  readonly cuts: VolumeId[][] = [];
  readonly records = new Map<string, SnapshotRecord>();
  readonly catalog: Catalog;
  readonly path: string;
  readonly snapshots: Snapshots;
  readonly policies: Policies;
  readonly runner: PolicyRunner;
  readonly locks: SnapshotLocks;

  private constructor(catalog: Catalog, path: string, clock?: ManualClock) {
    this.catalog = catalog;
    this.path = path;
    if (clock !== undefined) this.clock = clock;
    seeds += 1;
    const random = new SeededRandom(seeds);
    const host = {
      cut: async (cuts: readonly WantedCut[]) => {
        if (cuts.some(({ volumeId }) => this.refused.has(volumeId))) throw new Error("can't be cut now");
        this.cuts.push(cuts.map(({ volumeId }) => volumeId));
        epochs += 1;
        return cuts.map(() => ({ epoch: epochs, cutAtMs: this.clock.nowMs() }));
      },
      cutState: async (volumeId: VolumeId, epoch: number) => {
        const rootKey = `volumes/${volumeId}/roots/${epoch}`;
        return { state: "uploaded", volumeId, epoch, rootKey, uploadedBytes: 0, fullBytes: 0 };
      },
    } as unknown as VolumeHost;
    const store: SnapshotStore = {
      putSnapshot: async (record) => void this.records.set(record.snapshotId, record),
      deleteSnapshot: async (id) => void this.records.delete(id),
      listSnapshots: async (except) =>
        [...this.records.values()].filter(({ snapshotId }) => !except.includes(snapshotId)),
      snapshot: async (id) => {
        await this.bucket;
        return this.records.get(id);
      },
      hasSnapshot: async (id) => this.records.has(id),
    };
    const onProblem = (message: string) => void this.problems.push(message);
    const parts = { catalog, clock: this.clock, random, onProblem };
    this.snapshots = new Snapshots({
      ...{ ...parts, host, store, volumes: { arnOf: () => "arn" } as never },
      onDirectGone: () => {},
      onNameGone: async () => {},
    });
    this.locks = new SnapshotLocks(this.snapshots, this.clock);
    this.policies = new Policies(parts);
    const tags = new Tags({ catalog, gateways: undefined as never, volumes: undefined as never });
    this.runner = new PolicyRunner({ ...parts, policies: this.policies, snapshots: this.snapshots, tags });
  }

  static async make(): Promise<Bench> {
    runs += 1;
    const path = join(folder, `${runs}.sqlite`);
    const catalog = await Catalog.open({ sqlitePath: path });
    const gateway = { id: GATEWAY, name: "g", kind: "CACHED", timezone: "GMT", created_at: 0 } as const;
    const row: GatewayRow = { ...gateway, state: "running", settings: "{}" };
    await catalog.addGateway(row, []);
    await catalog.tags.put(GATEWAY, [TAG]);
    for (const id of [ONE, TWO, OTHER]) {
      const volume: VolumeRow = {
        ...{ id, gateway_id: GATEWAY, kind: "cached", size_bytes: 2 ** 30, target_name: id, disk_id: null },
        ...{ preserve_existing_data: 0, parent_root_key: null, source_snapshot_id: null, state: "active" },
        ...{
          created_at: 0,
          recovery_point_every_ms: null,
          ec2_type: null,
          modification: null,
          attachment: "attached",
        },
        ...{ network_interface: null, detached_used_bytes: null },
      };
      await catalog.addVolume(volume, { tags: id === OTHER ? [] : [TAG] });
    }
    return new Bench(catalog, path);
  }

  /** What a start after a crash is: everything but the catalog, the bucket and the time is gone. */
  async restart(): Promise<Bench> {
    await this.catalog.close();
    const next = new Bench(await Catalog.open({ sqlitePath: this.path }), this.path, this.clock);
    for (const [id, record] of this.records) next.records.set(id, record);
    return next;
  }

  /** Lets so much time pass and everything be done that is due then. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.look();
  }

  async look(): Promise<void> {
    await this.runner.look();
    await this.uploaded();
    this.clock.advance(60_001);
    await this.runner.look();
  }

  /** Waits until every upload has ended; what retention makes of that comes with the next look. */
  async uploaded(): Promise<void> {
    while ((await this.made()).some(({ state }) => state === "pending")) await nextTurn();
  }

  async made(volumeId?: VolumeId): Promise<SnapshotRow[]> {
    const rows = (await this.snapshots.list()).map(({ row }) => row);
    return rows
      .filter((row) => volumeId === undefined || row.volume_id === volumeId)
      .sort((a, b) => a.started_at - b.started_at);
  }
}

describe("lifecycle policies", () => {
  test("make what is due, of what is tagged, and keep as many as they say", async () => {
    const bench = await Bench.make();
    const id = await bench.policies.create(wanted, []);
    await bench.look();
    assert.deepEqual(bench.cuts, []);
    for (let hour = 0; hour < 6; hour++) await bench.pass(HOUR_MS);
    assert.equal(bench.cuts.length, 12);
    for (const volume of [ONE, TWO]) {
      const made = await bench.made(volume);
      assert.deepEqual(
        made.map(({ state, policy_id }) => [state, policy_id]),
        Array(3).fill(["completed", id]),
      );
      const tags = await bench.catalog.tags.of(made[0]?.id ?? "");
      const plain = tags.map(({ key, value }) => ({ key, value }));
      assert.deepEqual(plain, [
        { key: "aws:dlm:lifecycle-policy-id", value: id },
        { key: "aws:dlm:lifecycle-schedule-name", value: "hourly" },
        TAG,
        { key: "dlm:managed", value: "true" },
      ]);
      assert(made.every((row) => bench.records.get(row.id)?.marks?.policy?.id === id));
    }
    assert.deepEqual(await bench.made(OTHER), []);
    assert.deepEqual(bench.problems, []);
    await bench.catalog.close();
  });

  test("never delete what they have not made, nor what is locked", async () => {
    const bench = await Bench.make();
    const volume = await bench.catalog.volume(ONE);
    assert(volume !== undefined);
    const byHand = await bench.snapshots.create(volume, "by hand", []);
    const other = await bench.policies.create({ ...wanted, isEnabled: false }, []);
    await bench.policies.create(wanted, []);
    await bench.pass(HOUR_MS);
    const [, first] = await bench.made(ONE);
    assert(first !== undefined);
    await bench.locks.lock(first.id, { mode: "governance", days: 1 });
    const copy = await bench.snapshots.copy(first, "a copy", []);
    for (let hour = 0; hour < 5; hour++) await bench.pass(HOUR_MS);
    const left = (await bench.made(ONE)).map(({ id }) => id);
    for (const kept of [byHand, first, copy]) assert(left.includes(kept.id));
    assert.equal(left.length, 6);
    // When the lock is gone, so is the snapshot.
    await bench.locks.unlock(first.id);
    await bench.pass(1);
    assert(!(await bench.made(ONE)).some(({ id }) => id === first.id));
    assert((await bench.made()).every(({ policy_id }) => policy_id !== other));
    await bench.catalog.close();
  });

  test("a run that a crash has cut short goes on, and makes nothing twice", async () => {
    let bench = await Bench.make();
    await bench.policies.create(wanted, []);
    bench.refused.add(TWO);
    bench.clock.advance(HOUR_MS);
    await bench.runner.look();
    await bench.uploaded();
    assert.deepEqual(bench.cuts, [[ONE]]);
    assert.match(bench.problems[0] ?? "", /could not make all/);
    bench = await bench.restart();
    await bench.look();
    await bench.look();
    assert.deepEqual(bench.cuts, [[TWO]]);
    assert.equal((await bench.made()).length, 2);
    const [policy] = await bench.policies.list([]);
    assert.equal(policy?.schedules[0]?.problem, null);
    await bench.catalog.close();
  });

  test("after a long rest one run stands for all that were missed, and they are counted", async () => {
    let bench = await Bench.make();
    await bench.policies.create(wanted, []);
    await bench.pass(HOUR_MS);
    bench.clock.advance(30 * HOUR_MS);
    bench = await bench.restart();
    await bench.look();
    assert.deepEqual(bench.cuts, [[ONE], [TWO]]);
    assert.match(bench.problems[0] ?? "", /missed 29 runs/);
    assert.equal((await bench.policies.list([]))[0]?.schedules[0]?.missed_runs, 29);
    await bench.catalog.close();
  });

  test("a clock that is set back makes nothing twice; one that was far ahead is forgotten", async () => {
    const bench = await Bench.make();
    await bench.policies.create(wanted, []);
    for (let hour = 0; hour < 3; hour++) await bench.pass(HOUR_MS);
    const cuts = bench.cuts.length;
    bench.clock.advance(-2 * HOUR_MS);
    await bench.look();
    assert.equal(bench.cuts.length, cuts);
    bench.clock.advance(-60 * HOUR_MS);
    await bench.look();
    assert.equal(bench.cuts.length, cuts);
    assert.match(bench.problems.at(-1) ?? "", /clock was set back/);
    await bench.pass(HOUR_MS);
    assert.equal(bench.cuts.length, cuts + 2);
    await bench.catalog.close();
  });

  test("gateways as targets: their volumes at one instant, without those that are excluded", async () => {
    const bench = await Bench.make();
    const schedules = [{ ...hourly, sharedWith: ["111111111111"] }];
    const excludedVolumeTags = [{ key: "scratch", value: "1" }];
    await bench.catalog.tags.put(TWO, excludedVolumeTags);
    await bench.policies.create(
      { ...wanted, rules: { ...rules, targets: "gateways", schedules, excludedVolumeTags } },
      [],
    );
    await bench.pass(HOUR_MS);
    assert.deepEqual(bench.cuts, [[ONE, OTHER]]);
    assert((await bench.made()).every((row) => row.shared_with === '["111111111111"]'));
    await bench.catalog.close();
  });

  test("changed, disabled, deleted: what runs on, what begins anew, what stays", async () => {
    const bench = await Bench.make();
    const id = await bench.policies.create(wanted, []);
    await bench.pass(HOUR_MS);
    await bench.policies.update(id, { isEnabled: false });
    await bench.pass(10 * HOUR_MS);
    assert.equal(bench.cuts.length, 2);
    // What was due while it was disabled is nobody's.
    await bench.policies.update(id, { isEnabled: true });
    await bench.look();
    assert.equal(bench.cuts.length, 2);
    const both = {
      ...rules,
      schedules: [
        { ...hourly, keep: { count: 1 } },
        { ...hourly, name: "again" },
      ],
    };
    await bench.policies.update(id, { rules: both });
    await bench.pass(HOUR_MS);
    assert.equal(bench.cuts.length, 6);
    await bench.policies.remove(id);
    await bench.pass(10 * HOUR_MS);
    assert.equal((await bench.made()).length, 4);
    await assert.rejects(bench.policies.get(id), /does not exist/);
    await bench.catalog.close();
  });

  test("a bucket that gives no answer to deletions holds up no snapshot, and no stop", async () => {
    const bench = await Bench.make();
    await bench.policies.create(wanted, []);
    for (let hour = 0; hour < 3; hour++) await bench.pass(HOUR_MS);
    let answer = () => {};
    bench.bucket = new Promise((resolve) => {
      answer = resolve;
    });
    bench.runner.start();
    for (let hour = 0; hour < 3; hour++) {
      const cuts = bench.cuts.length;
      bench.clock.advance(HOUR_MS);
      for (let turns = 0; bench.cuts.length < cuts + 2 && turns < 1000; turns++) {
        bench.clock.advance(5_000);
        await nextTurn();
      }
      assert.equal(bench.cuts.length, cuts + 2);
      await bench.uploaded();
    }
    assert.equal((await bench.made(ONE)).length, 6);
    const closing = bench.runner.close();
    await nextTurn();
    bench.clock.advance(10_000);
    await closing;
    answer();
    await bench.snapshots.close();
  });

  test("a preview says what comes, and is right", async () => {
    const bench = await Bench.make();
    const id = await bench.policies.create(wanted, []);
    for (let hour = 0; hour < 3; hour++) await bench.pass(HOUR_MS);
    const before = new Set((await bench.made()).map((row) => row.id));
    const [preview] = await bench.runner.preview(await bench.policies.get(id));
    assert.equal(preview?.nextRunAtMs, Date.UTC(2026, 0, 1, 4));
    assert.deepEqual(
      preview?.groups.map((group) => group.map((volume) => volume.id)),
      [[ONE], [TWO]],
    );
    assert.equal(bench.cuts.length, 6);
    await bench.pass(HOUR_MS);
    const now = new Set((await bench.made()).map((row) => row.id));
    const gone = [...before].filter((one) => !now.has(one as never)).sort();
    assert.deepEqual(preview?.retired.map(({ row }) => row.id).sort(), gone);
    assert.equal(gone.length, 2);
    await bench.catalog.close();
  });
});
