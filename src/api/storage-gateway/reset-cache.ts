import type { ResetCacheInput, ResetCacheOutput } from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/**
 * ResetCache: takes all cache disks out of use and frees them, as after the failure of one. What was not in the bucket
 * yet is lost, and named in the log; the volumes go on with their newest recovery points once AddCache has given the
 * gateway a cache again.
 */
export const resetCache: Operation<Services, ResetCacheInput, ResetCacheOutput> = {
  name: "ResetCache",
  async handle({ gateways, volumes, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    if (row.kind !== "CACHED") throw new GatewayError("UnsupportedOperationForGatewayType");
    await volumes.resetCache(row);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};
