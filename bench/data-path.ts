/**
 * The data path against Debian's tgt, in one run on one machine: bars P1 to P4 of the design.
 *
 *   npm run bench                       tgt as shipped, tgt tuned, and a stored volume of the gateway
 *   npm run bench -- --rounds 5         more rounds; the median counts
 *   npm run bench -- --only P1          only some of the workloads
 *
 * Absolute figures depend on the machine and its neighbours; the ratios are what is meant.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { childrenOf, GatewayProcess, sluicegate } from "../test/clients/gateway.ts";
import { makeImage } from "../test/clients/image.ts";
import { volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import { startTgt } from "../test/servers/tgt.ts";
import { type Result, runWorkload, WORKLOADS, type Workload } from "./workloads.ts";

const IMAGE_MIB = 1024;

interface Contender {
  readonly name: string;
  readonly url: string;
  readonly pids: readonly number[];
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const workloads = WORKLOADS.filter(({ id }) => values.only === undefined || id === values.only);
const folder = mkdtempSync(join(tmpdir(), "sg-bench-"));
const closers: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })];
try {
  const contenders = await startAll();
  for (const { url } of contenders) await writeImage(join(folder, "image"), url);
  for (const workload of workloads) print(workload, contenders, measure(workload, contenders));
} finally {
  for (const close of closers.reverse()) await close();
}

async function startAll(): Promise<Contender[]> {
  makeImage(join(folder, "image"), IMAGE_MIB, "bench");
  const contenders: Contender[] = [];
  for (const [name, tuned] of [
    ["tgt", false],
    ["tgt tuned", true],
  ] as const) {
    const path = join(folder, name.replace(" ", "-"));
    makeImage(path, IMAGE_MIB, "bench");
    const tgt = await startTgt(path, tuned);
    closers.push(() => tgt.stop());
    contenders.push({ name, url: tgt.url, pids: [tgt.pid] });
  }
  const gateway = new GatewayProcess(join(folder, "data"), ["--cache-size", "1GiB"]);
  closers.push(() => gateway.kill());
  await gateway.start();
  const made = sluicegate("disk", "create", "bench", "1GiB", "--data", gateway.dataDir);
  if (made.status !== 0) throw new Error(made.stderr);
  const { Gateways } = await gateway.boto.gateway("list_gateways");
  await gateway.boto.gateway("create_stored_iscsi_volume", {
    GatewayARN: Gateways.find((g: { GatewayType: string }) => g.GatewayType === "STORED").GatewayARN,
    DiskId: "bench",
    PreserveExistingData: false,
    TargetName: "bench",
    NetworkInterfaceId: "127.0.0.1",
  });
  const pids = childrenOf(gateway.launcher?.pid ?? 0);
  contenders.push({ name: "sluicegate", url: volumeUrl(gateway.portal, "bench"), pids });
  return contenders;
}

/** The contenders take turns, so that a neighbour's load hits all of them. The first round only warms up. */
function measure(workload: Workload, contenders: readonly Contender[]): Map<string, Result> {
  const results = new Map<string, Result[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const { name, url, pids } of contenders) {
      const result = runWorkload(workload, url, pids);
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
  process.stdout.write(`${workload.id} ${workload.what}\n`);
  for (const { name } of contenders) {
    const { ioPerSecond, cpuUs } = of(name);
    const bytes = (ioPerSecond * workload.requestBytes) / 1e6;
    process.stdout.write(
      `   ${name.padEnd(12)} ${ioPerSecond.toFixed(0).padStart(8)} I/O per s ${bytes.toFixed(0).padStart(6)} MB/s` +
        ` ${cpuUs.toFixed(1).padStart(7)} us CPU per I/O\n`,
    );
  }
  line("tgt", ours.ioPerSecond / of("tgt").ioPerSecond, workload.bar);
  if (workload.barTuned !== undefined) {
    line("tgt tuned", ours.ioPerSecond / of("tgt tuned").ioPerSecond, workload.barTuned);
  }
  process.stdout.write(`   CPU per I/O / tgt: ${(ours.cpuUs / of("tgt").cpuUs).toFixed(2)}\n`);
}

function line(peer: string, ratio: number, bar: number): void {
  process.stdout.write(
    `   sluicegate / ${peer}: ${ratio.toFixed(2)} (bar ${bar}) ${ratio >= bar ? "holds" : "MISSED"}\n`,
  );
}
