/**
 * The vault's bars, against restic on the same S3 server in the same run: P9, P10 and P11.
 *
 *   npm run bench:vault                 a seeded image of 4 GiB, then 1 % of it overwritten by random 4 KiB writes
 *   npm run bench:vault -- --gib 1      a smaller one
 *
 * Needs restic (Debian: restic) beside what `npm run bench` needs. Absolute figures depend on the machine and its
 * neighbours; the ratios are what is meant.
 */
import { spawnSync } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { systemClock } from "../src/platform/clock.ts";
import { BlockClient } from "../test/clients/block-client.ts";
import { childrenOf, GatewayProcess } from "../test/clients/gateway.ts";
import {
  completed,
  createSnapshot,
  GIB,
  makeCached,
  makeStored,
  statusOf,
  until,
} from "../test/e2e/volume-kit.ts";
import { SeededRandom } from "../test/kit/seeded-random.ts";
import { rgwEnvironment, startRgw, stopRgw } from "../test/servers/rgw.ts";
import type { RunningS3 } from "../test/servers/s3-server.ts";
import { against, figure, quantile, title } from "./report.ts";

const MIB = 1024 ** 2;
const SECTOR = 512;
const LIMIT_MS = 600_000;
const COLD_READS = 60;
const RESTORE_REQUESTS_PER_GIB_MAX = 100;
/** Clock ticks of /proc in a second. */
const TICKS_PER_SECOND = 100;

const { values } = parseArgs({ options: { gib: { type: "string", default: "4" } } });
const gib = Number(values.gib);

interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly memoryMib: number;
  readonly sentMib: number;
  readonly requests: number;
}

interface Ours {
  readonly costs: readonly [Cost, Cost, Cost];
  readonly firstMibMs: number;
  readonly coldMibMs: readonly number[];
}

if (spawnSync("restic", ["version"]).status !== 0) {
  process.stderr.write("missing: restic (Debian: apt-get install restic)\n");
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "sg-bench-vault-"));
const closers: (() => void | Promise<void>)[] = [() => rmSync(folder, { recursive: true, force: true })];
async function bench(): Promise<void> {
  const rgwFolder = join(folder, "rgw");
  const rgw = await startRgw(rgwFolder);
  closers.push(() => stopRgw(rgwFolder));
  Object.assign(process.env, rgwEnvironment(rgw));
  const server = new Server(rgw, rgwFolder);
  const image = join(folder, "image");
  makeImage(image);
  const changes = changesOf();
  const ours = await ourCosts(rgw, server, image, changes);
  applyChanges(image, changes, 0);
  const theirs = resticCosts(rgw, server, image, changes);
  const [first, second, restore] = ours.costs;
  const peer = await theirs;
  const changedMib = (changes.length * 4096) / MIB;
  title("P9", `the first snapshot of ${gib} GiB`);
  print(first, peer[0]);
  against("wall / restic's", first.seconds / peer[0].seconds, "x", { max: 0.6 });
  against("CPU / restic's", first.cpuSeconds / peer[0].cpuSeconds, "x", { max: 0.4 });
  against("bytes / restic's", first.sentMib / peer[0].sentMib, "x", { max: 1.05 });
  title("P10", `the second one, after ${changes.length} random writes of 4 KiB`);
  print(second, peer[1]);
  against("wall / restic's", second.seconds / peer[1].seconds, "x", { max: 0.1 });
  against("bytes into the bucket / bytes changed", second.sentMib / changedMib, "x", { max: 0.85 });
  against("requests per GiB of volume", second.requests / gib, "", { max: 3 });
  title("P11", "all of it restored");
  print(restore, peer[2]);
  against("wall / restic's", restore.seconds / peer[2].seconds, "x", { max: 0.7 });
  against("requests per GiB of volume", restore.requests / gib, "", { max: RESTORE_REQUESTS_PER_GIB_MAX });
  against("from the call to the first MiB, while all of it comes", ours.firstMibMs, "ms", { max: 1_000 });
  against("a cold random MiB, median", quantile(ours.coldMibMs, 0.5), "ms", { max: 15 });
  figure("a cold random MiB, slowest of ten", quantile(ours.coldMibMs, 0.9), "ms");
}

function print(ours: Cost, theirs: Cost): void {
  for (const [who, cost] of [
    ["Sluicegate", ours],
    ["restic", theirs],
  ] as const) {
    figure(`${who}: wall`, cost.seconds, "s");
    figure(`${who}: CPU`, cost.cpuSeconds, "s");
    figure(`${who}: memory at most`, cost.memoryMib, "MiB");
    figure(`${who}: stored in the bucket`, cost.sentMib, "MiB");
    figure(`${who}: requests`, cost.requests, "");
  }
}

