import type {
  CreateStorediSCSIVolumeInput,
  CreateStorediSCSIVolumeOutput,
} from "@aws-sdk/client-storage-gateway";
import { targetArn, volumeArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { refuseKms } from "./kms.ts";
import { checkedInterface } from "./network-interface.ts";

/** CreateStorediSCSIVolume: on a free local disk, whose size is the volume's. */
export const createStorediSCSIVolume: Operation<
  Services,
  CreateStorediSCSIVolumeInput,
  CreateStorediSCSIVolumeOutput
> = {
  name: "CreateStorediSCSIVolume",
  async handle({ volumes, realm }, input) {
    refuseKms(input);
    const row = await volumes.createStored({
      gatewayArn: input.GatewayARN ?? "",
      diskId: input.DiskId ?? "",
      preserveExistingData: input.PreserveExistingData === true,
      targetName: input.TargetName ?? "",
      networkInterface: checkedInterface(input.NetworkInterfaceId),
      tags: checkTags(input.Tags),
      ...(input.SnapshotId !== undefined && { snapshotId: input.SnapshotId }),
    });
    return {
      VolumeARN: volumeArn(realm, row.gateway_id, row.id),
      VolumeSizeInBytes: row.size_bytes,
      TargetARN: targetArn(realm, row.gateway_id, row.target_name),
    };
  },
};
