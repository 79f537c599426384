/**
 * The vault of a gateway's data folder, for commands that go to it themselves, beside the running gateway or without
 * one: where it is and with which key is in the folder.
 */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ObjectStore } from "./objects/object-store.ts";
import { openStore } from "./objects/open-store.ts";
import { systemClock } from "./platform/clock.ts";
import { systemRandom } from "./platform/random.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { Vault } from "./vault/vault.ts";

/** In a data folder: the key file of its vault, and the copy of `vault.json` that serves while the bucket is away. */
export const KEY_FILE = "vault.key";
export const VAULT_JSON_COPY = "vault.json";
export const VAULT_LOCATION_FILE = "vault-location.json";
/** Who the folder's gateway is to the vault: so many bytes. */
export const OWNER_FILE = "owner-id";
export const OWNER_BYTES = 16;
const INDEX_OF_A_COMMAND = /^vault-index-(\d+)\.sqlite/;

/** The folder is not a gateway's; the message says what to do. */
export class DataFolderError extends Error {
  override readonly name = "DataFolderError";
}

/** Where a gateway's vault is. */
export interface VaultLocation {
  readonly storeUrl: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
}

/** Keeps in the data folder where its vault is. */
export function rememberVault(dataDir: string, location: VaultLocation): void {
  systemDisk.replaceFile(join(dataDir, VAULT_LOCATION_FILE), Buffer.from(`${JSON.stringify(location)}\n`));
}

/** Opens the store that the vault of the data folder is in. */
export async function withStore<T>(dataDir: string, action: (store: ObjectStore) => Promise<T>): Promise<T> {
  const location = systemDisk.readFile(join(resolve(dataDir), VAULT_LOCATION_FILE));
  if (location === undefined) throw notAFolder(dataDir);
  const { storeUrl, ...s3 } = JSON.parse(location.toString("utf8")) as VaultLocation;
  const store = await openStore(storeUrl, { clock: systemClock, random: systemRandom, ...s3 });
  try {
    return await action(store);
  } finally {
    await store.close();
  }
}

/** Who the gateway of the data folder is to leases; undefined where it was never started. */
export function gatewayOwnerId(dataDir: string): string | undefined {
  return systemDisk.readFile(join(resolve(dataDir), OWNER_FILE))?.toString("hex");
}

/** Who a command is to the vault, and where its index is: for one that goes on where another process was. */
export interface VaultAccess {
  readonly ownerId: string;
  readonly indexPath: string;
}

/**
 * Opens the vault of the data folder as a reader, or writer, of its own: nothing of the gateway's is touched. Without
 * `access` it is nobody who was there before, and leaves nothing.
 */
export function withVault<T>(
  dataDir: string,
  action: (vault: Vault) => Promise<T>,
  access?: VaultAccess,
): Promise<T> {
  return withStore(dataDir, async (store) => {
    const folder = resolve(dataDir);
    const keyFile = systemDisk.readFile(join(folder, KEY_FILE));
    if (keyFile === undefined) throw notAFolder(dataDir);
    clearIndexes(folder);
    const indexPath = access?.indexPath ?? join(folder, `vault-index-${process.pid}.sqlite`);
    const copy = systemDisk.readFile(join(folder, VAULT_JSON_COPY));
    // Where the folder's own vault is away (a disk that is not mounted, say), none is made in its place.
    const known = copy === undefined ? undefined : (JSON.parse(copy.toString("utf8")) as { vaultId: string });
    try {
      const vault = await Vault.open({
        store,
        keyFile,
        indexPath,
        ownerId: access?.ownerId ?? systemRandom.bytes(OWNER_BYTES).toString("hex"),
        random: systemRandom,
        clock: systemClock,
        ...(known !== undefined && { knownVaultId: known.vaultId }),
      });
      try {
        return await action(vault);
      } finally {
        await vault.close();
      }
    } finally {
      if (access === undefined)
        for (const suffix of ["", "-wal", "-shm"]) rmSync(indexPath + suffix, { force: true });
    }
  });
}

/** Takes the indexes of commands away that were killed. */
function clearIndexes(folder: string): void {
  for (const name of systemDisk.list(folder)) {
    const pid = Number(INDEX_OF_A_COMMAND.exec(name)?.[1] ?? 0);
    if (pid > 0 && !isRunning(pid)) rmSync(join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is somebody else's where this user may not ask.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function notAFolder(dataDir: string): DataFolderError {
  return new DataFolderError(`${resolve(dataDir)} is no gateway's data folder: name it with --data`);
}
