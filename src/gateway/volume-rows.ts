/** Volumes as rows of the catalog: what is asked for, and what follows from it. Pure functions. */
import { createHash } from "node:crypto";
import type { Tag } from "../catalog/catalog.ts";
import type { DiskRow, VolumeRow } from "../catalog/schema.ts";
import type { LocalDisk } from "./disks.ts";
import { GatewayError, invalid } from "./errors.ts";
import type { VolumeReport } from "./ports.ts";

export const GIB = 1024 ** 3;
export const STORED_BYTES_MAX = 16 * 1024 * GIB;
export const CACHED_BYTES_MAX = 32 * 1024 * GIB;
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
  /** For where another volume's target has that name; without it such a request is refused. */
  readonly otherTargetName?: string;
  /** The portal's address, as initiators know it. */
  readonly networkInterface: string;
  readonly clientToken: string;
  /** As in the catalog. */
  readonly ec2Type?: string;
  readonly tags: readonly Tag[];
}

/** The names that the volume's target may have, the best one first. */
export function targetNames({ targetName, otherTargetName }: NewCachedVolume): string[] {
  return otherTargetName === undefined ? [targetName] : [targetName, otherTargetName];
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

/** Throws a GatewayError where a stored volume can't have that size, or not hold what it is made of. */
export function checkStoredBytes(sizeBytes: number, sourceBytes: number | undefined): void {
  if (sizeBytes < GIB || sizeBytes % GIB !== 0) throw new GatewayError("DiskSizeNotGigAligned");
  if (sizeBytes > STORED_BYTES_MAX) throw new GatewayError("DiskSizeGreaterThanVolumeMaxSize");
  if (sizeBytes < (sourceBytes ?? 0)) throw new GatewayError("DiskSizeLessThanVolumeSize");
}

/** Throws a GatewayError where a cached volume can't have that size, or not hold what it is made of. */
export function checkCachedBytes(sizeBytes: number, sourceBytes: number | undefined): void {
  if (sizeBytes < GIB || sizeBytes > CACHED_BYTES_MAX || sizeBytes % GIB !== 0)
    throw invalid("VolumeSizeInBytes: whole GiB from 1 GiB to 32 TiB.");
  if (sizeBytes < (sourceBytes ?? 0))
    throw invalid("VolumeSizeInBytes is smaller than the snapshot's volume.");
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

/** Of a volume that the data plane does not have open. */
export function closedReport(row: VolumeRow): VolumeReport {
  const volumeId = row.id;
  if (row.state === "creating") return { volumeId, status: "CREATING", usedBytes: 0, initiators: [] };
  const usedBytes = row.detached_used_bytes ?? 0;
  const reason = row.attachment === "detached" ? "the volume is detached" : "the gateway is shut down";
  return { volumeId, status: "AVAILABLE", reason, usedBytes, initiators: [] };
}
