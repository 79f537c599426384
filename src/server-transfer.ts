/** What exports and imports have in common, whatever they write or read. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { systemClock } from "./platform/clock.ts";
import { DataFolderLock, FolderInUseError } from "./platform/folder-lock.ts";
import { systemDisk } from "./platform/system-disk.ts";

/** Something can't be brought over; the message says why. */
export class TransferError extends Error {
  override readonly name = "TransferError";
}

export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

const LOCK = "lock";

/** Where the data folder keeps how far transfers of a kind have come, each in a folder of its own. */
export function transfersFolder(dataDir: string, kind: "imports" | "exports"): string {
  return join(resolve(dataDir), kind);
}

/**
 * Gives `action` the folder of one transfer, which it has for itself: another process that wants the same is refused by a
 * TransferError. A folder in which nothing was left is taken away.
 */
export async function inTransferFolder<T>(
  dataDir: string,
  kind: "imports" | "exports",
  identity: readonly unknown[],
  action: (folder: string) => Promise<T>,
): Promise<T> {
  const name = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 32);
  const folder = join(transfersFolder(dataDir, kind), name);
  systemDisk.makeFolder(folder);
  let lock: DataFolderLock;
  try {
    lock = await DataFolderLock.take(folder, systemClock, () => {});
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    throw new TransferError("another process is at it", { cause: error });
  }
  try {
    return await action(folder);
  } finally {
    if (left(folder).length === 0) systemDisk.removeFolder(folder);
    lock.release();
  }
}

/** Takes all out of the folder but the lock, which is held. */
export function clearTransferFolder(folder: string): void {
  for (const name of left(folder)) systemDisk.remove(join(folder, name));
}

const left = (folder: string): string[] => systemDisk.list(folder).filter((name) => !name.startsWith(LOCK));
