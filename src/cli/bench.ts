/** `sluicegate bench`: how fast a volume is from here, by a client that everybody has. */
import { spawnSync } from "node:child_process";
import { ClientError, UsageError } from "./failure.ts";
import { clientOf, findVolume, type GatewayChoice, nameOf, TARGET_PREFIX } from "./inventory.ts";
import { bytes, print, table } from "./output.ts";
import { clearBar, showBar } from "./progress-bar.ts";

const QUEUE_DEPTH = 32;
const PORT = 3260;
const KIB = 1024;
const TRIAL_REQUESTS = 2_000;
const REQUESTS_MAX = 2_000_000;
const LIMIT_MS = 120_000;

interface Load {
  readonly name: string;
  readonly isWrite: boolean;
  readonly lengthBytes: number;
}

interface Result extends Load {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

const LOADS: readonly Load[] = [
  { name: "read 4 KiB", isWrite: false, lengthBytes: 4 * KIB },
  { name: "read 64 KiB", isWrite: false, lengthBytes: 64 * KIB },
  { name: "read 1 MiB", isWrite: false, lengthBytes: 1024 * KIB },
  { name: "write 4 KiB", isWrite: true, lengthBytes: 4 * KIB },
  { name: "write 64 KiB", isWrite: true, lengthBytes: 64 * KIB },
];

/** Measures sequential requests, 32 at a time. Without --write nothing on the volume is changed. */
export async function bench(
  name: string,
  choice: GatewayChoice & { readonly write?: boolean; readonly seconds: string },
): Promise<void> {
  const seconds = Number(choice.seconds);
  if (!(seconds > 0 && seconds <= 60)) throw new UsageError("--seconds takes a number up to 60");
  const api = clientOf(choice);
  const volume = await findVolume(api, name);
  const { NetworkInterfaceId, NetworkInterfacePort } = volume.VolumeiSCSIAttributes;
  const portal = `${NetworkInterfaceId ?? "127.0.0.1"}:${NetworkInterfacePort ?? PORT}`;
  const url = `iscsi://${portal}/${TARGET_PREFIX}${nameOf(volume)}/0`;
  const loads = LOADS.filter(({ isWrite }) => choice.write === true || !isWrite);
  const results: Result[] = [];
  for (const [i, load] of loads.entries()) {
    showBar(load.name, i, loads.length);
    const trialS = run(url, load, TRIAL_REQUESTS);
    const count = Math.min(
      REQUESTS_MAX,
      Math.max(TRIAL_REQUESTS, Math.round((TRIAL_REQUESTS * seconds) / trialS)),
    );
    const tookS = run(url, load, count);
    const requestsPerSecond = count / tookS;
    results.push({ ...load, requestsPerSecond, bytesPerSecond: requestsPerSecond * load.lengthBytes });
  }
  clearBar();
  print(results, () =>
    table(
      ["LOAD", "REQUESTS/S", "BYTES/S"],
      results.map((each) => [
        each.name,
        each.requestsPerSecond.toFixed(0),
        `${bytes(each.bytesPerSecond)}/s`,
      ]),
      "",
    ),
  );
}

/** Seconds that so many requests took. */
function run(url: string, { isWrite, lengthBytes }: Load, count: number): number {
  const args = ["bench", "-f", "raw", "-t", "none", "-c", String(count), "-d", String(QUEUE_DEPTH)];
  args.push("-s", String(lengthBytes), ...(isWrite ? ["-w"] : []), url);
  const { status, stdout, stderr, error } = spawnSync("qemu-img", args, {
    encoding: "utf8",
    timeout: LIMIT_MS,
  });
  if (error !== undefined)
    throw new ClientError("qemu-img is needed for this (Debian: qemu-utils and qemu-block-extra)", {
      cause: error,
    });
  const took = /completed in ([\d.]+) seconds/.exec(stdout)?.[1];
  if (status !== 0 || took === undefined) throw new ClientError(`qemu-img: ${stderr.trim()}`);
  return Math.max(Number(took), 0.001);
}
