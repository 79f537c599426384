/** What `sluicegate doctor` looks for: what keeps a gateway from working, or will, each with what to do about it. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { scanDisks } from "./gateway/disks.ts";
import { type ObjectStore, StoreError } from "./objects/object-store.ts";
import { openStore } from "./objects/open-store.ts";
import { systemClock } from "./platform/clock.ts";
import type { Random } from "./platform/random.ts";
import { systemRandom } from "./platform/random.ts";
import { unfinishedImports } from "./server-import.ts";
import type { HostPort, StartOptions } from "./server-options.ts";
import { whyNotListen } from "./server-portal.ts";
import { KEY_FILE, VAULT_LOCATION_FILE, withVault } from "./server-vault-access.ts";

export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warning" | "failing";
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

const NODE_MAJOR_MIN = 24;
const FREE_SHARE_LOW = 0.05;
const SKEW_WARNING_MS = 30_000;
/** S3 refuses what was signed by a clock that is further off. */
const SKEW_FAILING_MS = 15 * 60_000;
const REQUEST_MS_MAX = 10_000;
const KEY_BYTES_MIN = 32;
const MEMORY_BYTES_MIN = 512 * 1024 ** 2;
const SECRETS = [KEY_FILE, "credentials", "token.key", "metrics-token"];

/** Carries out every check; none of them changes anything that lasts. */
export async function examine(options: StartOptions): Promise<Finding[]> {
  const dataDir = resolve(options.dataDir);
  const findings: Finding[] = [checkNode(process.versions.node), ...checkFolder(dataDir)];
  const isRunning = await answers(dataDir);
  if (!isRunning) findings.push(checkMemory(process.availableMemory()));
  findings.push(...checkKey(dataDir), ...checkDisks(dataDir, options.devices), ...checkImports(dataDir));
  if (isRunning) findings.push({ check: "ports", status: "ok", message: "the gateway is running" });
  else {
    findings.push(await checkPort("API", options.listen));
    for (const portal of options.iscsi) findings.push(await checkPort("iSCSI", portal));
  }
  findings.push(...(await checkStoreOf(options, dataDir)));
  if (options.s3Endpoint !== undefined) findings.push(await checkClock(options.s3Endpoint));
  return findings;
}

export function checkNode(version: string): Finding {
  const isGood = Number(version.split(".")[0]) >= NODE_MAJOR_MIN;
  return isGood
    ? { check: "node", status: "ok", message: `Node ${version}` }
    : {
        ...{ check: "node", status: "failing", message: `Node ${version} is too old` },
        advice: `Install Node ${NODE_MAJOR_MIN} or newer, or install the package with its optional dependencies.`,
      };
}

/** Whether there is room for a start: of the machine, or of what its container or service may have. */
export function checkMemory(availableBytes: number): Finding {
  const message = `${Math.floor(availableBytes / 1024 ** 2)} MiB of memory are free`;
  if (availableBytes >= MEMORY_BYTES_MIN) return { check: "memory", status: "ok", message };
  return {
    ...{ check: "memory", status: "warning", message },
    advice:
      "Give it 512 MiB: end other programs, or raise the limit of the container or service (MemoryMax).",
  };
}

