/** ListVolumeRecoveryPoints and CreateSnapshotFromVolumeRecoveryPoint: the newest one of each cached volume. */
import type {
  CreateSnapshotFromVolumeRecoveryPointInput,
  CreateSnapshotFromVolumeRecoveryPointOutput,
  ListVolumeRecoveryPointsInput,
  ListVolumeRecoveryPointsOutput,
  VolumeRecoveryPointInfo,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";

export const listVolumeRecoveryPoints: Operation<
  Services,
  ListVolumeRecoveryPointsInput,
  ListVolumeRecoveryPointsOutput
> = {
  name: "ListVolumeRecoveryPoints",
  async handle({ gateways, volumes, realm }, { GatewayARN }) {
    const gateway = await gateways.byArn(GatewayARN ?? "");
    if (gateway.kind !== "CACHED") throw new GatewayError("UnsupportedOperationForGatewayType");
    const infos: VolumeRecoveryPointInfo[] = [];
    for (const row of await volumes.list()) {
      if (row.gateway_id !== gateway.id || row.state !== "active") continue;
      const { recoveryPoint } = (await volumes.view(row)).report;
      if (recoveryPoint === undefined) continue;
      infos.push({
        VolumeARN: volumes.arnOf(row),
        VolumeSizeInBytes: row.size_bytes,
        VolumeUsageInBytes: recoveryPoint.fullBytes,
        VolumeRecoveryPointTime: timeOf(recoveryPoint.cutAtMs),
      });
    }
    return { GatewayARN: gatewayArn(realm, gateway.id), VolumeRecoveryPointInfos: infos };
  },
};

export const createSnapshotFromVolumeRecoveryPoint: Operation<
  Services,
  CreateSnapshotFromVolumeRecoveryPointInput,
  CreateSnapshotFromVolumeRecoveryPointOutput
> = {
  name: "CreateSnapshotFromVolumeRecoveryPoint",
  async handle({ volumes, recoveryPoints }, { VolumeARN, SnapshotDescription, Tags }) {
    const row = await volumes.byArn(VolumeARN ?? "");
    if (row.kind !== "cached") throw new GatewayError("UnsupportedOperationForGatewayType");
    const snapshot = await recoveryPoints.name(row, undefined, SnapshotDescription ?? "", checkTags(Tags));
    return {
      VolumeARN: volumes.arnOf(row),
      SnapshotId: snapshot.id,
      VolumeRecoveryPointTime: timeOf(snapshot.started_at),
    };
  },
};

/** `2026-11-23T10:00:00.000Z`: the API has this one time as a text. */
function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
