/** Volumes as rows of the catalog: what is asked for, and what follows from it. Pure functions. */
import { createHash } from "node:crypto";
import type { Tag } from "../catalog/catalog.ts";
import type { DiskRow, VolumeRow } from "../catalog/schema.ts";
import type { LocalDisk } from "./disks.ts";

const CACHED_RECOVERY_POINT_MS = 60_000;

export interface NewStoredVolume {
  readonly gatewayArn: string;
  readonly diskId: string;
  readonly preserveExistingData: boolean;
  readonly snapshotId?: string;
  readonly targetName: string;
  /** The portal's address, as initiators know it. */
  readonly networkInterface: string;
  readonly tags: readonly Tag[];
}

export interface NewCachedVolume {
  readonly gatewayArn: string;
  readonly sizeBytes: number;
  readonly snapshotId?: string;
  readonly sourceVolumeArn?: string;
  readonly targetName: string;
  /** The portal's address, as initiators know it. */
  readonly networkInterface: string;
  readonly clientToken: string;
  readonly tags: readonly Tag[];
}

/** Whether the volume serves initiators, and can be cut. */
export function isInUse(row: VolumeRow): boolean {
  return row.state === "active" && row.attachment === "attached";
}

/** The use of a local disk as a stored volume's. */
export function diskOf(row: VolumeRow, disk: LocalDisk): DiskRow {
  return {
    id: disk.diskId,
    gateway_id: row.gateway_id,
    allocation: "STORED_iSCSI_VOLUME",
    path: disk.path,
    size_bytes: disk.sizeBytes,
    volume_id: row.id,
  };
}

/** Cached volumes have their data in the bucket only: they get recovery points unless that was switched off. */
export function recoveryPointEveryMs(row: VolumeRow): number {
  return row.recovery_point_every_ms ?? (row.kind === "cached" ? CACHED_RECOVERY_POINT_MS : 0);
}

/** What two requests with one token must have in common. */
export function fingerprintOf(wanted: NewCachedVolume): string {
  const { sizeBytes, snapshotId, sourceVolumeArn, targetName } = wanted;
  const text = JSON.stringify([sizeBytes, snapshotId?.toLowerCase(), sourceVolumeArn, targetName]);
  return createHash("sha256").update(text).digest("hex");
}