/** The data folder: there, writable, with room, and its secrets for nobody else to read. */
export function checkFolder(dataDir: string): Finding[] {
  if (!existsSync(dataDir)) {
    return [{ check: "data folder", status: "ok", message: `${dataDir} will be made at the first start` }];
  }
  const findings: Finding[] = [];
  try {
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    findings.push({ check: "data folder", status: "ok", message: `${dataDir} can be written` });
  } catch {
    findings.push({
      ...{ check: "data folder", status: "failing", message: `${dataDir} can't be written by this user` },
      advice: "Start the gateway as the user that the folder belongs to, or give it to this one (chown).",
    });
  }
  const { bavail, blocks, bsize } = statfsSync(dataDir);
  const share = blocks === 0 ? 1 : bavail / blocks;
  findings.push(
    share < FREE_SHARE_LOW
      ? {
          ...{ check: "free space", status: "warning" },
          message: `${Math.round(100 * share)} % of the data folder's file system are free`,
          advice: "Make room, or move DATA/disks to a larger file system: a full one stops volumes.",
        }
      : {
          check: "free space",
          status: "ok",
          message: `${Math.round((bavail * bsize) / 1024 ** 3)} GiB are free`,
        },
  );
  const open = SECRETS.filter((name) => {
    const path = join(dataDir, name);
    return existsSync(path) && (statSync(path).mode & 0o077) !== 0;
  });
  if (open.length > 0) {
    findings.push({
      ...{ check: "secrets", status: "warning", message: `others can read ${open.join(", ")}` },
      advice: `chmod 600 ${open.map((name) => join(dataDir, name)).join(" ")}`,
    });
  }
  return findings;
}

/** The key file of a folder that has a vault. */
export function checkKey(dataDir: string): Finding[] {
  const path = join(dataDir, KEY_FILE);
  const hasVault = existsSync(join(dataDir, VAULT_LOCATION_FILE));
  if (!existsSync(path)) {
    if (!hasVault) return [];
    return [
      {
        ...{ check: "vault key", status: "failing", message: `${path} is gone, and there is a vault` },
        advice:
          "Put your copy of vault.key back; with a passphrase of the vault, run recover into a new folder.",
      },
    ];
  }
  if (statSync(path).size < KEY_BYTES_MIN) {
    return [
      {
        ...{ check: "vault key", status: "failing", message: `${path} is too short to be a key` },
        advice: "Put your copy of vault.key in its place.",
      },
    ];
  }
  return [{ check: "vault key", status: "ok", message: "it is there. Is there a copy of it elsewhere?" }];
}

/** Imports that have not ended: while one is only broken off, the collection of garbage waits for it. */
export function checkImports(dataDir: string): Finding[] {
  return unfinishedImports(dataDir).map(({ name, startedAtMs }) => ({
    ...{ check: "imports", status: "warning" },
    message: `the import of ${name}, begun ${new Date(startedAtMs).toISOString()}, has not ended`,
    advice:
      "If it is not running: call it again, and it goes on; or take what it has left away with --abandon.",
  }));
}

/** Local disks: those named are there, and sparse files can't outgrow what they lie on. */
export function checkDisks(dataDir: string, devices: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  for (const path of devices) {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
      findings.push({
        ...{ check: "disks", status: "failing" },
        message: isMissing ? `there is no ${path}` : `${path} can't be read and written by this user`,
        advice: isMissing
          ? "Name the device by a path that stays, such as /dev/disk/by-id/…, and see that it is plugged in."
          : `Give the user access to it, such as by the group "disk".`,
      });
    }
  }
  if (!existsSync(join(dataDir, "disks"))) return findings;
  const disks = scanDisks(dataDir, []);
  const promised = disks.reduce((sum, { sizeBytes, path }) => {
    const { blocks } = statSync(path);
    return sum + Math.max(0, sizeBytes - blocks * 512);
  }, 0);
  const { bavail, bsize } = statfsSync(join(dataDir, "disks"));
  const gib = (count: number) => `${Math.round(count / 1024 ** 3)} GiB`;
  findings.push(
    promised > bavail * bsize
      ? {
          ...{ check: "disks", status: "warning" },
          message: `${disks.length} sparse disks can still grow by ${gib(promised)}, and ${gib(bavail * bsize)} are free`,
          advice: "Make smaller disks, or make room before they fill up: a write that finds none fails.",
        }
      : { check: "disks", status: "ok", message: `${disks.length} disks have room to grow` },
  );
  return findings;
}

