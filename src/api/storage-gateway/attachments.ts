/** AttachVolume and DetachVolume. */
import type {
  AttachVolumeInput,
  AttachVolumeOutput,
  DetachVolumeInput,
  DetachVolumeOutput,
} from "@aws-sdk/client-storage-gateway";
import { targetArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkedInterface } from "./network-interface.ts";

/** AttachVolume: to any gateway of the volume's kind. Its ARN names that gateway from then on; older ones stay good. */
export const attachVolume: Operation<Services, AttachVolumeInput, AttachVolumeOutput> = {
  name: "AttachVolume",
  async handle({ attachments, volumes, realm }, input) {
    const volume = await volumes.byArn(input.VolumeARN ?? "");
    const row = await attachments.attach(volume, {
      gatewayArn: input.GatewayARN ?? "",
      networkInterface: checkedInterface(input.NetworkInterfaceId),
      ...(input.TargetName !== undefined && { targetName: input.TargetName }),
      ...(input.DiskId !== undefined && { diskId: input.DiskId }),
    });
    return { VolumeARN: volumes.arnOf(row), TargetARN: targetArn(realm, row.gateway_id, row.target_name) };
  },
};

/** DetachVolume: answers at once; VolumeAttachmentStatus tells when everything is in the bucket. */
export const detachVolume: Operation<Services, DetachVolumeInput, DetachVolumeOutput> = {
  name: "DetachVolume",
  async handle({ attachments, volumes }, { VolumeARN, ForceDetach }) {
    const volume = await volumes.byArn(VolumeARN ?? "");
    await attachments.detach(volume, ForceDetach === true);
    return { VolumeARN: volumes.arnOf(volume) };
  },
};
