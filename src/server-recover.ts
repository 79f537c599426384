/**
 * Brings a gateway back on an empty machine, from the bucket and its key alone (invariant 8): its gateways and volumes
 * as their catalog's copy has them, each volume at its newest recovery point. Snapshots are found by the next start.
 *
 * Each volume is taken over before its newest root is looked for: what the gateway that had it may still write after
 * that is never accepted (invariant 6).
 */
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Catalog } from "./catalog/catalog.ts";
import type { DiskRow, VolumeRow } from "./catalog/schema.ts";
import { type CatalogCopy, type CopiedVolume, readCatalogCopy } from "./gateway/catalog-copy.ts";
import { createDiskFile } from "./gateway/disks.ts";
import { begun } from "./gateway/policies.ts";
import type { PolicyRules } from "./gateway/policy-rules.ts";
import { emptySchedule } from "./gateway/schedule.ts";
import { openStore } from "./objects/open-store.ts";
import { systemClock } from "./platform/clock.ts";
import { DataFolderLock } from "./platform/folder-lock.ts";
import type { VolumeId } from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { makeKeyFile } from "./server-keys.ts";
import { KEY_FILE, OWNER_BYTES, OWNER_FILE } from "./server-vault-access.ts";
import type { VaultSecret } from "./vault/key-slots.ts";
import type { SnapshotRecord } from "./vault/snapshot-record.ts";
import { Vault } from "./vault/vault.ts";

/** Something stands in the way of a recovery; the message says what to do. */
export class RecoveryError extends Error {
  override readonly name = "RecoveryError";
}

export interface RecoverOptions {
  readonly dataDir: string;
  readonly storeUrl: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  /** What opens the vault. With a passphrase the gateway gets a key file of its own. */
  readonly secret: VaultSecret;
  readonly cacheSizeBytes: number;
  readonly uploadBufferSizeBytes: number;
  /** Which gateway's catalog, where the bucket has several. */
  readonly catalogId?: string;
  /** Only tell what there is. */
  readonly isDryRun: boolean;
  readonly tell: (line: string) => void;
}

/** A volume as the bucket has it. */
export interface FoundVolume {
  readonly volumeId: VolumeId;
  /** As the catalog's copy has it; undefined where that has no such volume. */
  readonly definition: CopiedVolume | undefined;
  /** The newest moment; undefined where nothing of the volume is in the bucket. */
  readonly newest: { readonly rootKey: string; readonly cutAtMs: number } | undefined;
  /** That moment is the one of another volume that it was made from: of its own there is nothing yet. */
  readonly isAsMade: boolean;
}

export interface Recovered {
  readonly snapshots: readonly SnapshotRecord[];
  readonly volumes: readonly FoundVolume[];
  /** Volumes that were brought back. */
  readonly restored: readonly VolumeId[];
  /** What the catalog's copy has beside volumes and their data. */
  readonly settings: RecoveredSettings;
}

export interface RecoveredSettings {
  readonly gateways: number;
  readonly schedules: number;
  readonly chapCredentials: number;
  readonly policies: number;
}