/** What the S3 server has seen. */
class Server {
  readonly #rgw: RunningS3;
  readonly #socket: string;

  constructor(rgw: RunningS3, rgwFolder: string) {
    this.#rgw = rgw;
    this.#socket = join(rgwFolder, "client.rgw.asok");
  }

  requests(): number {
    const { stdout } = spawnSync("ceph", ["--admin-daemon", this.#socket, "perf", "dump"], {
      encoding: "utf8",
    });
    return (JSON.parse(stdout) as { rgw: { req: number } }).rgw.req;
  }

  async storedBytes(prefix: string): Promise<number> {
    const { endpoint, region, bucket } = this.#rgw;
    const client = new S3Client({ endpoint, region, forcePathStyle: true });
    let bytes = 0;
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
      );
      for (const { Size } of page.Contents ?? []) bytes += Size ?? 0;
      token = page.NextContinuationToken;
    } while (token !== undefined);
    client.destroy();
    return bytes;
  }
}

/** 40 % zeros, 40 % what compresses to about a half, 20 % random, in stretches of 1 MiB. */
function makeImage(path: string): void {
  const cipher = createCipheriv(
    "aes-256-ctr",
    createHash("sha256").update("bench").digest(),
    Buffer.alloc(16),
  );
  const zeros = Buffer.alloc(MIB);
  const fd = openSync(path, "w");
  for (let i = 0; i < gib * 1024; i++) {
    const kind = i % 5;
    const random = cipher.update(zeros);
    if (kind === 4) writeSync(fd, random, 0, MIB, i * MIB);
    else if (kind >= 2)
      writeSync(fd, Buffer.from(random.toString("hex").slice(0, MIB), "latin1"), 0, MIB, i * MIB);
  }
  writeSync(fd, zeros, 0, 1, gib * GIB - 1);
  closeSync(fd);
}

interface Change {
  readonly sector: number;
  readonly content: Buffer;
}

/** 1 % of the image: half of it random, half of what compresses. */
function changesOf(): Change[] {
  const random = new SeededRandom(17);
  const pieces = (gib * GIB) / 4096;
  return Array.from({ length: Math.round(pieces / 100) }, (_, i) => {
    const bytes = random.bytes(4096);
    const content = i % 2 === 0 ? bytes : Buffer.from(bytes.toString("hex").slice(0, 4096), "latin1");
    return { sector: random.below(pieces) * 8, content };
  });
}

function applyChanges(path: string, changes: readonly Change[], from: number): void {
  const fd = openSync(path, "r+");
  for (const { sector, content } of changes.slice(from))
    writeSync(fd, content, 0, content.length, sector * 512);
  closeSync(fd);
}

async function ourCosts(
  rgw: RunningS3,
  server: Server,
  image: string,
  changes: readonly Change[],
): Promise<Ours> {
  const store = ["--store", `s3://${rgw.bucket}/ours`, "--s3-endpoint", rgw.endpoint];
  const sizes = ["--cache-size", "1GiB", "--upload-buffer-size", "2GiB"];
  const gateway = new GatewayProcess(join(folder, "data"), [...store, ...sizes]);
  closers.push(() => gateway.kill());
  await gateway.start();
  const arn = await makeStored(gateway, "disk", `${gib}GiB`, { PreserveExistingData: true });
  // The image comes in where it lies: reading and writing it through iSCSI is not what is measured here.
  spawnSync("dd", [
    `if=${image}`,
    `of=${join(gateway.dataDir, "disks", "disk")}`,
    "bs=1M",
    "conv=notrunc,sparse",
  ]);
  spawnSync("sync");
  const meter = new ProcessMeter(gateway);
  const measured = async (action: () => Promise<void>): Promise<Cost> => {
    const [requests, stored] = [server.requests(), await server.storedBytes("ours/")];
    const cost = await meter.measure(action);
    return {
      ...cost,
      requests: server.requests() - requests,
      sentMib: ((await server.storedBytes("ours/")) - stored) / MIB,
    };
  };
  let snapshotId = "";
  const snapshot = async () => {
    snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId, LIMIT_MS);
  };
  const first = await measured(snapshot);
  const client = await BlockClient.open(gateway.portal, "disk");
  for (const { sector, content } of changes) await client.write(sector, content);
  client.close();
  const second = await measured(snapshot);
  let firstMibMs = 0;
  const restore = await measured(async () => {
    const startMs = systemClock.monotonicMs();
    const restored = await makeStored(gateway, "restored", `${gib}GiB`, { SnapshotId: snapshotId });
    const reader = await BlockClient.open(gateway.portal, "restored");
    await reader.read((3 * MIB) / SECTOR, MIB / SECTOR);
    firstMibMs = systemClock.monotonicMs() - startMs;
    reader.close();
    await until(
      "hydrated",
      async () => ((await statusOf(gateway, restored)) === "AVAILABLE" ? true : undefined),
      LIMIT_MS,
    );
  });
  const coldMibMs = await coldReads(gateway, snapshotId);
  await gateway.stop();
  return { costs: [first, second, restore], firstMibMs, coldMibMs };
}

