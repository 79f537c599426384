/** The workloads of the data path's bars and how one of them is run: with qemu-img bench, against any iSCSI URL. */
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { run } from "../test/clients/iscsi.ts";

export interface Workload {
  readonly id: string;
  readonly what: string;
  readonly write: boolean;
  readonly requestBytes: number;
  readonly depth: number;
  readonly count: number;
  readonly isRandom: boolean;
  /** Each write is followed by SYNCHRONIZE CACHE. */
  readonly isFlushed?: boolean;
  /** Initiators at a time, each with its own part of the `count` requests. */
  readonly clients?: number;
  /** Each of them has a volume of its own. */
  readonly hasOwnVolumes?: boolean;
  /** The page cache is dropped first. */
  readonly isCold?: boolean;
  /** The least ratio to tgt as Debian ships it, and to tgt tuned. */
  readonly bar?: number;
  readonly barTuned?: number;
  /** The most CPU time of an I/O, of tgt's: bar P3b. */
  readonly barCpu?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SMALL = { requestBytes: 4 * KIB, isRandom: true };
const LARGE = { requestBytes: MIB, isRandom: false, depth: 8 };
const FLUSHED = { ...SMALL, write: true, depth: 1, isFlushed: true };

export const WORKLOADS: readonly Workload[] = [
  {
    id: "P1",
    what: "4 KiB random read, QD 32",
    ...SMALL,
    write: false,
    depth: 32,
    count: 120_000,
    bar: 2.5,
    barTuned: 2,
    barCpu: 0.4,
  },
  {
    id: "P2",
    what: "4 KiB random write, QD 32",
    ...SMALL,
    write: true,
    depth: 32,
    count: 100_000,
    bar: 1.8,
    barTuned: 1.5,
    barCpu: 0.4,
  },
  { id: "P3", what: "4 KiB random read, QD 1", ...SMALL, write: false, depth: 1, count: 15_000, bar: 1 },
  { id: "P3", what: "4 KiB random write, QD 1", ...SMALL, write: true, depth: 1, count: 15_000, bar: 1 },
  {
    id: "P4",
    what: "64 KiB sequential read, QD 32",
    requestBytes: 64 * KIB,
    isRandom: false,
    write: false,
    depth: 32,
    count: 40_000,
    bar: 2,
    barTuned: 1.2,
  },
  {
    id: "P4",
    what: "64 KiB sequential write, QD 32",
    requestBytes: 64 * KIB,
    isRandom: false,
    write: true,
    depth: 32,
    count: 40_000,
    bar: 1.2,
    barTuned: 1.1,
  },
  {
    id: "P4",
    what: "1 MiB sequential read, QD 8",
    ...LARGE,
    write: false,
    count: 6_000,
    bar: 2,
    barTuned: 1.2,
  },
  {
    id: "P4",
    what: "1 MiB sequential write, QD 8",
    ...LARGE,
    write: true,
    count: 4_000,
    bar: 1.2,
    barTuned: 1.1,
  },
  {
    id: "P5",
    what: "4 KiB random read, QD 32, cold",
    ...SMALL,
    write: false,
    depth: 32,
    count: 20_000,
    isCold: true,
    bar: 1,
  },
  ...[false, true].flatMap((hasOwnVolumes) => {
    const where = hasOwnVolumes ? "each to a volume of its own" : "all to one volume";
    const common = { ...SMALL, id: "sessions", depth: 16, clients: 4, hasOwnVolumes, count: 100_000 };
    return [
      { ...common, what: `4 KiB random read, 4 sessions, QD 16, ${where}`, write: false, bar: 1.7 },
      { ...common, what: `4 KiB random write, 4 sessions, QD 16, ${where}`, write: true, bar: 1.4 },
    ];
  }),
  { id: "flush", what: "4 KiB random write, each flushed, 1 client", ...FLUSHED, count: 2_000 },
  { id: "flush", what: "4 KiB random write, each flushed, 4 clients", ...FLUSHED, count: 4_000, clients: 4 },
  {
    id: "flush",
    what: "4 KiB random write, each flushed, 16 clients",
    ...FLUSHED,
    count: 8_000,
    clients: 16,
  },
];

export interface Result {
  readonly ioPerSecond: number;
  /** CPU time of the target for one I/O, microseconds. */
  readonly cpuUs: number;
}

/** qemu-img bench walks by a fixed step; a large odd one visits the blocks in an order that looks random. */
const RANDOM_STEP_REQUESTS = 7919;

/** Runs the workload once against the volumes at `urls`; `pids` are the target's processes. */
export async function runWorkload(
  workload: Workload,
  urls: readonly string[],
  pids: readonly number[],
): Promise<Result> {
  const { count, clients = 1, hasOwnVolumes = false, isCold = false } = workload;
  if (isCold) writeFileSync("/proc/sys/vm/drop_caches", "1");
  const cpuBefore = cpuSeconds(pids);
  const runs = Array.from({ length: clients }, (_, i) => {
    const url = urls[hasOwnVolumes ? i : 0];
    assert(url !== undefined);
    return runClient(workload, url, i, clients);
  });
  const seconds = Math.max(...(await Promise.all(runs)));
  return { ioPerSecond: count / seconds, cpuUs: ((cpuSeconds(pids) - cpuBefore) * 1e6) / count };
}

/** One initiator of several; how many seconds its part took. */
async function runClient(workload: Workload, url: string, index: number, clients: number): Promise<number> {
  const { write, requestBytes, depth, count, isRandom, isFlushed = false } = workload;
  const step = isRandom ? RANDOM_STEP_REQUESTS * requestBytes : requestBytes;
  const numbers = { c: Math.floor(count / clients), d: depth, s: requestBytes, S: step, o: index * MIB };
  const args = ["bench", "-f", "raw", "-t", "none"];
  for (const [flag, value] of Object.entries(numbers)) args.push(`-${flag}`, String(value));
  if (write) args.push("-w", "--pattern", "165");
  if (isFlushed) args.push("--flush-interval", "1");
  const { status, output } = await run("qemu-img", [...args, url]);
  assert.equal(status, 0, `qemu-img ${args.join(" ")}: ${output}`);
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(output)?.[1]);
  assert(seconds > 0, output);
  return seconds;
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
