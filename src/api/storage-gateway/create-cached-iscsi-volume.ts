import type {
  CreateCachediSCSIVolumeInput,
  CreateCachediSCSIVolumeOutput,
} from "@aws-sdk/client-storage-gateway";
import { targetArn, volumeArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { refuseKms } from "./kms.ts";
import { checkedInterface } from "./network-interface.ts";

/** CreateCachediSCSIVolume: the same ClientToken again answers with the same volume. */
export const createCachediSCSIVolume: Operation<
  Services,
  CreateCachediSCSIVolumeInput,
  CreateCachediSCSIVolumeOutput
> = {
  name: "CreateCachediSCSIVolume",
  async handle({ volumes, realm }, input) {
    refuseKms(input);
    const row = await volumes.createCached({
      gatewayArn: input.GatewayARN ?? "",
      sizeBytes: input.VolumeSizeInBytes ?? 0,
      targetName: input.TargetName ?? "",
      networkInterface: checkedInterface(input.NetworkInterfaceId),
      clientToken: input.ClientToken ?? "",
      tags: checkTags(input.Tags),
      ...(input.SnapshotId !== undefined && { snapshotId: input.SnapshotId }),
      ...(input.SourceVolumeARN !== undefined && { sourceVolumeArn: input.SourceVolumeARN }),
    });
    return {
      VolumeARN: volumeArn(realm, row.gateway_id, row.id),
      TargetARN: targetArn(realm, row.gateway_id, row.target_name),
    };
  },
};
