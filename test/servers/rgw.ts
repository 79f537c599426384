/**
 * A real S3 server for tests: Ceph's RADOS Gateway with one monitor and one OSD, started by hand.
 *
 * Needs Debian's ceph-mon, ceph-osd, ceph-common and radosgw; no systemd, no root, no network but the
 * loopback. Everything (configuration, data, logs, process ids) lies in one folder, so that several
 * of them can run side by side and nothing remains when the folder is removed. It keeps nothing
 * safe: one copy, no authentication between the daemons.
 */
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { freePort } from "./free-port.ts";

/** The programs without which no RADOS Gateway can be started. */
export const RGW_PROGRAMS = [
  "ceph",
  "ceph-mon",
  "ceph-osd",
  "radosgw",
  "radosgw-admin",
  "monmaptool",
] as const;

/** Where a started RADOS Gateway answers, and who may speak to it. */
export interface RunningRgw {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The process ids, written to the folder so that another process can stop what this one started. */
interface RgwState {
  readonly daemons: readonly Daemon[];
}

interface Daemon {
  readonly name: string;
  readonly pid: number;
  /** The kernel's start time of the process: a reused process id is never taken for ours. */
  readonly startTicks: string;
}

const STATE_FILE = "rgw.json";
const REGION = "us-east-1";
/** The OSD's disk is a sparse file: this is a limit, not what it takes. */
const OSD_DISK_BYTES = 24 * 2 ** 30;
const OSD_MEMORY_BYTES = 1.5 * 2 ** 30;
const COMMAND_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
const START_ATTEMPTS = 3;

/**
 * Starts the three daemons in `folder` (made where missing), makes a user and the bucket.
 *
 * On a busy machine an OSD now and then gives up at its first word with the monitor ("wrong fsid"): then all is begun
 * anew, and said.
 */
export async function startRgw(folder: string, bucket = "sluicegate-test"): Promise<RunningRgw> {
  if (existsSync(join(folder, STATE_FILE))) throw new Error(`${folder} already holds an RGW: stop it first`);
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(folder, bucket);
    } catch (error) {
      await stopRgw(folder);
      if (attempt >= START_ATTEMPTS) throw error;
      process.stderr.write(`${error instanceof Error ? error.message : error}\ntrying once more\n`);
    }
  }
}

