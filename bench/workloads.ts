/** The workloads of the data path's bars and how one of them is run: with qemu-img bench, against any iSCSI URL. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Workload {
  readonly id: string;
  readonly what: string;
  readonly write: boolean;
  readonly requestBytes: number;
  readonly depth: number;
  readonly count: number;
  readonly isRandom: boolean;
  /** The least ratio to tgt as Debian ships it, and to tgt tuned. */
  readonly bar: number;
  readonly barTuned?: number;
}

const KIB = 1024;

export const WORKLOADS: readonly Workload[] = [
  workload("P1", "4 KiB random read, QD 32", false, 4, 32, 120_000, true, 2.5, 2),
  workload("P2", "4 KiB random write, QD 32", true, 4, 32, 100_000, true, 1.8, 1.5),
  workload("P3", "4 KiB random read, QD 1", false, 4, 1, 15_000, true, 1),
  workload("P3", "4 KiB random write, QD 1", true, 4, 1, 15_000, true, 1),
  workload("P4", "64 KiB sequential read, QD 32", false, 64, 32, 40_000, false, 2, 1.2),
  workload("P4", "64 KiB sequential write, QD 32", true, 64, 32, 40_000, false, 1.2, 1.1),
  workload("P4", "1 MiB sequential read, QD 8", false, 1024, 8, 6_000, false, 2, 1.2),
  workload("P4", "1 MiB sequential write, QD 8", true, 1024, 8, 4_000, false, 1.2, 1.1),
];

function workload(
  id: string,
  what: string,
  write: boolean,
  requestKib: number,
  depth: number,
  count: number,
  isRandom: boolean,
  bar: number,
  barTuned?: number,
): Workload {
  const requestBytes = requestKib * KIB;
  return { id, what, write, requestBytes, depth, count, isRandom, bar, ...(barTuned && { barTuned }) };
}

export interface Result {
  readonly ioPerSecond: number;
  /** CPU time of the target for one I/O, microseconds. */
  readonly cpuUs: number;
}

/** qemu-img bench walks by a fixed step; a large odd one visits the blocks in an order that looks random. */
const RANDOM_STEP_REQUESTS = 7919;
const LIMIT_MS = 120_000;

/** Runs the workload once against `url`; `pids` are the target's processes. */
export function runWorkload(workload: Workload, url: string, pids: readonly number[]): Result {
  const { write, requestBytes, depth, count, isRandom } = workload;
  const step = isRandom ? RANDOM_STEP_REQUESTS * requestBytes : requestBytes;
  const cpuBefore = cpuSeconds(pids);
  const args = ["bench", "-f", "raw", "-t", "none", "-c", String(count), "-d", String(depth)];
  args.push(
    "-s",
    String(requestBytes),
    "-S",
    String(step),
    ...(write ? ["-w", "--pattern", "165"] : []),
    url,
  );
  const { status, stdout, stderr } = spawnSync("qemu-img", args, { encoding: "utf8", timeout: LIMIT_MS });
  assert.equal(status, 0, `qemu-img ${args.join(" ")}: ${stderr}`);
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(stdout)?.[1]);
  assert(seconds > 0, stdout);
  return { ioPerSecond: count / seconds, cpuUs: ((cpuSeconds(pids) - cpuBefore) * 1e6) / count };
}

const TICKS_PER_SECOND = 100;

/** User and system time of the processes so far. */
function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}
