import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import type { BackupFigures, DataFigures, IoFigures, VolumeFigures } from "../gateway/measurements.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { LATENCY_CLASSES, latencyClass } from "../platform/latency-histogram.ts";
import { ActivityLog } from "./activity-log.ts";
import { Alarms } from "./alarms.ts";
import type { ApiCall } from "./api-call.ts";
import { CallJournal } from "./call-journal.ts";
import { Health } from "./health.ts";
import { History, SAMPLES } from "./history.ts";
import { Metrics } from "./metrics.ts";
import { exposition } from "./prometheus.ts";
import type { Sample, VaultFigures } from "./sample.ts";

const GATEWAY = "sgw-11111111" as GatewayId;
const [VOL_A, VOL_B] = ["vol-0000000000000000a", "vol-0000000000000000b"] as VolumeId[] as [
  VolumeId,
  VolumeId,
];

function io(count: number, us = 100): IoFigures {
  const latencies = new Array<number>(LATENCY_CLASSES).fill(0);
  latencies[latencyClass(us)] = count;
  return { count, bytes: count * 4096, totalUs: count * us, latencies };
}

function volume(volumeId: VolumeId, reads: number, more: Partial<VolumeFigures> = {}): VolumeFigures {
  return {
    ...{ volumeId, gatewayId: GATEWAY, kind: "cached", sizeBytes: 2 ** 30, usedBytes: 0 },
    ...{ reads: io(reads), writes: io(0), flushes: io(0), unmappedBytes: 0, failedIos: 0, queuedWrites: 0 },
    ...{ cacheHits: 0, cacheMisses: 0, unsavedBytes: 0, pendingCuts: 0, initiators: 0, healthy: true },
    ...more,
  };
}

/** A data plane that says what it is told to. */
class FakePlane {
  volumes: VolumeFigures[] = [];
  bufferUsedBytes = 0;
  store: BackupFigures["store"] = { state: "reachable", sinceMs: 0 };
  silent = false;

  async dataFigures(): Promise<DataFigures> {
    if (this.silent) await new Promise(() => {});
    const gateway = {
      ...{ gatewayId: GATEWAY, cacheAllocatedBytes: 1000, cacheUsedBytes: 10, cacheDirtyBytes: 5 },
      ...{ cacheHits: 0, cacheMisses: 0, uploadBufferAllocatedBytes: 1000 },
      uploadBufferUsedBytes: this.bufferUsedBytes,
    };
    return { volumes: this.volumes, gateways: [gateway], utilization: 0.5 };
  }

  async askStore(): Promise<BackupFigures["store"]> {
    return this.store;
  }

  async backupFigures(): Promise<BackupFigures> {
    return { volumes: [], gateways: [], requests: [], store: this.store, utilization: 0 };
  }
}

