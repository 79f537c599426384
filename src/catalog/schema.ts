/** The tables of the catalog, as the query layer sees them. Times are milliseconds since the Unix epoch. */
import type { DiskId, GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";

export interface GatewayRow {
  readonly id: GatewayId;
  readonly name: string;
  readonly kind: "STORED" | "CACHED";
  readonly timezone: string;
  readonly created_at: number;
}

/** A disk that is in use; free ones are only on the file system. */
export interface DiskRow {
  readonly id: DiskId;
  readonly gateway_id: GatewayId;
  readonly allocation: "CACHE_STORAGE" | "UPLOAD_BUFFER" | "STORED_iSCSI_VOLUME";
  readonly path: string;
  readonly size_bytes: number;
  readonly volume_id: VolumeId | null;
}

export interface VolumeRow {
  readonly id: VolumeId;
  readonly gateway_id: GatewayId;
  readonly kind: "stored" | "cached";
  readonly size_bytes: number;
  readonly target_name: string;
  readonly disk_id: DiskId | null;
  readonly preserve_existing_data: number;
  readonly parent_root_key: string | null;
  readonly source_snapshot_id: SnapshotId | null;
  readonly state: "creating" | "active" | "deleting";
  readonly created_at: number;
  /** Milliseconds between recovery points; 0: none; null: as usual for the kind. */
  readonly recovery_point_every_ms: number | null;
}

export interface SnapshotRow {
  readonly id: SnapshotId;
  readonly volume_id: VolumeId;
  readonly volume_arn: string;
  readonly epoch: number;
  readonly state: "pending" | "completed" | "error";
  readonly reason: string | null;
  readonly description: string;
  readonly volume_size_bytes: number;
  readonly started_at: number;
  readonly completed_at: number | null;
  readonly root_key: string | null;
  readonly full_bytes: number;
  /** 1: deleted by the user while it was pending; goes away when its upload ends. */
  readonly deleted: number;
}

/** Tags of gateways, volumes and snapshots, by the id of the resource. */
export interface TagRow {
  readonly resource_id: string;
  readonly key: string;
  readonly value: string;
}

/** What a ClientToken has made: the same request again gets the same answer. */
export interface ClientTokenRow {
  readonly gateway_id: GatewayId;
  readonly token: string;
  readonly fingerprint: string;
  readonly volume_id: VolumeId;
}

export interface CatalogSchema {
  gateways: GatewayRow;
  disks: DiskRow;
  volumes: VolumeRow;
  snapshots: SnapshotRow;
  tags: TagRow;
  client_tokens: ClientTokenRow;
}
