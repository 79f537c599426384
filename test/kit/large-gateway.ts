/**
 * A gateway with many volumes and snapshots, as a data folder that was not started yet: written by the gateway's own
 * catalog and vault, since thousands of API calls take minutes.
 */
import { join } from "node:path";
import { Catalog } from "../../src/catalog/catalog.ts";
import {
  type DiskRow,
  type GatewayRow,
  PLAIN_SNAPSHOT,
  type SnapshotRow,
  type VolumeRow,
} from "../../src/catalog/schema.ts";
import { type Realm, TARGET_PREFIX, volumeArn } from "../../src/gateway/arn.ts";
import { createDiskFile } from "../../src/gateway/disks.ts";
import { recordOf } from "../../src/gateway/snapshot-records.ts";
import { DirectoryStore } from "../../src/objects/directory.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { makeGatewayId, makeSnapshotId, makeVolumeId } from "../../src/platform/ids.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { systemDisk } from "../../src/platform/system-disk.ts";
import { Vault } from "../../src/vault/vault.ts";

export interface LargeGateway {
  readonly volumes: number;
  readonly snapshots: number;
  /** Whether the snapshots have their records in the vault, too: it takes longer to write them. */
  readonly hasRecords: boolean;
}

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const VOLUMES_PER_GATEWAY = 32;
const RECORDS_AT_A_TIME = 16;
const REALM: Realm = { region: "us-east-1", accountId: "000000000000" };
const START_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3600_000;

/**
 * Fills an empty data folder. One gateway in eight is of stored volumes, the others of cached ones, 32 volumes each;
 * snapshots are spread evenly over the volumes, an hour apart, each with two tags.
 */
export async function makeLargeGateway(
  dataDir: string,
  { volumes, snapshots, hasRecords }: LargeGateway,
): Promise<void> {
  systemDisk.makeFolder(dataDir);
  const keyFile = systemRandom.bytes(32);
  const owner = systemRandom.bytes(16);
  systemDisk.replaceFile(join(dataDir, "vault.key"), keyFile);
  systemDisk.replaceFile(join(dataDir, "owner-id"), owner);
  const catalog = await Catalog.open({ sqlitePath: join(dataDir, "catalog.sqlite") });
  try {
    const rows = await addVolumes(catalog, dataDir, volumes);
    const made = Array.from({ length: snapshots }, (_, i) =>
      snapshotOf(rows[i % rows.length] as VolumeRow, i),
    );
    await catalog.addSnapshots(made, tagsOf);
    const vault = await Vault.open({
      store: await DirectoryStore.open(join(dataDir, "vault")),
      keyFile,
      indexPath: join(dataDir, "vault-index.sqlite"),
      ownerId: owner.toString("hex"),
      random: systemRandom,
      clock: systemClock,
    });
    try {
      for (let at = 0; hasRecords && at < made.length; at += RECORDS_AT_A_TIME) {
        const few = made.slice(at, at + RECORDS_AT_A_TIME);
        await Promise.all(few.map((row) => vault.records.putSnapshot(recordOf(row, tagsOf(row)))));
      }
    } finally {
      await vault.close();
    }
  } finally {
    await catalog.close();
  }
}

async function addVolumes(catalog: Catalog, dataDir: string, count: number): Promise<VolumeRow[]> {
  const rows: VolumeRow[] = [];
  for (let number = 0; rows.length < count; number++) {
    const kind = number % 8 === 0 ? "STORED" : "CACHED";
    const gateway: GatewayRow = {
      id: makeGatewayId(systemRandom),
      name: `large-${number}`,
      kind,
      timezone: "GMT",
      created_at: START_MS,
      state: "running",
      settings: "{}",
    };
    const disk = (name: string, allocation: DiskRow["allocation"], sizeBytes: number): DiskRow => {
      const made = createDiskFile(dataDir, `large-${number}-${name}`, sizeBytes);
      return {
        id: made.diskId,
        gateway_id: gateway.id,
        allocation,
        path: made.path,
        size_bytes: sizeBytes,
        volume_id: null,
      };
    };
    const disks = [disk("upload-buffer", "UPLOAD_BUFFER", 64 * MIB)];
    if (kind === "CACHED") disks.push(disk("cache", "CACHE_STORAGE", 64 * MIB));
    await catalog.addGateway(gateway, disks);
    for (let i = 0; i < VOLUMES_PER_GATEWAY && rows.length < count; i++) {
      const id = makeVolumeId(systemRandom);
      const home = kind === "STORED" ? disk(`home-${i}`, "STORED_iSCSI_VOLUME", GIB) : undefined;
      const row: VolumeRow = {
        id,
        gateway_id: gateway.id,
        kind: kind === "STORED" ? "stored" : "cached",
        size_bytes: GIB,
        target_name: `${TARGET_PREFIX}large-${number}-${i}`,
        disk_id: home?.id ?? null,
        preserve_existing_data: 0,
        parent_root_key: null,
        source_snapshot_id: null,
        state: "creating",
        created_at: START_MS,
        recovery_point_every_ms: null,
        attachment: "attached",
        network_interface: null,
        detached_used_bytes: null,
        ec2_type: null,
        modification: null,
      };
      await catalog.addVolume(row, {
        ...(home !== undefined && { disk: { ...home, volume_id: id } }),
        tags: [{ key: "group", value: `g${rows.length % 10}` }],
      });
      rows.push(row);
    }
  }
  return rows;
}

function snapshotOf(volume: VolumeRow, number: number): SnapshotRow {
  const startedAtMs = START_MS + number * HOUR_MS;
  return {
    ...PLAIN_SNAPSHOT,
    id: makeSnapshotId(systemRandom),
    volume_id: volume.id,
    volume_arn: volumeArn(REALM, volume.gateway_id, volume.id),
    epoch: 1,
    state: "completed",
    reason: null,
    description: `snapshot ${number} of many`,
    volume_size_bytes: volume.size_bytes,
    started_at: startedAtMs,
    completed_at: startedAtMs + 1000,
    root_key: `volumes/${volume.id}/roots/large-${number}`,
    full_bytes: 0,
    deleted: 0,
  };
}

function tagsOf(row: SnapshotRow): { key: string; value: string }[] {
  return [
    { key: "Name", value: row.description },
    { key: "group", value: `g${Number.parseInt(row.volume_id.slice(-2), 16) % 10}` },
  ];
}