/** Times of random reads of a MiB. A cached volume fetches nothing by itself: each of them is a miss. */
async function coldReads(gateway: GatewayProcess, SnapshotId: string): Promise<number[]> {
  await makeCached(gateway, "cold", gib * GIB, { SnapshotId });
  const client = await BlockClient.open(gateway.portal, "cold");
  const times: number[] = [];
  for (let i = 0; times.length < COLD_READS; i++) {
    const mib = (i * 389) % (gib * 1024);
    // Zeros are not fetched: see makeImage.
    if (mib % 5 < 2) continue;
    const startMs = systemClock.monotonicMs();
    await client.read((mib * MIB) / SECTOR, MIB / SECTOR);
    times.push(systemClock.monotonicMs() - startMs);
  }
  client.close();
  return times;
}

/** CPU time and memory of the gateway's process. */
class ProcessMeter {
  readonly #pid: number;

  constructor(gateway: GatewayProcess) {
    this.#pid = childrenOf(gateway.launcher?.pid ?? 0)[0] ?? 0;
  }

  async measure(action: () => Promise<void>): Promise<Pick<Cost, "seconds" | "cpuSeconds" | "memoryMib">> {
    // Begins the high-water mark of its memory anew.
    writeFileSync(`/proc/${this.#pid}/clear_refs`, "5");
    const [cpu, startMs] = [this.#cpuSeconds(), systemClock.monotonicMs()];
    await action();
    const seconds = (systemClock.monotonicMs() - startMs) / 1000;
    const status = readFileSync(`/proc/${this.#pid}/status`, "utf8");
    const memoryMib = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
    return { seconds, cpuSeconds: this.#cpuSeconds() - cpu, memoryMib };
  }

  #cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }
}

async function resticCosts(
  rgw: RunningS3,
  server: Server,
  image: string,
  changes: readonly Change[],
): Promise<[Cost, Cost, Cost]> {
  const source = join(folder, "source");
  mkdirSync(source);
  const before = join(source, "disk");
  makeImage(before);
  const repository = `s3:${rgw.endpoint}/${rgw.bucket}/theirs`;
  const env = { ...process.env, RESTIC_PASSWORD: "bench", RESTIC_REPOSITORY: repository, HOME: folder };
  const run = async (...args: string[]): Promise<Cost> => {
    const [requests, stored] = [server.requests(), await server.storedBytes("theirs/")];
    const startMs = systemClock.monotonicMs();
    const usage = spawnSync("/usr/bin/python3", ["-c", MEASURE, "restic", "--quiet", ...args], {
      env,
      encoding: "utf8",
    });
    const seconds = (systemClock.monotonicMs() - startMs) / 1000;
    if (usage.status !== 0) throw new Error(`restic ${args.join(" ")}: ${usage.stderr}`);
    const [cpuSeconds = 0, memoryKib = 0] = (usage.stdout.trim().split("\n").at(-1) ?? "")
      .split(" ")
      .map(Number);
    return {
      seconds,
      cpuSeconds,
      memoryMib: memoryKib / 1024,
      requests: server.requests() - requests,
      sentMib: ((await server.storedBytes("theirs/")) - stored) / MIB,
    };
  };
  await run("init");
  const first = await run("backup", source);
  copyFileSync(image, before);
  if (changes.length === 0) throw new Error("nothing has changed");
  const second = await run("backup", source);
  rmSync(source, { recursive: true });
  const restore = await run("restore", "latest", "--target", join(folder, "restored"));
  return [first, second, restore];
}

/** Runs a program and prints its CPU seconds and its largest memory in KiB. */
const MEASURE = `
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(done.returncode)
`;

try {
  await bench();
} finally {
  for (const close of closers.reverse()) await close();
}
