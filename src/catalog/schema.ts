/** The tables of the catalog, as the query layer sees them. Times are milliseconds since the Unix epoch. */
import type { DiskId, GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";

export interface GatewayRow {
  readonly id: GatewayId;
  readonly name: string;
  readonly kind: "STORED" | "CACHED";
  readonly timezone: string;
  readonly created_at: number;
  /** `deleted`: kept for the volumes that were detached from it. */
  readonly state: "running" | "shutdown" | "deleted";
  /** JSON of what else was set of it: the domain's GatewaySettings. */
  readonly settings: string;
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
  /** `detaching`: its initiators are gone, and what is not in the bucket yet is on its way. */
  readonly attachment: "attached" | "detaching" | "detached";
  /** The address of the portal as it was given; null: the gateway's own. */
  readonly network_interface: string | null;
  /** Of a detached volume: bytes of the blocks that hold something. */
  readonly detached_used_bytes: number | null;
  /** What EC2's API was told of the volume's type, as JSON; it is shown there, and makes no difference. */
  readonly ec2_type: string | null;
  /** The last modification by EC2's API, as JSON. */
  readonly modification: string | null;
}

/** Who may log in to a volume's target, by CHAP. */
export interface ChapRow {
  readonly volume_id: VolumeId;
  /** In lower case. */
  readonly initiator_name: string;
  readonly initiator_secret: string;
  /** Mutual CHAP. */
  readonly target_secret: string | null;
}

/** When snapshots of a volume are made by themselves. */
export interface ScheduleRow {
  readonly id: string;
  readonly volume_id: VolumeId;
  /** `volume`: the one that AWS's API knows of a volume; `own`: one of any number besides. */
  readonly kind: "volume" | "own";
  /** An `own` schedule's name, or empty. */
  readonly name: string;
  /** Of a `volume` schedule. */
  readonly start_hour: number | null;
  readonly recurrence_hours: number | null;
  /** Of an `own` schedule. */
  readonly cron: string | null;
  /** Null: the gateway's. */
  readonly timezone: string | null;
  readonly description: string;
  /** JSON: the tags of each snapshot. */
  readonly tags: string;
  readonly enabled: number;
  /** Whatever was due until then is dealt with: made, or given up and told. */
  readonly settled_until: number;
  readonly last_run_at: number | null;
  readonly last_snapshot_id: SnapshotId | null;
  /** Moments at which no snapshot could be made, since the schedule was set. */
  readonly missed_runs: number;
  /** Why the last attempt failed; null after one that went well. */
  readonly problem: string | null;
}

/** What the gateway's process has to remember of itself. */
export interface SettingRow {
  readonly key: string;
  readonly value: string;
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
  /** How it is made: by a cut of a volume, or from blocks that a client sends. */
  readonly origin: "cut" | "direct";
  /** The volume that its content began with, through restores and copies; null: its own. */
  readonly lineage_id: VolumeId | null;
  readonly lock_mode: "governance" | "compliance" | null;
  readonly lock_days: number | null;
  readonly locked_at: number | null;
  readonly lock_until: number | null;
  readonly cool_off_until: number | null;
  /** Accounts that may make volumes of it, as JSON: ids of 12 digits, or `all`. */
  readonly shared_with: string;
  /** The lifecycle policy and the schedule that made it, and whose to delete it is. */
  readonly policy_id: string | null;
  readonly policy_schedule: string | null;
  /** The schedule and the moment that it was due for; null for one that somebody has asked for. */
  readonly schedule_run: string | null;
}

/** What most snapshots have in common: cut from a volume, not locked, not shared, made by nobody's policy. */
export const PLAIN_SNAPSHOT = {
  origin: "cut",
  lineage_id: null,
  lock_mode: null,
  lock_days: null,
  locked_at: null,
  lock_until: null,
  cool_off_until: null,
  shared_with: "[]",
  policy_id: null,
  policy_schedule: null,
  schedule_run: null,
} as const satisfies Partial<SnapshotRow>;

/** A snapshot whose blocks a client sends, from its start until it is deleted. */
export interface StartedSnapshotRow {
  readonly snapshot_id: SnapshotId;
  /** What makes a repeated start the same one. */
  readonly client_token: string | null;
  readonly fingerprint: string;
  readonly timeout_ms: number;
  readonly parent_snapshot_id: SnapshotId | null;
  readonly parent_root_key: string | null;
  /** open: takes blocks; sealed: is uploaded; ended: completed, or in error. */
  readonly state: "open" | "sealed" | "ended";
}

/** A lifecycle policy. */
export interface PolicyRow {
  readonly id: string;
  readonly description: string;
  readonly role_arn: string;
  readonly enabled: number;
  /** As it was asked for, in the API's own spelling, as JSON. */
  readonly details: string;
  /** What that means, as JSON. */
  readonly rules: string;
  readonly created_at: number;
  readonly modified_at: number;
}

/** How far a schedule of a policy has come. */
export interface PolicyScheduleRow {
  readonly policy_id: string;
  readonly name: string;
  /** Everything that was due up to this moment is made, or counted as missed. */
  readonly settled_until: number;
  readonly last_run_at: number | null;
  readonly missed_runs: number;
  /** Why what is due could not be made yet. */
  readonly problem: string | null;
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
  started_snapshots: StartedSnapshotRow;
  policies: PolicyRow;
  policy_schedules: PolicyScheduleRow;
  chap_credentials: ChapRow;
  schedules: ScheduleRow;
  settings: SettingRow;
}
