/** The volume engine's bars, against itself: P6 to P8, P11 to P13 of the design, and writes with many open epochs. */
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/platform/clock.ts";
import { BlockClient } from "../test/clients/block-client.ts";
import { childrenOf, GatewayProcess } from "../test/clients/gateway.ts";
import { makeImage } from "../test/clients/image.ts";
import { runOk, volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import {
  completed,
  createSnapshot,
  GIB,
  makeCached,
  makeStored,
  snapshotState,
  statusOf,
  until,
} from "../test/e2e/volume-kit.ts";
import { rgwEnvironment, startRgw, stopRgw } from "../test/servers/rgw.ts";
import { TcpGate } from "../test/servers/tcp-gate.ts";
import type { Closers } from "./contenders.ts";
import { benchFairness } from "./fairness.ts";
import { against, figure, quantile, title } from "./report.ts";
import { runWorkload, type Workload } from "./workloads.ts";

export interface EngineBench {
  readonly id: string;
  run(folder: string, closers: Closers): Promise<void>;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SECTOR = 512;
const IMAGE_MIB = 1024;
const SNAPSHOT_LIMIT_MS = 300_000;
const SAMPLE_EVERY_MS = 200;

const RANDOM_WRITES: Workload = {
  id: "",
  what: "",
  write: true,
  requestBytes: 4 * KIB,
  depth: 32,
  count: 60_000,
  isRandom: true,
};

export const ENGINE_BENCHES: readonly EngineBench[] = [
  { id: "P6", run: cachedAgainstStored },
  { id: "P7", run: writesDuringUpload },
  { id: "P8", run: createSnapshotTime },
  { id: "P11", run: restoreTime },
  { id: "P12", run: memory },
  { id: "P13", run: restartTime },
  { id: "epochs", run: openEpochs },
  { id: "fairness", run: benchFairness },
];

async function startGateway(folder: string, closers: Closers, ...options: string[]): Promise<GatewayProcess> {
  const sizes = ["--cache-size", "4GiB", "--upload-buffer-size", "2GiB"];
  const gateway = new GatewayProcess(join(folder, "data"), [...sizes, ...options]);
  closers.push(() => gateway.kill());
  await gateway.start();
  return gateway;
}

const urlOf = (gateway: GatewayProcess, name: string) => volumeUrl(gateway.portal, name);

async function cachedAgainstStored(folder: string, closers: Closers): Promise<void> {
  title("P6", "a cached volume, hot in the cache, against a stored one");
  const gateway = await startGateway(folder, closers);
  await makeStored(gateway, "stored");
  await makeCached(gateway, "cached");
  const image = join(folder, "image");
  makeImage(image, IMAGE_MIB, "p6");
  for (const name of ["stored", "cached"]) await writeImage(image, urlOf(gateway, name));
  for (const write of [false, true]) {
    const workload = { ...RANDOM_WRITES, write };
    const rates = new Map<string, number[]>([
      ["stored", []],
      ["cached", []],
    ]);
    for (let round = 0; round < 4; round++) {
      for (const [name, all] of rates)
        all.push((await runWorkload(workload, [urlOf(gateway, name)], [])).ioPerSecond);
    }
    const [stored, cached] = [...rates.values()].map((all) => quantile(all.slice(1), 0.5));
    against(write ? "4 KiB write, QD 32" : "4 KiB read, QD 32", (cached ?? 0) / (stored ?? 0), "x", {
      min: 0.85,
    });
  }
}

/** Times of single 4 KiB writes, one after the other. */
async function writeTimesMs(client: BlockClient, count: number): Promise<number[]> {
  const times: number[] = [];
  while (times.length < count) {
    const sector = ((times.length * 7919) % (IMAGE_MIB * 256)) * 8;
    const startMs = systemClock.monotonicMs();
    await client.write(sector, Buffer.alloc(4 * KIB, times.length));
    times.push(systemClock.monotonicMs() - startMs);
  }
  return times;
}

/** 4 KiB random writes a second, the median of three runs. */
async function writeRate(url: string): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < 3; round++) {
    rates.push((await runWorkload({ ...RANDOM_WRITES, count: 30_000 }, [url], [])).ioPerSecond);
  }
  return quantile(rates, 0.5);
}

