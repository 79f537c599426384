/**
 * A real S3 server for tests: Ceph's RADOS Gateway with one monitor and one OSD, started by hand.
 *
 * Needs Debian's ceph-mon, ceph-osd, ceph-common and radosgw; no systemd, no root, no network but the
 * loopback. Everything (configuration, data, logs, process ids) lies in one folder, so that several
 * of them can run side by side and nothing remains when the folder is removed. It keeps nothing
 * safe: one copy, no authentication between the daemons.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, endDaemons, lastLines, run, startDaemon, waitFor } from "./daemons.ts";
import { freePort } from "./free-port.ts";
import { createBucket, type RunningS3 } from "./s3-server.ts";

/** The programs without which no RADOS Gateway can be started. */
export const RGW_PROGRAMS = [
  "ceph",
  "ceph-mon",
  "ceph-osd",
  "radosgw",
  "radosgw-admin",
  "monmaptool",
] as const;

/** The process ids, written to the folder so that another process can stop what this one started. */
interface RgwState {
  readonly daemons: readonly Daemon[];
}

const STATE_FILE = "rgw.json";
const REGION = "us-east-1";
/** The OSD's disk is a sparse file: this is a limit, not what it takes. */
const OSD_DISK_BYTES = 24 * 2 ** 30;
const OSD_MEMORY_BYTES = 1.5 * 2 ** 30;
const START_ATTEMPTS = 3;

/**
 * Starts the three daemons in `folder` (made where missing), makes a user and the bucket.
 *
 * On a busy machine an OSD now and then gives up at its first word with the monitor ("wrong fsid"): then all is begun
 * anew, and said.
 */
export async function startRgw(folder: string, bucket = "sluicegate-test"): Promise<RunningS3> {
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

async function startOnce(folder: string, bucket: string): Promise<RunningS3> {
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
    started(
      startDaemon(folder, "radosgw", ["-f", "-c", conf, "-n", "client.rgw", "--rgw-frontends", frontend]),
    );
    const endpoint = `http://127.0.0.1:${rgwPort}`;
    await waitFor("the RADOS Gateway to answer", daemons, async () => (await fetch(endpoint)).ok);
    const running: RunningS3 = { endpoint, region: REGION, bucket, ...createUser(conf) };
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
export function rgwEnvironment(rgw: RunningS3): Record<string, string> {
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
  return startDaemon(folder, "ceph-mon", ["-f", "-c", conf, "-i", "a"]);
}

async function startOsd(folder: string, conf: string): Promise<Daemon> {
  const uuid = randomUUID();
  const id = run("ceph", ["-c", conf, "--connect-timeout", "30", "osd", "create", uuid]).trim();
  run("ceph-osd", ["--mkfs", "-c", conf, "-i", id, "--osd-uuid", uuid]);
  run("ceph", ["-c", conf, "osd", "crush", "add", `osd.${id}`, "1.0", "root=default"]);
  return startDaemon(folder, "ceph-osd", ["-f", "-c", conf, "-i", id]);
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