/** Whether a server could listen there. */
export async function checkPort(what: string, address: HostPort): Promise<Finding> {
  const check = "ports";
  const { host, port } = address;
  const problem = await whyNotListen(address);
  if (problem === undefined)
    return { check, status: "ok", message: `the ${what} can listen on ${host}:${port}` };
  const { code, advice } = problem;
  return {
    check,
    status: "failing",
    message: `the ${what} can't listen on ${host}:${port}: ${code}`,
    advice,
  };
}

async function checkStoreOf(options: StartOptions, dataDir: string): Promise<Finding[]> {
  const storeUrl = options.storeUrl === "" ? pathToFileURL(join(dataDir, "vault")).href : options.storeUrl;
  if (storeUrl.startsWith("file:") && !existsSync(dataDir)) return [];
  const hasVault = existsSync(join(dataDir, VAULT_LOCATION_FILE));
  // Before anything is opened or written there: an empty mount point is not the vault.
  if (hasVault && storeUrl.startsWith("file:") && !existsSync(join(fileURLToPath(storeUrl), "vault.json")))
    return [vaultIsAway(storeUrl)];
  let store: ObjectStore;
  const problems: string[] = [];
  try {
    store = await openStore(storeUrl, {
      ...{ clock: systemClock, random: systemRandom, onProblem: (message: string) => problems.push(message) },
      ...(options.s3Endpoint !== undefined && { s3Endpoint: options.s3Endpoint }),
      ...(options.s3Region !== undefined && { s3Region: options.s3Region }),
    });
  } catch (error) {
    return [{ check: "bucket", status: "failing", message: wordsOf(error), advice: "See --store." }];
  }
  try {
    const findings = await checkStore(store, systemRandom);
    if (hasVault && !findings.some(isFailing) && (await store.head("vault.json")) === undefined)
      return [...findings, vaultIsAway(store.name)];
    for (const message of problems) {
      findings.push({
        ...{ check: "bucket", status: "warning", message },
        advice: "Let only one gateway use this prefix, or take a server that keeps conditional writes.",
      });
    }
    if (findings.some(isFailing)) return findings;
    return [...findings, ...(await checkVault(dataDir))];
  } finally {
    await store.close();
  }
}

const isFailing = ({ status }: Finding): boolean => status === "failing";

function vaultIsAway(where: string): Finding {
  return {
    ...{ check: "vault", status: "failing", message: `this folder's vault is not at ${where}` },
    advice:
      "Is the disk mounted that it lies on, and does --store name the bucket and prefix of before? Nothing is made in its place.",
  };
}

/** Does in the bucket, with an object of its own, everything that the gateway has to be able to do there. */
export async function checkStore(store: ObjectStore, random: Random): Promise<Finding[]> {
  const key = `doctor/${random.bytes(16).toString("hex")}`;
  const body = random.bytes(64);
  const check = "bucket";
  const failing = (what: string, error: unknown): Finding[] => [
    {
      check,
      status: "failing",
      message: `${store.name}: ${what}: ${wordsOf(error)}`,
      advice: adviceFor(error),
    },
  ];
  try {
    await store.put(key, body, { ifAbsent: true });
  } catch (error) {
    return failing("an object can't be written", error);
  }
  const findings: Finding[] = [];
  try {
    if ((await store.put(key, Buffer.from("another"), { ifAbsent: true })) !== "exists") {
      findings.push({
        ...{ check, status: "failing" },
        message: `${store.name} does not keep conditional writes (If-None-Match: *)`,
        advice:
          "Two gateways could overwrite each other there. Use a server that keeps them, or see that only one gateway writes there.",
      });
    } else if (!(await store.get(key)).equals(body)) {
      findings.push({
        ...{ check, status: "failing", message: `${store.name} gives back other bytes than were written` },
        advice: "Do not use it.",
      });
    }
    let isListed = false;
    for await (const info of store.list("doctor/")) isListed ||= info.key === key;
    if (!isListed) {
      findings.push({
        ...{ check, status: "failing", message: `${store.name} does not list what was written` },
        advice: "Its listings have to be complete at once; garbage can't be collected otherwise.",
      });
    }
  } catch (error) {
    findings.push(...failing("an object can't be read back", error));
  }
  try {
    await store.delete([key]);
    if ((await store.head(key)) !== undefined) throw new Error("the object is there still");
  } catch (error) {
    findings.push({
      ...{ check, status: "warning", message: `${store.name}: objects can't be deleted: ${wordsOf(error)}` },
      advice: "Snapshots work; the space of deleted ones is not given back. Allow s3:DeleteObject for that.",
    });
  }
  if (findings.length === 0)
    findings.push({ check, status: "ok", message: `${store.name} can be written, read, listed and cleared` });
  return findings;
}

