/** What the data path is measured against: Debian's tgt as shipped and tuned, beside a stored volume of the gateway. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { childrenOf, GatewayProcess } from "../test/clients/gateway.ts";
import { makeFullImage } from "../test/clients/image.ts";
import { volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import { makeStored } from "../test/e2e/volume-kit.ts";
import { startTgt } from "../test/servers/tgt.ts";

const IMAGE_MIB = 1024;
/** Volumes that each of them has, all with the same image. */
const VOLUMES = 4;

export interface Contender {
  readonly name: string;
  readonly urls: readonly string[];
  readonly pids: readonly number[];
}

/** What has to be stopped or removed at the end, last in first out. */
export type Closers = (() => Promise<void> | void)[];

/**
 * Starts all three, each with four volumes of the same image of 1 GiB. It has no holes: where there are any, qemu asks what is there, and
 * then reads nothing.
 */
export async function startContenders(folder: string, closers: Closers): Promise<Contender[]> {
  const image = join(folder, "image");
  makeFullImage(image, IMAGE_MIB, "bench");
  const contenders: Contender[] = [];
  for (const [name, tuned] of [
    ["tgt", false],
    ["tgt tuned", true],
  ] as const) {
    const paths = Array.from({ length: VOLUMES }, (_, i) => join(folder, `${name.replace(" ", "-")}-${i}`));
    // Each target writes its files itself: what the page cache is like afterwards is of its own making.
    for (const path of paths) writeFileSync(path, "");
    for (const path of paths) truncateSync(path, IMAGE_MIB * 1024 * 1024);
    const tgt = await startTgt(paths, tuned);
    closers.push(() => tgt.stop());
    contenders.push({ name, urls: tgt.urls, pids: [tgt.pid] });
  }
  const gateway = new GatewayProcess(join(folder, "data"), ["--cache-size", "1GiB"]);
  closers.push(() => gateway.kill());
  await gateway.start();
  const names = Array.from({ length: VOLUMES }, (_, i) => `bench-${i}`);
  for (const name of names) await makeStored(gateway, name);
  const pids = childrenOf(gateway.launcher?.pid ?? 0);
  contenders.push({ name: "sluicegate", urls: names.map((name) => volumeUrl(gateway.portal, name)), pids });
  for (const { urls } of contenders) for (const url of urls) await writeImage(image, url);
  return contenders;
}
