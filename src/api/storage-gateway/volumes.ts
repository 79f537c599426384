/** ListVolumes, ListVolumeInitiators, DeleteVolume. */
import type {
  DeleteVolumeInput,
  DeleteVolumeOutput,
  ListVolumeInitiatorsInput,
  ListVolumeInitiatorsOutput,
  ListVolumesInput,
  ListVolumesOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import { upperCaseId } from "../../platform/ids.ts";
import type { Operation } from "../operation.ts";
import { pageInOrder } from "./paging.ts";
import { attachmentStatus } from "./shapes.ts";

/** ListVolumes: of one gateway or, without a GatewayARN, of all. */
export const listVolumes: Operation<Services, ListVolumesInput, ListVolumesOutput> = {
  name: "ListVolumes",
  async handle({ gateways, volumes, realm }, { GatewayARN, Limit, Marker }) {
    const gateway = GatewayARN === undefined ? undefined : await gateways.byArn(GatewayARN);
    const { items, marker } = pageInOrder(await volumes.listByArn(), {
      keyOf: (row) => volumes.arnOf(row),
      matches: (row) => row.state !== "deleting" && (gateway === undefined || row.gateway_id === gateway.id),
      marker: Marker,
      limit: Limit,
    });
    return {
      GatewayARN: gateway === undefined ? undefined : gatewayArn(realm, gateway.id),
      Marker: marker,
      VolumeInfos: items.map((row) => ({
        VolumeARN: volumes.arnOf(row),
        VolumeId: upperCaseId(row.id),
        GatewayARN: gatewayArn(realm, row.gateway_id),
        GatewayId: upperCaseId(row.gateway_id),
        VolumeType: row.kind === "stored" ? "STORED iSCSI" : "CACHED iSCSI",
        VolumeSizeInBytes: row.size_bytes,
        VolumeAttachmentStatus: attachmentStatus(row),
      })),
    };
  },
};

export const listVolumeInitiators: Operation<
  Services,
  ListVolumeInitiatorsInput,
  ListVolumeInitiatorsOutput
> = {
  name: "ListVolumeInitiators",
  async handle({ volumes }, { VolumeARN }) {
    const { report } = await volumes.view(await volumes.byArn(VolumeARN ?? ""));
    const names = new Set(report.initiators.map(({ initiatorName }) => initiatorName));
    return { Initiators: [...names].sort() };
  },
};

export const deleteVolume: Operation<Services, DeleteVolumeInput, DeleteVolumeOutput> = {
  name: "DeleteVolume",
  async handle({ volumes }, { VolumeARN }) {
    await volumes.remove(VolumeARN ?? "");
    return { VolumeARN };
  },
};