async function writesDuringUpload(folder: string, closers: Closers): Promise<void> {
  title("P7", "4 KiB random writes while a snapshot of 1 GiB uploads, against idle");
  const gateway = await startGateway(folder, closers);
  const image = join(folder, "image");
  makeImage(image, IMAGE_MIB, "p7");
  for (const name of ["rate", "latency"]) {
    const arn = await makeStored(gateway, name);
    const url = urlOf(gateway, name);
    await writeImage(image, url);
    // What the disk still has to write would slow the one half and not the other.
    await runOk("sync", []);
    if (name === "rate") {
      await writeRate(url);
      const idle = await writeRate(url);
      const { snapshotId, stillPending } = await startSnapshot(gateway, arn);
      const busy = await writeRate(url);
      await stillPending();
      figure("idle, QD 32", idle, "writes per second");
      against("writes per second, QD 32, busy / idle", busy / idle, "x", { min: 0.6 });
      await completed(gateway, snapshotId, SNAPSHOT_LIMIT_MS);
    } else {
      const client = await BlockClient.open(gateway.portal, name);
      await writeTimesMs(client, 2_000);
      const idle = await writeTimesMs(client, 10_000);
      const { snapshotId, stillPending } = await startSnapshot(gateway, arn);
      const busy = await writeTimesMs(client, 10_000);
      await stillPending();
      await completed(gateway, snapshotId, SNAPSHOT_LIMIT_MS);
      client.close();
      figure("idle p99, QD 1", quantile(idle, 0.99), "ms");
      against("p99, QD 1, busy / idle", quantile(busy, 0.99) / quantile(idle, 0.99), "x", { max: 5 });
    }
  }
}

/** Nobody asks how it stands meanwhile: the asking would be measured, too. */
async function startSnapshot(gateway: GatewayProcess, arn: string) {
  const snapshotId = await createSnapshot(gateway, arn);
  const stillPending = async () => {
    const { State } = await snapshotState(gateway, snapshotId);
    assert.equal(State, "pending", "the upload was over before the writes were");
  };
  return { snapshotId, stillPending };
}

async function createSnapshotTime(folder: string, closers: Closers): Promise<void> {
  title("P8", "CreateSnapshot, each after a write");
  const gateway = await startGateway(folder, closers);
  const medians: number[] = [];
  for (const [name, gib] of [
    ["small", 1],
    ["large", 16 * 1024 - 1],
  ] as const) {
    const arn = await makeStored(gateway, name, `${gib}GiB`);
    const client = await BlockClient.open(gateway.portal, name);
    const times: number[] = [];
    for (let i = 0; i < 40; i++) {
      await client.write(
        i % 2 === 0 ? i * 128 : (gib * GIB) / SECTOR - 128 * (i + 1),
        Buffer.alloc(SECTOR, i + 1),
      );
      const startMs = systemClock.monotonicMs();
      const snapshotId = await createSnapshot(gateway, arn);
      if (i >= 10) times.push(systemClock.monotonicMs() - startMs);
      await completed(gateway, snapshotId);
    }
    client.close();
    medians.push(quantile(times, 0.5));
    against(`${gib} GiB, boto3's call, median`, quantile(times, 0.5), "ms", { max: 50 });
    figure(`${gib} GiB, boto3's call, slowest of ${times.length}`, quantile(times, 1), "ms");
  }
  against("16 TiB / 1 GiB", (medians[1] ?? 0) / (medians[0] ?? 1), "x", { max: 1.5 });
}

async function restoreTime(folder: string, closers: Closers): Promise<void> {
  title("P11", "a stored volume from a snapshot of 1 GiB");
  const gateway = await startGateway(folder, closers);
  const arn = await makeStored(gateway, "source");
  const image = join(folder, "image");
  makeImage(image, IMAGE_MIB, "p11");
  await writeImage(image, urlOf(gateway, "source"));
  const SnapshotId = await createSnapshot(gateway, arn);
  await completed(gateway, SnapshotId, SNAPSHOT_LIMIT_MS);
  const startMs = systemClock.monotonicMs();
  const copy = await makeStored(gateway, "copy", "1GiB", { SnapshotId });
  const client = await BlockClient.open(gateway.portal, "copy");
  await client.read(0, MIB / SECTOR);
  against("from the call to the first MiB", systemClock.monotonicMs() - startMs, "ms", { max: 1_000 });
  client.close();
  await until(
    "hydrated",
    async () => ((await statusOf(gateway, copy)) === "AVAILABLE" ? true : undefined),
    300_000,
  );
  figure("all of it hydrated", (systemClock.monotonicMs() - startMs) / 1000, "s");
  // A cached volume fetches nothing by itself: each of these is a miss.
  await makeCached(gateway, "cold", GIB, { SnapshotId });
  const cold = await BlockClient.open(gateway.portal, "cold");
  const times: number[] = [];
  for (let i = 0; i < 60; i++) {
    const mib = (i * 389) % IMAGE_MIB;
    const beganMs = systemClock.monotonicMs();
    await cold.read((mib * MIB) / SECTOR, MIB / SECTOR);
    times.push(systemClock.monotonicMs() - beganMs);
  }
  cold.close();
  against("a cold random MiB, median", quantile(times, 0.5), "ms", { max: 15 });
}

