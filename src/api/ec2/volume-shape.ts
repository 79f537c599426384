import type { Volume, VolumeState } from "@aws-sdk/client-ec2";
import { instanceIdOf } from "../../gateway/instance-ids.ts";
import type { VolumeView } from "../../gateway/volumes.ts";

const GIB = 1024 ** 3;

export interface DescribedVolume {
  readonly view: VolumeView;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly zone: string;
}

/** What EC2 is told of a volume's type. It is kept and shown, as clients compare it, and makes no difference. */
export type VolumeTypeShape = Pick<Volume, "VolumeType" | "Iops" | "Throughput">;

/** The type in a request, as the catalog keeps it; undefined where it names none. */
export function keptType({ VolumeType, Iops, Throughput }: VolumeTypeShape): string | undefined {
  const type = { VolumeType, Iops, Throughput };
  return Object.values(type).every((value) => value === undefined) ? undefined : JSON.stringify(type);
}

/** The type that a volume was given. */
export function typeOf({ ec2_type }: VolumeView["row"]): VolumeTypeShape {
  return ec2_type === null ? {} : (JSON.parse(ec2_type) as VolumeTypeShape);
}

/**
 * A volume as EC2 shows it: unless it was detached, attached to its gateway, its device the name of its iSCSI target. It is
 * in use while an initiator is logged in, and available otherwise: as what can be deleted.
 */
export function volumeShape({ view: { row, report }, tags, zone }: DescribedVolume): Volume {
  const createdAt = new Date(row.created_at);
  const isAttached = row.attachment === "attached";
  return {
    VolumeId: row.id,
    Size: row.size_bytes / GIB,
    SnapshotId: row.source_snapshot_id ?? "",
    AvailabilityZone: zone,
    State: stateOf(report),
    CreateTime: createdAt,
    VolumeType: "standard",
    ...typeOf(row),
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

function stateOf({ status, initiators }: VolumeView["report"]): VolumeState {
  switch (status) {
    case "CREATING":
      return "creating";
    case "IRRECOVERABLE":
      return "error";
    default:
      return initiators.length > 0 ? "in-use" : "available";
  }
}
