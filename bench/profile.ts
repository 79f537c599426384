/**
 * Where the data worker's time goes, and what the limit is.
 *
 *   npm run bench:profile                      P1 and P2: a table each
 *   npm run bench:profile -- --graphs FOLDER   and flame graphs (SVG) in that folder
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { childrenOf, GatewayProcess } from "../test/clients/gateway.ts";
import { makeFullImage } from "../test/clients/image.ts";
import { volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import { makeStored, until } from "../test/e2e/volume-kit.ts";
import { busySamples, type CpuProfile, flameGraph, selfShares } from "./flame.ts";
import { runFloor } from "./floor.ts";
import type { Observation } from "./observer.ts";
import { figure, title } from "./report.ts";
import { runWorkload, WORKLOADS, type Workload } from "./workloads.ts";

const IMAGE_MIB = 1024;
const ROWS = 14;
const MIB = 1024 * 1024;

const { values } = parseArgs({ options: { graphs: { type: "string" } } });
const folder = mkdtempSync(join(tmpdir(), "sg-profile-"));
try {
  for (const workload of WORKLOADS.filter(({ id }) => id === "P1" || id === "P2")) await profile(workload);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs the workload once to warm up, once as it is, and once observed; then the floor. */
async function profile(workload: Workload): Promise<void> {
  title(workload.id, workload.what);
  const own = mkdtempSync(join(folder, `${workload.id}-`));
  const seen = join(own, "seen");
  mkdirSync(seen);
  const image = join(own, "image");
  // In pieces as large as those in which the gateway writes: see WRITE_BYTES_MAX.
  makeFullImage(image, IMAGE_MIB, "profile", 64 * 1024);
  process.env.SLUICEGATE_OBSERVE = seen;
  process.env.NODE_OPTIONS = `--import ${new URL("./observer.ts", import.meta.url).href}`;
  const gateway = new GatewayProcess(join(own, "data"), ["--cache-size", "1GiB"]);
  try {
    await gateway.start();
    delete process.env.NODE_OPTIONS;
    await makeStored(gateway, "profile");
    const url = volumeUrl(gateway.portal, "profile");
    const pids = childrenOf(gateway.launcher?.pid ?? 0);
    await writeImage(image, url);
    await runWorkload(workload, [url], pids);
    const plain = await runWorkload(workload, [url], pids);
    writeFileSync(join(seen, "begin"), "");
    await runWorkload(workload, [url], pids);
    writeFileSync(join(seen, "end"), "");
    const observed = await busiest(seen);
    const cpuProfile = observed.profile as CpuProfile;
    figure("I/O per second", plain.ioPerSecond, "");
    figure("CPU per I/O", plain.cpuUs, "us");
    for (const [name, share] of selfShares(cpuProfile, ROWS)) {
      process.stdout.write(`   ${(share * 100).toFixed(1).padStart(5)} %  ${name}\n`);
    }
    const per100k = 100_000 / workload.count;
    figure("collections of garbage per 100,000 I/O", observed.collections * per100k, "");
    figure("   taking", observed.collectionMs * per100k, "ms");
    figure("   of the heap, filled per I/O", observed.allocatedBytes / workload.count, "bytes");
    if (values.graphs !== undefined) {
      mkdirSync(values.graphs, { recursive: true });
      const name = `${workload.id.toLowerCase()}.svg`;
      writeFileSync(join(values.graphs, name), flameGraph(cpuProfile, `${workload.id}: ${workload.what}`));
    }
  } finally {
    await gateway.kill();
  }
  const { write, requestBytes, depth, count } = workload;
  const work = { path: image, fileBytes: IMAGE_MIB * MIB, write, requestBytes, depth, count };
  await runFloor(work);
  const floor = await runFloor(work);
  figure("TCP over loopback and pread or pwrite alone", floor.ioPerSecond, "I/O per second");
  figure("   CPU per I/O", floor.cpuUs, "us");
}

/** What was observed of the thread that had most to do. */
async function busiest(seen: string): Promise<Observation> {
  const files = await until("the observations", async () => {
    const names = readdirSync(seen).filter((name) => name.endsWith(".json"));
    return names.length >= 3 ? names : undefined;
  });
  const all = files.map((name): Observation => JSON.parse(readFileSync(join(seen, name), "utf8")));
  const busyOf = ({ profile: each }: Observation) => busySamples(each as CpuProfile);
  return all.reduce((most, each) => (busyOf(each) > busyOf(most) ? each : most));
}