/** Whether the key in the folder opens the vault in the bucket. */
async function checkVault(dataDir: string): Promise<Finding[]> {
  if (!existsSync(join(dataDir, VAULT_LOCATION_FILE)) || !existsSync(join(dataDir, KEY_FILE))) return [];
  try {
    const id = await withVault(dataDir, async (vault) => vault.vaultId);
    return [{ check: "vault", status: "ok", message: `the key opens the vault ${id}` }];
  } catch (error) {
    return [
      {
        ...{ check: "vault", status: "failing", message: `the vault can't be opened: ${wordsOf(error)}` },
        advice: "See that --store names the bucket of this folder, and that vault.key is the vault's own.",
      },
    ];
  }
}

/** Compares this machine's clock with that of the bucket. */
export async function checkClock(endpoint: string): Promise<Finding> {
  const check = "clock";
  try {
    const askedMs = systemClock.nowMs();
    const response = await fetch(endpoint, { method: "HEAD", signal: AbortSignal.timeout(REQUEST_MS_MAX) });
    const dateMs = Date.parse(response.headers.get("date") ?? "");
    if (Number.isNaN(dateMs))
      return { check, status: "ok", message: "the bucket does not say what time it is" };
    const skewMs = Math.abs((askedMs + systemClock.nowMs()) / 2 - dateMs);
    const message = `this machine's clock and that of ${endpoint} differ by ${Math.round(skewMs / 1000)} s`;
    if (skewMs < SKEW_WARNING_MS) return { check, status: "ok", message };
    const status = skewMs < SKEW_FAILING_MS ? "warning" : "failing";
    return { check, status, message, advice: 'Let NTP set it: "timedatectl set-ntp true".' };
  } catch (error) {
    return {
      ...{ check, status: "warning", message: `${endpoint} gives no answer: ${wordsOf(error)}` },
      advice: "See that the address is right, that it can be reached from here, and its certificate.",
    };
  }
}

function adviceFor(error: unknown): string {
  const kind = error instanceof StoreError ? error.kind : undefined;
  if (kind === "denied")
    return "See AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that s3:PutObject, GetObject, ListBucket and DeleteObject are allowed.";
  if (kind === "notFound") return "Make the bucket first; the gateway does not.";
  if (kind === "unavailable")
    return "See --s3-endpoint, and that it can be reached from here: name, port, TLS, firewall.";
  return "See --store and --s3-endpoint.";
}

/** The innermost cause has the words that help. */
function wordsOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  const outer = error instanceof Error ? error.message : String(error);
  return inner instanceof Error && inner !== error && !outer.includes(inner.message)
    ? `${outer} (${inner.message || (inner as NodeJS.ErrnoException).code})`
    : outer;
}

/** Whether the gateway of the folder is running. */
async function answers(dataDir: string): Promise<boolean> {
  const file = join(dataDir, "endpoint");
  if (!existsSync(file)) return false;
  try {
    const url = new URL("/healthz", readFileSync(file, "utf8").trim());
    return (await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS_MAX) })).ok;
  } catch {
    // What is left of one that was killed.
    return false;
  }
}