async function startOnce(folder: string, bucket: string): Promise<RunningRgw> {
  mkdirSync(folder, { recursive: true });
  const daemons: Daemon[] = [];
  // Written after each start, so that a start which is broken off can be stopped like any other.
  const started = (daemon: Daemon) => {
    daemons.push(daemon);
    const state: RgwState = { daemons };
    writeFileSync(join(folder, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`);
  };
  try {
    const monPort = await freePort();
    const conf = writeConf(folder, monPort);
    started(startMonitor(folder, conf, monPort));
    started(await startOsd(folder, conf));
    const rgwPort = await freePort();
    const frontend = `beast endpoint=127.0.0.1:${rgwPort}`;
    started(startDaemon(folder, "radosgw", ["-c", conf, "-n", "client.rgw", "--rgw-frontends", frontend]));
    const endpoint = `http://127.0.0.1:${rgwPort}`;
    await waitFor("the RADOS Gateway to answer", daemons, async () => (await fetch(endpoint)).ok);
    const running: RunningRgw = { endpoint, region: REGION, bucket, ...createUser(conf) };
    await createBucket(running);
    return running;
  } catch (error) {
    const log = lastLines(join(folder, "radosgw.out")) || lastLines(join(folder, "ceph-osd.out"));
    await endDaemons(daemons);
    throw new Error(`the RADOS Gateway did not start in ${folder}\n${log}`, { cause: error });
  }
}

/** Ends what startRgw started in `folder`, and removes the folder. Stopping twice is no error. */
export async function stopRgw(folder: string): Promise<void> {
  const file = join(folder, STATE_FILE);
  if (existsSync(file)) {
    const state = JSON.parse(readFileSync(file, "utf8")) as RgwState;
    await endDaemons(state.daemons);
  }
  rmSync(folder, { recursive: true, force: true });
}

/** The environment variables by which the tests find a running RGW. */
export function rgwEnvironment(rgw: RunningRgw): Record<string, string> {
  return {
    SLUICEGATE_TEST_S3_ENDPOINT: rgw.endpoint,
    SLUICEGATE_TEST_S3_BUCKET: rgw.bucket,
    AWS_ACCESS_KEY_ID: rgw.accessKeyId,
    AWS_SECRET_ACCESS_KEY: rgw.secretAccessKey,
    AWS_REGION: rgw.region,
  };
}

function writeConf(folder: string, monPort: number): string {
  const settings: Record<string, string | number | boolean> = {
    fsid: randomUUID(),
    mon_host: `v1:127.0.0.1:${monPort}`,
    auth_cluster_required: "none",
    auth_service_required: "none",
    auth_client_required: "none",
    ms_bind_msgr2: false,
    public_addr: "127.0.0.1",
    run_dir: folder,
    crash_dir: join(folder, "crash"),
    admin_socket: join(folder, "$name.asok"),
    log_file: join(folder, "$name.log"),
    log_to_stderr: false,
    mon_data: join(folder, "mon"),
    osd_data: join(folder, "osd"),
    rgw_data: join(folder, "rgw"),
    osd_objectstore: "bluestore",
    bluestore_block_size: OSD_DISK_BYTES,
    osd_memory_target: OSD_MEMORY_BYTES,
    // One machine, one disk, one copy, and as few placement groups as will do.
    osd_crush_chooseleaf_type: 0,
    osd_pool_default_size: 1,
    osd_pool_default_min_size: 1,
    osd_pool_default_pg_num: 4,
    osd_pool_default_pgp_num: 4,
    osd_pool_default_pg_autoscale_mode: "off",
    rgw_rados_pool_pg_num_min: 4,
    mon_allow_pool_size_one: true,
    mon_max_pg_per_osd: 1000,
    // What only costs time in a server that lives for minutes.
    osd_scrub_begin_hour: 0,
    osd_scrub_end_hour: 1,
    rgw_enable_usage_log: false,
    rgw_enable_ops_log: false,
    rgw_thread_pool_size: 64,
  };
  for (const name of ["crash", "mon", "osd", "rgw"]) mkdirSync(join(folder, name), { recursive: true });
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  const conf = join(folder, "ceph.conf");
  writeFileSync(conf, `[global]\n${lines.join("\n")}\n`);
  return conf;
}

function startMonitor(folder: string, conf: string, monPort: number): Daemon {
  const monmap = join(folder, "monmap");
  const fsid = /^fsid = (.+)$/m.exec(readFileSync(conf, "utf8"))?.[1] ?? "";
  const addresses = `[v1:127.0.0.1:${monPort}]`;
  run("monmaptool", ["--create", "--fsid", fsid, "--addv", "a", addresses, "--clobber", monmap]);
  run("ceph-mon", ["--mkfs", "-c", conf, "-i", "a", "--monmap", monmap]);
  return startDaemon(folder, "ceph-mon", ["-c", conf, "-i", "a"]);
}

async function startOsd(folder: string, conf: string): Promise<Daemon> {
  const uuid = randomUUID();
  const id = run("ceph", ["-c", conf, "--connect-timeout", "30", "osd", "create", uuid]).trim();
  run("ceph-osd", ["--mkfs", "-c", conf, "-i", id, "--osd-uuid", uuid]);
  run("ceph", ["-c", conf, "osd", "crush", "add", `osd.${id}`, "1.0", "root=default"]);
  return startDaemon(folder, "ceph-osd", ["-c", conf, "-i", id]);
}

function createUser(conf: string): { accessKeyId: string; secretAccessKey: string } {
  // Letters and digits only: some clients stumble over "/" in keys that reach them by a URL.
  const accessKeyId = randomBytes(10).toString("hex").toUpperCase();
  const secretAccessKey = randomBytes(20).toString("hex");
  run("radosgw-admin", [
    ...["-c", conf, "-n", "client.rgw", "user", "create", "--uid", "test", "--display-name", "test"],
    ...["--access-key", accessKeyId, "--secret", secretAccessKey],
  ]);
  return { accessKeyId, secretAccessKey };
}

async function createBucket(rgw: RunningRgw): Promise<void> {
  const client = new S3Client({
    endpoint: rgw.endpoint,
    region: rgw.region,
    forcePathStyle: true,
    credentials: { accessKeyId: rgw.accessKeyId, secretAccessKey: rgw.secretAccessKey },
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: rgw.bucket }));
  } finally {
    client.destroy();
  }
}

/** Runs one of Ceph's commands to its end; anything but success is an error that shows what it said. */
function run(program: string, args: readonly string[]): string {
  const done = spawnSync(program, args, {
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    killSignal: "SIGKILL",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (done.error !== undefined) throw done.error;
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(" ")} ended with ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/**
 * Starts a daemon that outlives this process. It gets no descriptor of ours but its output file:
 * Node marks what it inherited itself as close-on-exec, so a lock that a caller holds is not kept.
 */
function startDaemon(folder: string, program: string, args: readonly string[]): Daemon {
  const output = openSync(join(folder, `${program}.out`), "a");
  const options: SpawnOptions = { detached: true, stdio: ["ignore", output, output], cwd: folder };
  const child = spawn(program, [...args, "-f"], options);
  // Without a listener a program that cannot be started would end this process; the wait below names it.
  child.on("error", () => {});
  closeSync(output);
  child.unref();
  if (child.pid === undefined) throw new Error(`${program} could not be started`);
  return { name: program, pid: child.pid, startTicks: startTicks(child.pid) ?? "" };
}

/** Field 22 of /proc/PID/stat; undefined once the process is gone (or only waits to be collected). */
function startTicks(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    // No such process.
    return undefined;
  }
}

function isAlive(daemon: Daemon): boolean {
  return startTicks(daemon.pid) === daemon.startTicks;
}

/** SIGKILL is kind enough: the data is thrown away in the next moment. */
async function endDaemons(daemons: readonly Daemon[]): Promise<void> {
  for (const daemon of [...daemons].reverse()) {
    if (isAlive(daemon)) process.kill(daemon.pid, "SIGKILL");
  }
  const deadline = performance.now() + 10_000;
  while (daemons.some(isAlive) && performance.now() < deadline) await delay(20);
}

async function waitFor(what: string, daemons: readonly Daemon[], ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const dead = daemons.find((daemon) => !isAlive(daemon));
    if (dead !== undefined) throw new Error(`${dead.name} ended while waiting for ${what}`);
    // A refused connection is what "not yet" looks like.
    if (await ask().catch(() => false)) return;
    await delay(POLL_MS);
  }
  throw new Error(`waited ${READY_TIMEOUT_MS} ms for ${what}`);
}

function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(-20).join("\n") : "";
}
