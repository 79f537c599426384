/** The data path against Debian's tgt, in one run on one machine: bars P1 to P5 of the design, flushes, and latencies. */
import { systemClock } from "../src/platform/clock.ts";
import { BlockClient } from "../test/clients/block-client.ts";
import { type Closers, type Contender, startContenders } from "./contenders.ts";
import { against, quantile, title } from "./report.ts";
import { type Result, runWorkload, type Workload } from "./workloads.ts";

/** Starts the contenders and runs the workloads against all of them, `rounds` times; the median counts. */
export async function benchDataPath(
  workloads: readonly Workload[],
  rounds: number,
  folder: string,
  closers: Closers,
): Promise<void> {
  const contenders = await startContenders(folder, closers);
  for (const workload of workloads) print(workload, contenders, await measure(workload, contenders, rounds));
  if (!workloads.some(({ id }) => id === "P3")) return;
  // tgt tuned ends connections of initiators that offer less than it was told to take.
  const compared = contenders.filter(({ name }) => name !== "tgt tuned");
  for (const write of [false, true]) await latencies(compared, write, rounds);
}

const TIMED_IOS = 10_000;
const WARM_UP_IOS = 3_000;
const SECTORS_PER_IO = 8;
const VOLUME_IOS = 256 * 1024;
const SHOWN = [0.5, 0.99, 0.999];
const P999_BAR = 1.5;

/** Times of single 4 KiB I/Os, one after the other: the contenders take turns, and all of their rounds count. */
async function latencies(contenders: readonly Contender[], write: boolean, rounds: number): Promise<void> {
  title("P3", `how long a 4 KiB random ${write ? "write" : "read"} takes, QD 1`);
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, urls } of contenders) {
      const client = await BlockClient.openUrl(urls[0] ?? "");
      const measured = await timesMs(client, write, WARM_UP_IOS + TIMED_IOS);
      times.get(name)?.push(...measured.slice(WARM_UP_IOS));
      client.close();
    }
  }
  for (const [name, all] of times) {
    const shown = SHOWN.map((part) => `p${part * 100} ${(quantile(all, part) * 1000).toFixed(0)} us`);
    process.stdout.write(`   ${name.padEnd(12)} ${shown.join(", ")}\n`);
  }
  const p999 = (name: string) => quantile(times.get(name) ?? [], 0.999);
  against("p99.9, sluicegate / tgt", p999("sluicegate") / p999("tgt"), "", { max: P999_BAR });
}

async function timesMs(client: BlockClient, write: boolean, count: number): Promise<number[]> {
  const data = Buffer.alloc(SECTORS_PER_IO * 512, 0xa5);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const sector = ((i * 7919) % VOLUME_IOS) * SECTORS_PER_IO;
    const startMs = systemClock.monotonicMs();
    await (write ? client.write(sector, data) : client.read(sector, SECTORS_PER_IO));
    times.push(systemClock.monotonicMs() - startMs);
  }
  return times;
}

/** The contenders take turns, so that a neighbour's load hits all of them. The first round only warms up. */
async function measure(
  workload: Workload,
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, Result>> {
  const results = new Map<string, Result[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const { name, urls, pids } of contenders) {
      const result = await runWorkload(workload, urls, pids);
      if (round > 0) results.set(name, [...(results.get(name) ?? []), result]);
    }
  }
  return new Map([...results].map(([name, all]) => [name, median(all)]));
}

function median(results: readonly Result[]): Result {
  const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return {
    ioPerSecond: middle(results.map(({ ioPerSecond }) => ioPerSecond)),
    cpuUs: middle(results.map(({ cpuUs }) => cpuUs)),
  };
}

function print(workload: Workload, contenders: readonly Contender[], results: Map<string, Result>): void {
  const of = (name: string): Result => results.get(name) ?? { ioPerSecond: Number.NaN, cpuUs: Number.NaN };
  const ours = of("sluicegate");
  title(workload.id, workload.what);
  for (const { name } of contenders) {
    const { ioPerSecond, cpuUs } = of(name);
    const bytes = (ioPerSecond * workload.requestBytes) / 1e6;
    process.stdout.write(
      `   ${name.padEnd(12)} ${ioPerSecond.toFixed(0).padStart(8)} I/O per s ${bytes.toFixed(0).padStart(6)} MB/s` +
        ` ${cpuUs.toFixed(1).padStart(7)} us CPU per I/O\n`,
    );
  }
  const { bar = 1, barTuned } = workload;
  against("sluicegate / tgt", ours.ioPerSecond / of("tgt").ioPerSecond, "", { min: bar });
  if (barTuned !== undefined) {
    against("sluicegate / tgt tuned", ours.ioPerSecond / of("tgt tuned").ioPerSecond, "", { min: barTuned });
  }
  const cpu = ours.cpuUs / of("tgt").cpuUs;
  if (workload.barCpu === undefined) process.stdout.write(`   CPU per I/O / tgt: ${cpu.toFixed(2)}\n`);
  else against("CPU per I/O / tgt", cpu, "", { max: workload.barCpu });
}
