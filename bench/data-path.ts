/** The data path against Debian's tgt, in one run on one machine: bars P1 to P5 of the design, and flushes. */
import { type Closers, type Contender, startContenders } from "./contenders.ts";
import { against, title } from "./report.ts";
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
}

/** The contenders take turns, so that a neighbour's load hits all of them. The first round only warms up. */
async function measure(
  workload: Workload,
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, Result>> {
  const results = new Map<string, Result[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const { name, url, pids } of contenders) {
      const result = await runWorkload(workload, url, pids);
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
  process.stdout.write(`   CPU per I/O / tgt: ${(ours.cpuUs / of("tgt").cpuUs).toFixed(2)}\n`);
}
