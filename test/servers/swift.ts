/**
 * Another real S3 server for tests, with other quirks: OpenStack Swift behind its S3 interface, one server of each kind
 * and one copy. It knows no conditional writes.
 *
 * Needs Debian's swift-proxy, swift-account, swift-container, swift-object and memcached. Everything lies in one folder, which has
 * to be on a file system with extended attributes.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, endDaemons, lastLines, run, startDaemon, waitFor } from "./daemons.ts";
import { freePort } from "./free-port.ts";
import { createBucket, type RunningS3 } from "./s3-server.ts";

export const SWIFT_PROGRAMS = [
  "swift-proxy-server",
  "swift-account-server",
  "swift-container-server",
  "swift-object-server",
  "swift-ring-builder",
  "memcached",
] as const;

const KINDS = ["account", "container", "object"] as const;
const USER = { accessKeyId: "test:tester", secretAccessKey: "testing" } as const;
const REGION = "us-east-1";
const PARTITION_POWER = 4;
const STATE_FILE = "swift.json";

/** Starts the four servers in `folder` (made where missing) and makes the bucket. */
export async function startSwift(folder: string, bucket = "sluicegate-test"): Promise<RunningS3> {
  mkdirSync(join(folder, "devices", "d1"), { recursive: true });
  const daemons: Daemon[] = [];
  const started = (daemon: Daemon) => {
    daemons.push(daemon);
    writeFileSync(join(folder, STATE_FILE), JSON.stringify(daemons));
  };
  try {
    for (const kind of KINDS) {
      const port = await freePort();
      buildRing(folder, kind, port);
      const conf = writeConf(folder, kind, port, {
        pipeline: `${kind}-server`,
        apps: { [`${kind}-server`]: {} },
        devices: join(folder, "devices"),
      });
      started(startDaemon(folder, `swift-${kind}-server`, [conf, "-v"]));
    }
    // The proxy's test users are kept there.
    const cachePort = await freePort();
    const user = process.getuid?.() === 0 ? ["-u", "root"] : [];
    started(
      startDaemon(folder, "memcached", ["-l", "127.0.0.1", "-p", String(cachePort), "-U", "0", ...user]),
    );
    const port = await freePort();
    const conf = writeConf(folder, "proxy", port, {
      pipeline: "catch_errors gatekeeper cache listing_formats s3api tempauth slo dlo proxy-server",
      apps: { "proxy-server": { account_autocreate: true } },
      filters: {
        catch_errors: {},
        gatekeeper: {},
        cache: { use: "egg:swift#memcache", memcache_servers: `127.0.0.1:${cachePort}` },
        listing_formats: {},
        s3api: { location: REGION },
        tempauth: { user_test_tester: `${USER.secretAccessKey} .admin` },
        slo: {},
        dlo: {},
      },
    });
    started(startDaemon(folder, "swift-proxy-server", [conf, "-v"]));
    const endpoint = `http://127.0.0.1:${port}`;
    const running: RunningS3 = { endpoint, region: REGION, bucket, ...USER };
    await waitFor("Swift to answer", daemons, async () => (await fetch(endpoint)).status < 500);
    await waitFor("Swift to make a bucket", daemons, async () => {
      await createBucket(running);
      return true;
    });
    return running;
  } catch (error) {
    const log = lastLines(join(folder, "swift-proxy-server.out"));
    await endDaemons(daemons);
    throw new Error(`Swift did not start in ${folder}\n${log}`, { cause: error });
  }
}

/** Ends what startSwift started in `folder`, and removes the folder. */
export async function stopSwift(folder: string): Promise<void> {
  const file = join(folder, STATE_FILE);
  if (existsSync(file)) await endDaemons(JSON.parse(readFileSync(file, "utf8")) as Daemon[]);
  rmSync(folder, { recursive: true, force: true });
}

function buildRing(folder: string, kind: string, port: number): void {
  const builder = join(folder, `${kind}.builder`);
  run("swift-ring-builder", [builder, "create", String(PARTITION_POWER), "1", "0"]);
  run("swift-ring-builder", [builder, "add", `r1z1-127.0.0.1:${port}/d1`, "1"]);
  run("swift-ring-builder", [builder, "rebalance"]);
}

type Section = Readonly<Record<string, string | number | boolean>>;

function writeConf(
  folder: string,
  kind: string,
  port: number,
  parts: {
    readonly pipeline: string;
    readonly apps: Readonly<Record<string, Section>>;
    readonly filters?: Readonly<Record<string, Section>>;
    readonly devices?: string;
  },
): string {
  const sections: Record<string, Section> = {
    DEFAULT: {
      bind_ip: "127.0.0.1",
      bind_port: port,
      swift_dir: folder,
      user: process.env.USER ?? "root",
      // One process each: what is killed is all there is.
      workers: 0,
      log_name: kind,
      log_address: join(folder, "no-syslog"),
      ...(parts.devices !== undefined && {
        devices: parts.devices,
        mount_check: false,
        disable_fallocate: true,
      }),
    },
    "pipeline:main": { pipeline: parts.pipeline },
  };
  for (const [name, settings] of Object.entries(parts.apps))
    sections[`app:${name}`] = { use: `egg:swift#${name.replace("-server", "")}`, ...settings };
  for (const [name, settings] of Object.entries(parts.filters ?? {}))
    sections[`filter:${name}`] = { use: `egg:swift#${name}`, ...settings };
  const text = Object.entries(sections).map(([name, settings]) => {
    const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}`);
    return `[${name}]\n${lines.join("\n")}\n`;
  });
  const conf = join(folder, `${kind}-server.conf`);
  writeFileSync(conf, text.join("\n"));
  if (!existsSync(join(folder, "swift.conf")))
    writeFileSync(
      join(folder, "swift.conf"),
      "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n",
    );
  return conf;
}
