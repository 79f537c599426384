/** Fairness: what one initiator's deep queue of large writes does to another's small reads. */
import { join } from "node:path";
import { systemClock } from "../src/platform/clock.ts";
import { BlockClient } from "../test/clients/block-client.ts";
import { GatewayProcess } from "../test/clients/gateway.ts";
import { makeFullImage } from "../test/clients/image.ts";
import { volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import { makeStored } from "../test/e2e/volume-kit.ts";
import type { Closers } from "./contenders.ts";
import { against, figure, quantile, title } from "./report.ts";
import { runWorkload, type Workload } from "./workloads.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const IMAGE_MIB = 512;
const READS = 10_000;
const WARM_UP_READS = 3_000;
/** The 99th percentile of reads beside writes, of what it is on an idle gateway. */
const BAR = 10;

const LARGE_WRITES: Workload = {
  id: "fairness",
  what: "1 MiB sequential write, QD 32",
  write: true,
  requestBytes: MIB,
  depth: 32,
  count: 1_000,
  isRandom: false,
};

/** Reads by one session, alone and beside another session's writes: to another volume, and to the same one. */
export async function benchFairness(folder: string, closers: Closers): Promise<void> {
  title("fairness", "4 KiB random reads, QD 1, beside another session's 1 MiB writes, QD 32, against idle");
  const gateway = new GatewayProcess(join(folder, "data"), ["--cache-size", "1GiB"]);
  closers.push(() => gateway.kill());
  await gateway.start();
  const image = join(folder, "image");
  makeFullImage(image, IMAGE_MIB, "fairness");
  for (const name of ["reads", "writes"]) {
    await makeStored(gateway, name);
    await writeImage(image, volumeUrl(gateway.portal, name));
  }
  const client = await BlockClient.open(gateway.portal, "reads");
  await readTimesMs(client, WARM_UP_READS);
  const idleMs = quantile(await readTimesMs(client, READS), 0.99);
  figure("idle p99", idleMs, "ms");
  for (const [what, name] of [
    ["another volume", "writes"],
    ["the same volume", "reads"],
  ] as const) {
    const writer = startWriting(volumeUrl(gateway.portal, name));
    await readTimesMs(client, WARM_UP_READS);
    const times = await readTimesMs(client, READS);
    const mibPerSecond = await writer.stop();
    figure(`writes to ${what}`, mibPerSecond, "MiB/s");
    figure("   reads beside them, median", quantile(times, 0.5), "ms");
    figure("   reads beside them, p99", quantile(times, 0.99), "ms");
    figure("   reads beside them, slowest", quantile(times, 1), "ms");
    against("   p99, beside / idle", quantile(times, 0.99) / idleMs, "x", { max: BAR });
  }
  client.close();
}

/** Times of single 4 KiB reads, one after the other. */
async function readTimesMs(client: BlockClient, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const sector = ((i * 7919) % (IMAGE_MIB * 256)) * 8;
    const startMs = systemClock.monotonicMs();
    await client.read(sector, 8);
    times.push(systemClock.monotonicMs() - startMs);
  }
  return times;
}

/** Writes again and again until it is stopped; answers how fast. */
function startWriting(url: string): { stop(): Promise<number> } {
  let isWanted = true;
  const run = async () => {
    const rates: number[] = [];
    while (isWanted) rates.push((await runWorkload(LARGE_WRITES, [url], [])).ioPerSecond);
    return quantile(rates, 0.5);
  };
  const done = run();
  return {
    stop: () => {
      isWanted = false;
      return done;
    },
  };
}
