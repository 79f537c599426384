/** Shapes that several operations answer with. */
import type {
  CachediSCSIVolume,
  Disk,
  StorediSCSIVolume,
  Tag as TagShape,
} from "@aws-sdk/client-storage-gateway";
import { targetArn, volumeArn } from "../../gateway/arn.ts";
import type { LocalDisk } from "../../gateway/disks.ts";
import type { Services } from "../../gateway/services.ts";
import type { VolumeView } from "../../gateway/volumes.ts";
import { upperCaseId } from "../../platform/ids.ts";

const LUN = 0;

export function tagShapes(tags: readonly { readonly key: string; readonly value: string }[]): TagShape[] {
  return tags.map(({ key, value }) => ({ Key: key, Value: value }));
}

export function diskShape(disk: LocalDisk, volumeRegion: string): Disk {
  const use = disk.use;
  const backs = use?.volume_id ?? null;
  return {
    DiskId: disk.diskId,
    DiskPath: disk.path,
    DiskNode: disk.node,
    DiskStatus: disk.status,
    DiskSizeInBytes: disk.sizeBytes,
    DiskAllocationType: use?.allocation ?? "AVAILABLE",
    DiskAttributeList: [],
    ...(backs !== null && {
      DiskAllocationResource: `${disk.path}::${LUN}::${volumeRegion}-${upperCaseId(backs)}`,
    }),
  };
}

/** VolumeAttachmentStatus. */
export function attachmentStatus({ attachment }: VolumeView["row"]): string {
  return attachment.toUpperCase();
}

export type CommonVolume = CachediSCSIVolume & StorediSCSIVolume;

/** What stored and cached volumes have in common. */
export function volumeShape(
  { realm, portal }: Services,
  { row, report }: VolumeView,
  hasChap: boolean,
): CommonVolume {
  return {
    VolumeARN: volumeArn(realm, row.gateway_id, row.id),
    VolumeId: upperCaseId(row.id),
    VolumeType: row.kind === "stored" ? "STORED iSCSI" : "CACHED iSCSI",
    VolumeStatus: report.status,
    VolumeAttachmentStatus: attachmentStatus(row),
    VolumeSizeInBytes: row.size_bytes,
    VolumeUsedInBytes: report.usedBytes,
    VolumeiSCSIAttributes: {
      TargetARN: targetArn(realm, row.gateway_id, row.target_name),
      NetworkInterfaceId: row.network_interface ?? portal.address,
      NetworkInterfacePort: portal.port,
      LunNumber: LUN,
      ChapEnabled: hasChap,
    },
    CreatedDate: new Date(row.created_at),
    TargetName: row.target_name.slice(row.target_name.indexOf(":") + 1),
    ...(report.progress !== undefined && { VolumeProgress: 100 * report.progress }),
    ...(row.source_snapshot_id !== null && { SourceSnapshotId: row.source_snapshot_id }),
    ...(row.kind === "stored" && {
      VolumeDiskId: row.disk_id ?? "",
      PreservedExistingData: row.preserve_existing_data === 1,
    }),
  };
}
