/** `sluicegate snapshot export` and `import`: disk images, and EBS snapshots. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stayAlive } from "../platform/clock.ts";
import type { EbsEndpoint } from "../server-ebs-client.ts";
import { exportToEbs } from "../server-ebs-export.ts";
import { ebsIdentity, importFromEbs } from "../server-ebs-import.ts";
import { exportSnapshot, type ImageFormat, imageIdentity, imageSource } from "../server-image.ts";
import { abandonImport, importSnapshot } from "../server-import.ts";
import type { TransferProgress } from "../server-transfer.ts";
import { ApiClient, ENDPOINT_FILE } from "./client.ts";
import { ClientError, EXIT } from "./failure.ts";
import { clearBar, showBar } from "./progress-bar.ts";

interface Choice {
  readonly data: string;
  readonly region: string;
  readonly format?: string;
}

const EBS_PREFIX = "ebs:";
const MIB = 1024 ** 2;

/** Which EBS is meant; without an endpoint it is AWS's. */
interface EbsChoice {
  readonly ebsEndpoint?: string;
  readonly ebsRegion?: string;
  readonly ebsProfile?: string;
}

/** Writes a snapshot to a disk image, or with `ebs` in place of a path to an EBS snapshot. Ends with exit code 3 where blocks of it could not be had. */
export async function snapshotExport(
  snapshotId: string,
  path: string,
  choice: Choice & EbsChoice & { readonly holes?: boolean; readonly base?: string; readonly parent?: string },
): Promise<void> {
  const letGo = stayAlive();
  try {
    if (path === "ebs") {
      const { base, parent } = choice;
      if ((base === undefined) !== (parent === undefined))
        throw new ClientError(
          "--base and --parent go together: what was exported, and what it was exported to",
        );
      const id = await exportToEbs({
        ...{ dataDir: choice.data, snapshotId, ebs: ebsOf(choice), onProgress },
        ...(base !== undefined && parent !== undefined && { base: { snapshotId: base, parentId: parent } }),
      });
      clearBar();
      process.stdout.write(`${id}\n`);
      return;
    }
    const { holes } = await exportSnapshot({
      ...{ dataDir: choice.data, snapshotId, path, format: formatOf(path, choice.format) },
      passesOver: choice.holes === true,
      onProgress,
    });
    clearBar();
    process.stdout.write(`${path}\n`);
    if (holes.length === 0) return;
    process.stderr.write(`blocks of 64 KiB that could not be had, and are zeros now: ${holes.join(", ")}\n`);
    process.exitCode = EXIT.amiss;
  } finally {
    letGo();
  }
}

/**
 * Makes a snapshot of a disk image, or with `ebs:SNAPSHOT` in place of a path of an EBS snapshot. One that has broken off
 * goes on when it is called again; with `abandon` what it has left is taken away instead.
 */
export async function snapshotImport(
  path: string,
  choice: Choice &
    EbsChoice & { readonly description: string; readonly account: string; readonly abandon?: boolean },
): Promise<void> {
  const letGo = stayAlive();
  const remoteId = path.startsWith(EBS_PREFIX) ? path.slice(EBS_PREFIX.length) : undefined;
  try {
    if (choice.abandon === true) {
      const identity = remoteId === undefined ? imageIdentity(path) : ebsIdentity(remoteId, ebsOf(choice));
      if (!(await abandonImport(choice.data, identity)))
        throw new ClientError(`no import of ${path} has been broken off`);
      process.stdout.write(`nothing is left of the import of ${path}\n`);
      return;
    }
    const options = {
      ...{ dataDir: choice.data, description: choice.description },
      ...{ region: choice.region, accountId: choice.account, onProgress },
      onResume: (doneBytes: number) => {
        process.stderr.write(`it had broken off, and goes on at ${Math.round(doneBytes / MIB)} MiB\n`);
      },
    };
    const snapshotId =
      remoteId === undefined
        ? await importSnapshot(imageSource(path, formatOf(path, choice.format)), options)
        : await importFromEbs(remoteId, ebsOf(choice), options);
    clearBar();
    // A gateway that does not run finds it when it starts.
    if (existsSync(join(choice.data, ENDPOINT_FILE)))
      await ApiClient.of(choice.data, choice.region).callOwn("AdoptSnapshots", {});
    process.stdout.write(`${snapshotId}\n`);
  } finally {
    letGo();
  }
}

function ebsOf({ ebsEndpoint, ebsRegion, ebsProfile, region }: Choice & EbsChoice): EbsEndpoint {
  return {
    region: ebsRegion ?? region,
    ...(ebsEndpoint !== undefined && { endpoint: ebsEndpoint }),
    ...(ebsProfile !== undefined && { profile: ebsProfile }),
  };
}

function onProgress({ doneBytes, totalBytes }: TransferProgress): void {
  showBar("MiB", Math.round(doneBytes / MIB), Math.round(totalBytes / MIB));
}

function formatOf(path: string, given: string | undefined): ImageFormat {
  const format = given ?? (path.endsWith(".qcow2") ? "qcow2" : "raw");
  if (format === "raw" || format === "qcow2") return format;
  throw new ClientError(`--format is raw or qcow2, not ${format}`);
}
