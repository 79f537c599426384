/** `sluicegate snapshot export` and `import`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stayAlive } from "../platform/clock.ts";
import { exportSnapshot, type ImageFormat, importImage, type TransferProgress } from "../server-transfer.ts";
import { ApiClient, ClientError, ENDPOINT_FILE } from "./client.ts";
import { clearBar, showBar } from "./progress-bar.ts";

interface Choice {
  readonly data: string;
  readonly region: string;
  readonly format?: string;
}

const MIB = 1024 ** 2;
/** The image has holes. */
const EXIT_DAMAGED = 3;

/** Writes a snapshot to a disk image. Ends with exit code 3 where blocks of it could not be had. */
export async function snapshotExport(
  snapshotId: string,
  path: string,
  choice: Choice & { readonly holes?: boolean },
): Promise<void> {
  const letGo = stayAlive();
  try {
    const { holes } = await exportSnapshot({
      ...{ dataDir: choice.data, snapshotId, path, format: formatOf(path, choice.format) },
      passesOver: choice.holes === true,
      onProgress,
    });
    clearBar();
    process.stdout.write(`${path}\n`);
    if (holes.length === 0) return;
    process.stderr.write(`blocks of 64 KiB that could not be had, and are zeros now: ${holes.join(", ")}\n`);
    process.exitCode = EXIT_DAMAGED;
  } finally {
    letGo();
  }
}

/** Makes a snapshot of a disk image. */
export async function snapshotImport(
  path: string,
  choice: Choice & { readonly description: string; readonly account: string },
): Promise<void> {
  const letGo = stayAlive();
  try {
    const snapshotId = await importImage({
      ...{ dataDir: choice.data, path, format: formatOf(path, choice.format) },
      ...{ description: choice.description, region: choice.region, accountId: choice.account },
      onProgress,
    });
    clearBar();
    // A gateway that does not run finds it when it starts.
    if (existsSync(join(choice.data, ENDPOINT_FILE)))
      await ApiClient.of(choice.data, choice.region).callOwn("AdoptSnapshots", {});
    process.stdout.write(`${snapshotId}\n`);
  } finally {
    letGo();
  }
}

function onProgress({ doneBytes, totalBytes }: TransferProgress): void {
  showBar("MiB", Math.round(doneBytes / MIB), Math.round(totalBytes / MIB));
}

function formatOf(path: string, given: string | undefined): ImageFormat {
  const format = given ?? (path.endsWith(".qcow2") ? "qcow2" : "raw");
  if (format === "raw" || format === "qcow2") return format;
  throw new ClientError(`--format is raw or qcow2, not ${format}`);
}