function residentMib(gateway: GatewayProcess): number {
  const [pid] = childrenOf(gateway.launcher?.pid ?? 0);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function memory(folder: string, closers: Closers): Promise<void> {
  title("P12", "32 volumes of 1 TiB");
  const gateway = await startGateway(folder, closers);
  const names = Array.from({ length: 32 }, (_, i) => `tib-${i}`);
  for (const [i, name] of names.entries()) {
    if (i % 2 === 0) await makeStored(gateway, name, "1024GiB");
    else await makeCached(gateway, name, 1024 * GIB);
  }
  await gateway.crash();
  for (const name of names) (await BlockClient.open(gateway.portal, name)).close();
  against("resident, idle", residentMib(gateway), "MiB", { max: 300 });
  let most = 0;
  const sampler = setInterval(() => {
    most = Math.max(most, residentMib(gateway));
  }, SAMPLE_EVERY_MS);
  const busy = names
    .slice(0, 8)
    .map((name) => runWorkload({ ...RANDOM_WRITES, count: 20_000 }, [urlOf(gateway, name)], []));
  await Promise.all(busy);
  clearInterval(sampler);
  against("resident at most, 8 of them written at random", most, "MiB", { max: 600 });
}

async function restartTime(folder: string, closers: Closers): Promise<void> {
  title("P13", "a start after kill -9, with volumes of 1 TiB written all over");
  const gateway = await startGateway(folder, closers);
  for (let i = 0; i < 4; i++) {
    const name = `dirty-${i}`;
    if (i % 2 === 0) await makeStored(gateway, name, "1024GiB");
    else await makeCached(gateway, name, 1024 * GIB);
    await runWorkload(
      { ...RANDOM_WRITES, count: 8_000, requestBytes: 64 * KIB + 4 * KIB },
      [urlOf(gateway, name)],
      [],
    );
  }
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    await gateway.kill();
    const startMs = systemClock.monotonicMs();
    await gateway.start();
    const client = await BlockClient.open(gateway.portal, "dirty-0");
    await client.read(0, 8);
    times.push(systemClock.monotonicMs() - startMs);
    client.close();
  }
  against("until the first read is answered, median", quantile(times, 0.5), "ms", { max: 3_000 });
}

async function openEpochs(folder: string, closers: Closers): Promise<void> {
  title("epochs", "4 KiB random writes, QD 32, with cuts waiting for a bucket that gives no answer");
  const rgw = await startRgw(join(folder, "rgw"));
  closers.push(() => stopRgw(join(folder, "rgw")));
  Object.assign(process.env, rgwEnvironment(rgw));
  const gate = await TcpGate.open(new URL(rgw.endpoint).hostname, Number(new URL(rgw.endpoint).port));
  closers.push(() => gate.close());
  const store = ["--store", `s3://${rgw.bucket}/epochs`, "--s3-endpoint", `http://127.0.0.1:${gate.port}`];
  const gateway = await startGateway(folder, closers, ...store);
  let none = Number.NaN;
  for (const count of [0, 1, 8, 32]) {
    const arn = await makeStored(gateway, `epochs-${count}`);
    const url = urlOf(gateway, `epochs-${count}`);
    await runWorkload(RANDOM_WRITES, [url], []);
    await completed(gateway, await createSnapshot(gateway, arn), SNAPSHOT_LIMIT_MS);
    gate.shut();
    const client = await BlockClient.open(gateway.portal, `epochs-${count}`);
    for (let i = 0; i < count; i++) {
      for (let at = 0; at < 64; at++)
        await client.write(((at * 37 + i) % 16_000) * 128, Buffer.alloc(4 * KIB, i));
      await createSnapshot(gateway, arn);
    }
    client.close();
    const rate = await writeRate(url);
    if (count === 0) none = rate;
    against(`${count} waiting: writes per second / none waiting`, rate / none, "x", { min: 0.6 });
    gate.reopen();
  }
}
