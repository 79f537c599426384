/** What the data path is measured against: Debian's tgt as shipped and tuned, beside a stored volume of the gateway. */
import { join } from "node:path";
import { childrenOf, GatewayProcess } from "../test/clients/gateway.ts";
import { makeFullImage } from "../test/clients/image.ts";
import { volumeUrl, writeImage } from "../test/clients/iscsi.ts";
import { makeStored } from "../test/e2e/volume-kit.ts";
import { startTgt } from "../test/servers/tgt.ts";

const IMAGE_MIB = 1024;

export interface Contender {
  readonly name: string;
  readonly url: string;
  readonly pids: readonly number[];
}

/** What has to be stopped or removed at the end, last in first out. */
export type Closers = (() => Promise<void> | void)[];

/**
 * Starts all three, each with the same image of 1 GiB. It has no holes: where there are any, qemu asks what is there, and
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
    const path = join(folder, name.replace(" ", "-"));
    makeFullImage(path, IMAGE_MIB, "bench");
    const tgt = await startTgt(path, tuned);
    closers.push(() => tgt.stop());
    contenders.push({ name, url: tgt.url, pids: [tgt.pid] });
  }
  const gateway = new GatewayProcess(join(folder, "data"), ["--cache-size", "1GiB"]);
  closers.push(() => gateway.kill());
  await gateway.start();
  await makeStored(gateway, "bench");
  const pids = childrenOf(gateway.launcher?.pid ?? 0);
  contenders.push({ name: "sluicegate", url: volumeUrl(gateway.portal, "bench"), pids });
  for (const { url } of contenders) await writeImage(image, url);
  return contenders;
}
