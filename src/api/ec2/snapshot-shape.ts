import type { Snapshot } from "@aws-sdk/client-ec2";
import { NO_GATEWAY } from "../../gateway/arn.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { upperCaseId } from "../../platform/ids.ts";

const GIB = 1024 ** 3;

/** The volume that EC2 shows for a snapshot that no volume was the source of. */
export const NO_VOLUME = "vol-ffffffff";
/** An ARN ends in the gateway's id and the volume's. This is asked of every snapshot, for every list by volume. */
const OF_NO_GATEWAY = upperCaseId(NO_GATEWAY);
const ARN_END_CHARS = OF_NO_GATEWAY.length + "/volume/vol-".length + 17;

/** The source of a snapshot, as EC2 shows it. */
export function shownVolumeId(row: SnapshotView["row"]): string {
  // One that was cut here is of a volume: most are, and their ARNs need not be looked at.
  if (row.origin === "cut" && row.epoch > 0) return row.volume_id;
  const { volume_arn, volume_id } = row;
  return volume_arn.startsWith(OF_NO_GATEWAY, volume_arn.length - ARN_END_CHARS) ? NO_VOLUME : volume_id;
}

/** The size of the snapshot's volume in GiB. */
export function sizeGib({ volume_size_bytes }: SnapshotView["row"]): number {
  return Math.ceil(volume_size_bytes / GIB);
}

/** A snapshot as EC2 shows it; ids in lower case. */
export function snapshotShape({ row, tags, progressPercent }: SnapshotView, ownerId: string): Snapshot {
  return {
    SnapshotId: row.id,
    VolumeId: shownVolumeId(row),
    State: row.state,
    StartTime: new Date(row.started_at),
    Progress: `${progressPercent}%`,
    OwnerId: ownerId,
    Description: row.description,
    VolumeSize: sizeGib(row),
    Encrypted: true,
    StorageTier: "standard",
    Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
    ...(row.reason !== null && { StateMessage: row.reason }),
    ...(row.completed_at !== null && { CompletionTime: new Date(row.completed_at) }),
    ...(row.state === "completed" && { FullSnapshotSizeInBytes: row.full_bytes }),
  };
}
