import type { Volume, VolumeState } from "@aws-sdk/client-ec2";
import { instanceIdOf } from "../../gateway/instance-ids.ts";
import type { VolumeView } from "../../gateway/volumes.ts";

const GIB = 1024 ** 3;

export interface DescribedVolume {
  readonly view: VolumeView;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly zone: string;
}

/** A volume as EC2 shows it: unless it was detached, attached to its gateway, its device the name of its iSCSI target. */
export function volumeShape({ view: { row, report }, tags, zone }: DescribedVolume): Volume {
  const createdAt = new Date(row.created_at);
  const isAttached = row.attachment === "attached";
  return {
    VolumeId: row.id,
    Size: row.size_bytes / GIB,
    SnapshotId: row.source_snapshot_id ?? "",
    AvailabilityZone: zone,
    State: isAttached || report.status !== "AVAILABLE" ? stateOf(report.status) : "available",
    CreateTime: createdAt,
    VolumeType: "standard",
    Encrypted: true,
    MultiAttachEnabled: false,
    Attachments: isAttached
      ? [
          {
            VolumeId: row.id,
            InstanceId: instanceIdOf(row.gateway_id),
            Device: row.target_name,
            State: "attached",
            AttachTime: createdAt,
            DeleteOnTermination: false,
          },
        ]
      : [],
    Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
  };
}

function stateOf(status: VolumeView["report"]["status"]): VolumeState {
  switch (status) {
    case "CREATING":
      return "creating";
    case "DELETING":
      return "deleting";
    case "IRRECOVERABLE":
      return "error";
    default:
      return "in-use";
  }
}
