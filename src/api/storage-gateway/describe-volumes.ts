/** DescribeStorediSCSIVolumes and DescribeCachediSCSIVolumes: volumes of one gateway, by ARN. */
import type {
  DescribeCachediSCSIVolumesInput,
  DescribeCachediSCSIVolumesOutput,
  DescribeStorediSCSIVolumesInput,
  DescribeStorediSCSIVolumesOutput,
} from "@aws-sdk/client-storage-gateway";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { VolumeView } from "../../gateway/volumes.ts";
import type { Operation } from "../operation.ts";
import { type CommonVolume, volumeShape } from "./shapes.ts";

async function described(
  services: Services,
  arns: readonly string[] | undefined,
  kind: "stored" | "cached",
): Promise<CommonVolume[]> {
  const { chap, volumes } = services;
  const unique = new Map<string, VolumeView["row"]>();
  for (const arn of arns ?? []) {
    const row = await volumes.byArn(arn);
    unique.set(row.id, row);
  }
  const rows = [...unique.values()];
  if (new Set(rows.map((row) => row.gateway_id)).size > 1) {
    throw new GatewayError("InvalidParameters", "The volumes belong to more than one gateway.");
  }
  if (rows.some((row) => row.kind !== kind)) throw new GatewayError("UnsupportedOperationForGatewayType");
  const sorted = [...rows].sort((a, b) => (volumes.arnOf(a) < volumes.arnOf(b) ? -1 : 1));
  const views = await volumes.views(sorted);
  return Promise.all(
    views.map(async (view) => volumeShape(services, view, (await chap.list(view.row)).length > 0)),
  );
}

export const describeStorediSCSIVolumes: Operation<
  Services,
  DescribeStorediSCSIVolumesInput,
  DescribeStorediSCSIVolumesOutput
> = {
  name: "DescribeStorediSCSIVolumes",
  async handle(services, { VolumeARNs }) {
    return { StorediSCSIVolumes: await described(services, VolumeARNs, "stored") };
  },
};

export const describeCachediSCSIVolumes: Operation<
  Services,
  DescribeCachediSCSIVolumesInput,
  DescribeCachediSCSIVolumesOutput
> = {
  name: "DescribeCachediSCSIVolumes",
  async handle(services, { VolumeARNs }) {
    return { CachediSCSIVolumes: await described(services, VolumeARNs, "cached") };
  },
};