function world() {
  const clock = new ManualClock();
  const plane = new FakePlane();
  const samples: Sample[] = [];
  let vault: VaultFigures = { freedBytes: 0 };
  const metrics = new Metrics({
    ...{ plane, clock },
    catalogFigures: async () => ({ gatewayNames: new Map([[GATEWAY, 'the "one"']]), snapshots: new Map() }),
    vaultFigures: () => vault,
    apiFigures: () => [],
    processFigures: () => ({ cpuSeconds: 0, residentBytes: 1, startedAtMs: 0, version: "1" }),
    onProblem: () => {},
    onSample: (sample) => samples.push(sample),
  });
  const step = async () => {
    clock.advance(10_000);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  const setVault = (figures: VaultFigures) => {
    vault = figures;
  };
  return { clock, plane, metrics, samples, step, setVault };
}

describe("metrics", () => {
  const everything = { fromMs: 0, toMs: Number.POSITIVE_INFINITY, periodMs: 10_000 };

  test("a history holds what was added in each interval, of volumes and of what they add up to", async () => {
    const { plane, metrics, step } = world();
    plane.volumes = [volume(VOL_A, 10), volume(VOL_B, 5)];
    await metrics.start();
    plane.volumes = [volume(VOL_A, 30), volume(VOL_B, 6)];
    await step();
    // One is deleted: what it had read stays read, for its gateway and for all.
    plane.volumes = [volume(VOL_A, 31)];
    await step();
    const lines = (scope: "Volume" | "Gateway" | "Service", ids?: string[]) =>
      metrics
        .query({ ...everything, scope, names: ["ReadOperations", "ReadBytes"], ...(ids && { ids }) })
        .resources.map(({ lines }) => lines.map(({ values }) => values));
    assert.deepEqual(lines("Volume"), [
      [
        [10 * 4096, 20 * 4096, 4096],
        [10, 20, 1],
      ],
    ]);
    assert.deepEqual(lines("Gateway"), [
      [
        [15 * 4096, 21 * 4096, 4096],
        [15, 21, 1],
      ],
    ]);
    assert.deepEqual(lines("Service"), lines("Gateway"));
    assert.deepEqual(lines("Volume", [VOL_B]), [
      [
        [null, null, null],
        [null, null, null],
      ],
    ]);
    const { now } = await metrics.current();
    assert.equal(now.service.totals.reads.count, 37);
    metrics.close();
  });

  test("periods merge: sums are added, means and percentiles are not", async () => {
    const { plane, metrics, step } = world();
    await metrics.start();
    for (let i = 1; i <= 11; i++) {
      plane.volumes = [volume(VOL_A, i * 10, { queuedWrites: i })];
      await step();
    }
    const query = { scope: "Volume", names: ["ReadOperations", "ReadTime", "QueuedWrites"] } as const;
    const { timesMs, resources } = metrics.query({ ...everything, ...query, periodMs: 60_000 });
    assert(timesMs.every((ms) => ms % 60_000 === 0));
    const [time, operations, queued] = ["ReadTime", "ReadOperations", "QueuedWrites"].map(
      (name) => resources[0]?.lines.find((line) => line.name === name)?.values ?? [],
    );
    assert.equal(
      operations?.reduce<number>((sum, value) => sum + (value ?? 0), 0),
      110,
    );
    assert(time?.every((ms) => ms === null || Math.abs(ms - 0.1) < 1e-6));
    assert.equal(Math.max(...(queued ?? []).map(Number)), 11);
    metrics.close();
  });

  test("a worker that does not answer leaves a gap, and no more", async () => {
    const { clock, plane, metrics, step } = world();
    await metrics.start();
    plane.silent = true;
    await step();
    await step();
    plane.silent = false;
    await step();
    await step();
    const health = new Health({
      ...{ plane, clock, askCatalog: async () => {}, alarms: () => [], freeShare: async () => 0.5 },
    });
    assert.equal((await health.report()).isReady, true);
    plane.silent = true;
    clock.advance(2_000);
    const asking = health.report();
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    const report = await asking;
    assert.deepEqual([report.isReady, report.status], [false, "failing"]);
    assert.match(report.checks[0]?.message ?? "", /has not answered/);
    metrics.close();
  });

  test("rings forget the oldest and keep their size", () => {
    const history = new History();
    for (let i = 1; i <= SAMPLES + 5; i++) {
      history.advance(i * 1000);
      history.set("r", "n", i);
    }
    const found = history.intervals(0, Number.POSITIVE_INFINITY);
    assert.equal(found.length, SAMPLES);
    assert.equal(found[0]?.atMs, 6000);
    assert.deepEqual(found.map(({ place }) => history.line("r", "n")?.[place]).slice(0, 2), [6, 7]);
    history.keep(new Set());
    assert.equal(history.line("r", "n"), undefined);
  });

  test("the text for Prometheus has every series once, with its labels spelled so that they can be read", async () => {
    const { plane, metrics } = world();
    plane.volumes = [volume(VOL_A, 3), volume(VOL_B, 1)];
    await metrics.start();
    const { now, before } = await metrics.current();
    const lines = exposition(now, before).trimEnd().split("\n");
    const series = lines.filter((line) => !line.startsWith("#")).map((line) => line.replace(/ [^ ]+$/, ""));
    assert.equal(new Set(series).size, series.length);
    const families = lines.filter((line) => line.startsWith("# TYPE")).map((line) => line.split(" ")[2]);
    assert.equal(new Set(families).size, families.length);
    assert(
      lines.includes(
        `sluicegate_volume_read_bytes_total{gateway_id="${GATEWAY}",volume_id="${VOL_A}"} 12288`,
      ),
    );
    assert(
      lines.includes(
        `sluicegate_volume_read_time_seconds_bucket{gateway_id="${GATEWAY}",volume_id="${VOL_A}",le="+Inf"} 3`,
      ),
    );
    assert(lines.includes(`sluicegate_gateway_info{gateway_id="${GATEWAY}",gateway_name="the \\"one\\""} 1`));
    metrics.close();
  });
});

describe("alarms", () => {
  test("are raised once, stay in between, and are cleared once", async () => {
    const { plane, metrics, samples, step } = world();
    const alarms = new Alarms();
    await metrics.start();
    const told: string[] = [];
    const seen = async (percent: number) => {
      plane.bufferUsedBytes = percent * 10;
      await step();
      const sample = samples.at(-1);
      assert(sample !== undefined);
      told.push(...alarms.look(sample).map(({ type }) => type));
      return alarms.active.map(({ name }) => name);
    };
    assert.deepEqual(await seen(70), []);
    assert.deepEqual(await seen(85), ["UploadBufferHigh"]);
    assert.deepEqual(await seen(90), ["UploadBufferHigh"]);
    assert.deepEqual(await seen(70), ["UploadBufferHigh"]);
    assert.deepEqual(await seen(50), []);
    assert.deepEqual(told, ["UploadBufferHigh", "UploadBufferNormal"]);
    metrics.close();
  });

  test("a bucket is missed after a minute; damage and stopped volumes at once", async () => {
    const { clock, plane, metrics, samples, step, setVault } = world();
    const alarms = new Alarms();
    await metrics.start();
    const look = async () => {
      await step();
      return alarms.look(samples.at(-1) as Sample).map(({ type }) => type);
    };
    plane.store = { state: "unreachable", sinceMs: clock.nowMs(), reason: "connection refused" };
    for (let i = 0; i < 5; i++) assert.deepEqual(await look(), []);
    assert.deepEqual(await look(), ["StoreUnreachable"]);
    assert.match(alarms.active[0]?.message ?? "", /connection refused/);
    plane.store = { state: "reachable", sinceMs: clock.nowMs() };
    plane.volumes = [volume(VOL_A, 0, { healthy: false })];
    setVault({ freedBytes: 0, damagedObjects: 2 });
    assert.deepEqual(await look(), ["StoreReachable", "VolumeStopped", "VerificationFailed"]);
    plane.volumes = [];
    setVault({ freedBytes: 0, damagedObjects: 0, verifiedAtMs: 1 });
    assert.deepEqual(await look(), ["VerificationPassed"]);
    assert.deepEqual(alarms.active, []);
    metrics.close();
  });
});

describe("the activity log", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-activity-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const clock = new ManualClock();
  const log = ActivityLog.open(folder, clock, (message, error) => assert.fail(`${message}: ${error}`));
  const caller = { accessKeyId: "AKIATEST", name: "default", role: "admin", isSession: false };
  const call = (more: Partial<ApiCall>): ApiCall => ({
    ...{ requestId: "r", service: "storagegateway", operation: "CreateSnapshot", isMutating: true },
    ...{ caller, remoteAddress: "127.0.0.1", status: 200, tookMs: 1 },
    ...more,
  });

  test("holds who did what to what, and no secret", () => {
    log.call(
      call({
        operation: "UpdateChapCredentials",
        input: {
          TargetARN: "arn:target",
          SecretToAuthenticateInitiator: "do-not-tell-1",
          Nested: [{ Password: "do-not-tell-2" }],
          ClientToken: "a-token-that-is-none",
        },
        output: { SecretAccessKey: "do-not-tell-3", VolumeARN: "arn:volume" },
      }),
    );
    const [entry] = log.list({ limit: 1 }).entries;
    assert.deepEqual(entry?.Resources, ["arn:target", "arn:volume"]);
    assert.deepEqual([entry?.Actor?.Name, entry?.Result, entry?.RequestId], ["default", "succeeded", "r"]);
    const [file] = readdirSync(join(folder, "activity"));
    const text = readFileSync(join(folder, "activity", file ?? ""), "utf8");
    assert.doesNotMatch(text, /do-not-tell/);
    assert.match(text, /a-token-that-is-none/);
  });

  test("is read by page and by what is looked for", () => {
    for (let i = 0; i < 30; i++) {
      clock.advance(1000);
      log.call(call({ input: { VolumeARN: `arn:volume/vol-${i % 3}` }, requestId: String(i) }));
    }
    const first = log.list({ limit: 4, resource: "VOL-1" });
    assert.deepEqual(
      first.entries.map(({ RequestId }) => RequestId),
      ["28", "25", "22", "19"],
    );
    assert(first.before !== undefined);
    const second = log.list({ limit: 100, resource: "vol-1", before: first.before });
    assert.deepEqual(
      second.entries.map(({ RequestId }) => RequestId),
      ["16", "13", "10", "7", "4", "1"],
    );
    assert.equal(second.before, undefined);
    const nowMs = clock.nowMs();
    assert.equal(log.list({ limit: 100, fromMs: nowMs - 4500 }).entries.length, 5);
    assert.equal(log.list({ limit: 100, toMs: nowMs - 4500, name: "CreateSnapshot" }).entries.length, 25);
    assert.equal(log.list({ limit: 100, accessKeyId: "AKIAOTHER" }).entries.length, 0);
  });

  test("takes what changes something and what was refused, of strangers only so much", () => {
    const journal = new CallJournal(log, clock);
    const count = () => log.list({ limit: 1000 }).entries.length;
    const before = count();
    journal.take(call({ operation: "ListVolumes", isMutating: false }));
    journal.take(call({ operation: "PutSnapshotBlock", service: "ebs" }));
    assert.equal(count(), before);
    const error = { code: "AccessDeniedException", message: "no", isDenied: true };
    journal.take(call({ operation: "ListVolumes", isMutating: false, error }));
    journal.take(call({ error: { ...error, isDenied: false } }));
    assert.deepEqual(
      log.list({ limit: 2 }).entries.map(({ Result }) => Result),
      ["failed", "denied"],
    );
    const { caller: _, ...stranger } = call({ operation: "", isMutating: false, error });
    for (let i = 0; i < 1000; i++) journal.take(stranger);
    assert(count() - before < 50);
  });
});
