/** What the conformance tests are run against: volumes of a gateway of their own, or Debian's tgt beside it. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored } from "../e2e/volume-kit.ts";
import { startTgt } from "../servers/tgt.ts";

export interface Subject {
  readonly urls: readonly [string, string];
  stop(): Promise<void>;
}

export const KINDS = ["stored", "cached", "restored", "tgt"] as const;
export type Kind = (typeof KINDS)[number];

const SIZE_BYTES = GIB;

/** A logical unit to be tested; `restored` is a cached volume whose blocks have to be fetched from the vault. */
export async function startSubject(kind: Kind): Promise<Subject> {
  const folder = mkdtempSync(join(tmpdir(), `sg-conformance-${kind}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (kind === "tgt") {
    const file = join(folder, "unit");
    writeFileSync(file, "");
    truncateSync(file, SIZE_BYTES);
    const tgt = await startTgt([file], false);
    const stop = async () => {
      await tgt.stop();
      remove();
    };
    const [url = ""] = tgt.urls;
    return { urls: [url, url], stop };
  }
  const gateway = new GatewayProcess(join(folder, "data"), [
    "--cache-size",
    "4GiB",
    "--upload-buffer-size",
    "4GiB",
  ]);
  const stop = async () => {
    await gateway.stop();
    remove();
  };
  try {
    await gateway.start();
    if (kind === "stored") await makeStored(gateway, "unit");
    else if (kind === "cached") await makeCached(gateway, "unit", SIZE_BYTES);
    else await makeRestored(gateway);
  } catch (error) {
    await stop();
    throw error;
  }
  const url = volumeUrl(gateway.portal, "unit");
  return { urls: [url, url], stop };
}

async function makeRestored(gateway: GatewayProcess): Promise<void> {
  const arn = await makeStored(gateway, "origin");
  // MultipathIO.CompareAndWrite takes block 256, which it does not write first, for zeros.
  await qemuIo(volumeUrl(gateway.portal, "origin"), "write -P 90 0 1G", "write -P 0 128k 4k");
  const SnapshotId = await createSnapshot(gateway, arn);
  await completed(gateway, SnapshotId);
  await makeCached(gateway, "unit", SIZE_BYTES, { SnapshotId });
}