/** Rejects with a RecoveryError where something stands in the way. A dry run changes nothing, here or in the bucket. */
export async function recover(options: RecoverOptions): Promise<Recovered> {
  if (options.isDryRun) {
    // It may be run beside a gateway, in its own data folder.
    const folder = mkdtempSync(join(tmpdir(), "sluicegate-recover-"));
    try {
      return await recoverInto(folder, options);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const dataDir = resolve(options.dataDir);
  if (existsSync(join(dataDir, "catalog.sqlite")))
    throw new RecoveryError(`${dataDir} has a gateway already: name an empty folder with --data`);
  systemDisk.makeFolder(dataDir);
  const lock = await DataFolderLock.take(dataDir, systemClock, () =>
    options.tell(`another process uses ${dataDir}: waiting for it to end`),
  );
  try {
    return await recoverInto(dataDir, options);
  } finally {
    lock.release();
  }
}

async function recoverInto(dataDir: string, options: RecoverOptions): Promise<Recovered> {
  const { tell } = options;
  const store = await openStore(options.storeUrl, {
    clock: systemClock,
    random: systemRandom,
    ...(options.s3Endpoint !== undefined && { s3Endpoint: options.s3Endpoint }),
    ...(options.s3Region !== undefined && { s3Region: options.s3Region }),
  });
  try {
    if ((await store.head("vault.json")) === undefined)
      throw new RecoveryError(`${store.name} holds no vault`);
    const ownerId = systemRandom.bytes(OWNER_BYTES);
    tell(`reading ${store.name}`);
    const vault = await Vault.open({
      store,
      ...options.secret,
      indexPath: join(dataDir, "vault-index.sqlite"),
      ownerId: ownerId.toString("hex"),
      random: systemRandom,
      clock: systemClock,
      onProblem: tell,
    });
    try {
      const chosen = choose(await vault.records.listCatalogs(), options.catalogId);
      const { copy } = chosen;
      const snapshots = await vault.records.listSnapshots();
      if (!options.isDryRun) await takeOver(vault, copy, tell);
      const volumes = await findVolumes(vault, copy);
      const restored = options.isDryRun
        ? []
        : await bringBack(dataDir, {
            ...{ ...options, copy, volumes, ownerId },
            key: options.secret.keyFile ?? (await makeKeyFile(store, options.secret)),
          });
      // The lost gateway's place is taken: what it told of itself is told by this one now.
      if (!options.isDryRun && restored.length === copy.volumes.length && chosen.ownerId !== undefined) {
        await vault.records.putCatalog(copy);
        await vault.records.deleteCatalog(chosen.ownerId);
      }
      return { snapshots, volumes, restored, settings: settingsOf(copy, restored) };
    } finally {
      await vault.close();
    }
  } finally {
    await store.close();
  }
}

function choose(
  found: readonly { readonly ownerId: string; readonly catalog: unknown }[],
  wanted: string | undefined,
): { readonly ownerId?: string; readonly copy: CatalogCopy } {
  const copies = found.flatMap(({ ownerId, catalog }) => {
    const copy = readCatalogCopy(catalog);
    return copy === undefined ? [] : [{ ownerId, copy }];
  });
  const chosen = wanted === undefined ? copies : copies.filter(({ ownerId }) => ownerId.startsWith(wanted));
  const [first, ...others] = chosen;
  if (first === undefined) {
    if (wanted === undefined) return { copy: { savedAtMs: 0, gateways: [], volumes: [] } };
    throw new RecoveryError(`the bucket has no catalog ${wanted}`);
  }
  if (others.length > 0) {
    const names = chosen.map(
      ({ ownerId, copy }) =>
        `  ${ownerId.slice(0, 8)}  of ${new Date(copy.savedAtMs).toISOString()}, ${copy.volumes.length} volumes`,
    );
    throw new RecoveryError(
      `several gateways use this bucket; choose one with --catalog:\n${names.join("\n")}`,
    );
  }
  return first;
}

/** What belongs to volumes comes back with them. */
function settingsOf(copy: CatalogCopy, restored: readonly VolumeId[]): RecoveredSettings {
  const isBack = new Set(restored);
  const volumes = copy.volumes.filter(({ id }) => isBack.has(id));
  return {
    gateways: copy.gateways.filter(({ state }) => state !== "deleted").length,
    schedules: volumes.reduce((sum, { schedules = [] }) => sum + schedules.length, 0),
    chapCredentials: volumes.reduce((sum, { chap = [] }) => sum + chap.length, 0),
    policies: copy.policies?.length ?? 0,
  };
}

async function takeOver(vault: Vault, copy: CatalogCopy, tell: (line: string) => void): Promise<void> {
  for (const { id } of copy.volumes) {
    const generation = await vault.takeOver(id);
    tell(`${id} is ours from now on (generation ${generation})`);
  }
}

async function findVolumes(vault: Vault, copy: CatalogCopy): Promise<FoundVolume[]> {
  const definitions = new Map(copy.volumes.map((volume) => [volume.id, volume]));
  const ids = new Set([...definitions.keys(), ...(await vault.listVolumes())]);
  const found: FoundVolume[] = [];
  for (const volumeId of ids) {
    const definition = definitions.get(volumeId);
    const own = await vault.newestRoot(volumeId);
    const madeFrom = own === undefined ? (definition?.parent_root_key ?? undefined) : undefined;
    const newest = own ?? (madeFrom === undefined ? undefined : await vault.readableRoot(madeFrom));
    found.push({ volumeId, definition, newest, isAsMade: own === undefined && newest !== undefined });
  }
  return found;
}

interface BringingBack extends RecoverOptions {
  readonly copy: CatalogCopy;
  readonly volumes: readonly FoundVolume[];
  readonly ownerId: Buffer;
  readonly key: Buffer;
}

/** Makes the data folder of the gateway; `start` does the rest. The catalog comes last: it is what a start looks for. */
async function bringBack(
  dataDir: string,
  { copy, volumes, ownerId, key, tell, ...sizes }: BringingBack,
): Promise<VolumeId[]> {
  systemDisk.replaceFile(join(dataDir, KEY_FILE), key);
  systemDisk.replaceFile(join(dataDir, OWNER_FILE), ownerId);
  const restored: VolumeId[] = [];
  const path = join(dataDir, "catalog.sqlite");
  const catalog = await Catalog.open({ sqlitePath: `${path}.new` });
  try {
    for (const { tags, ...gateway } of copy.gateways) {
      const disk = (name: string, allocation: DiskRow["allocation"], sizeBytes: number): DiskRow => {
        const made = createDiskFile(dataDir, `${gateway.name}-${name}`, sizeBytes);
        return {
          id: made.diskId,
          gateway_id: gateway.id,
          allocation,
          path: made.path,
          size_bytes: sizeBytes,
          volume_id: null,
        };
      };
      const isThere = gateway.state !== "deleted";
      const disks = isThere ? [disk("upload-buffer", "UPLOAD_BUFFER", sizes.uploadBufferSizeBytes)] : [];
      if (gateway.kind === "CACHED" && isThere)
        disks.push(disk("cache", "CACHE_STORAGE", sizes.cacheSizeBytes));
      await catalog.addGateway(gateway, disks);
      await catalog.tags.put(gateway.id, tags);
    }
    // A start makes no others beside them.
    if (copy.gateways.length > 0) await catalog.setSetting("default-gateways", "made");
    for (const volume of volumes) {
      const row = rowOf(volume);
      if (row === undefined || volume.definition === undefined) continue;
      const { tags } = volume.definition;
      if (row.disk_id === null) await catalog.addVolume(row, { tags });
      else {
        const made = createDiskFile(dataDir, row.disk_id, row.size_bytes);
        const disk: DiskRow = {
          id: made.diskId,
          gateway_id: row.gateway_id,
          allocation: "STORED_iSCSI_VOLUME",
          path: made.path,
          size_bytes: row.size_bytes,
          volume_id: row.id,
        };
        await catalog.addVolume(row, { disk, tags });
      }
      for (const credential of volume.definition.chap ?? []) await catalog.chap.put(credential);
      for (const schedule of volume.definition.schedules ?? []) {
        const begun = emptySchedule(schedule.id, row, schedule.kind, systemClock.nowMs());
        await catalog.schedules.put({ ...begun, ...schedule });
      }
      restored.push(row.id);
    }
    for (const { tags, ...policy } of copy.policies ?? []) {
      const rules = JSON.parse(policy.rules) as PolicyRules;
      await catalog.policies.put(policy, begun(policy.id, rules, systemClock.nowMs()));
      await catalog.tags.put(policy.id, tags);
    }
  } finally {
    await catalog.close();
  }
  renameSync(`${path}.new`, path);
  await systemDisk.syncFolder(dataDir);
  tell(`${dataDir} is ready for \`sluicegate start\``);
  return restored;
}

/** The volume as it begins here: with its newest moment as its parent, a stored one on a new file. */
function rowOf({ definition, newest }: FoundVolume): VolumeRow | undefined {
  if (definition === undefined || newest === undefined) return undefined;
  const { tags: _tags, chap: _chap, schedules: _schedules, ...row } = definition;
  const isDetached = row.attachment === "detached";
  const hasDisk = row.kind === "stored" && !isDetached;
  return {
    ...row,
    disk_id: hasDisk ? (`${row.id}.img` as NonNullable<VolumeRow["disk_id"]>) : null,
    preserve_existing_data: 0,
    parent_root_key: newest.rootKey,
    state: isDetached ? "active" : "creating",
    // One that was on its way out serves again: what had not arrived is lost, and may have to be written again.
    attachment: isDetached ? "detached" : "attached",
  };
}
