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
import { volumeShape } from "./shapes.ts";

async function views(
  { volumes }: Services,
  arns: readonly string[] | undefined,
  kind: "stored" | "cached",
): Promise<VolumeView[]> {
  const rows = await Promise.all((arns ?? []).map((arn) => volumes.byArn(arn)));
  if (new Set(rows.map((row) => row.gateway_id)).size > 1) {
    throw new GatewayError("InvalidParameters", "The volumes belong to more than one gateway.");
  }
  if (rows.some((row) => row.kind !== kind)) throw new GatewayError("UnsupportedOperationForGatewayType");
  const sorted = [...rows].sort((a, b) => (volumes.arnOf(a) < volumes.arnOf(b) ? -1 : 1));
  return Promise.all(sorted.map((row) => volumes.view(row)));
}

export const describeStorediSCSIVolumes: Operation<
  Services,
  DescribeStorediSCSIVolumesInput,
  DescribeStorediSCSIVolumesOutput
> = {
  name: "DescribeStorediSCSIVolumes",
  async handle(services, { VolumeARNs }) {
    const found = await views(services, VolumeARNs, "stored");
    return { StorediSCSIVolumes: found.map((view) => volumeShape(services, view)) };
  },
};

export const describeCachediSCSIVolumes: Operation<
  Services,
  DescribeCachediSCSIVolumesInput,
  DescribeCachediSCSIVolumesOutput
> = {
  name: "DescribeCachediSCSIVolumes",
  async handle(services, { VolumeARNs }) {
    const found = await views(services, VolumeARNs, "cached");
    return { CachediSCSIVolumes: found.map((view) => volumeShape(services, view)) };
  },
};
