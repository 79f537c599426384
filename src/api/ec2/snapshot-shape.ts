import type { Snapshot } from "@aws-sdk/client-ec2";
import type { SnapshotView } from "../../gateway/snapshots.ts";

const GIB = 1024 ** 3;

/** A snapshot as EC2 shows it; ids in lower case. */
export function snapshotShape({ row, tags, progressPercent }: SnapshotView, ownerId: string): Snapshot {
  return {
    SnapshotId: row.id,
    VolumeId: row.volume_id,
    State: row.state,
    StartTime: new Date(row.started_at),
    Progress: `${progressPercent}%`,
    OwnerId: ownerId,
    Description: row.description,
    VolumeSize: Math.ceil(row.volume_size_bytes / GIB),
    Encrypted: true,
    StorageTier: "standard",
    Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
    ...(row.reason !== null && { StateMessage: row.reason }),
    ...(row.completed_at !== null && { CompletionTime: new Date(row.completed_at) }),
    ...(row.state === "completed" && { FullSnapshotSizeInBytes: row.full_bytes }),
  };
}
