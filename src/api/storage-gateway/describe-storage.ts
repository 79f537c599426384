/** DescribeCache, DescribeUploadBuffer, DescribeWorkingStorage: how full a gateway's storage is. */
import type {
  DescribeCacheInput,
  DescribeCacheOutput,
  DescribeUploadBufferInput,
  DescribeUploadBufferOutput,
  DescribeWorkingStorageInput,
  DescribeWorkingStorageOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}

export const describeCache: Operation<Services, DescribeCacheInput, DescribeCacheOutput> = {
  name: "DescribeCache",
  async handle({ gateways, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    if (row.kind !== "CACHED") throw new GatewayError("UnsupportedOperationForGatewayType");
    const [storage, usage] = await Promise.all([gateways.storage(row.id), gateways.usage(row.id)]);
    const reads = usage.cacheHits + usage.cacheMisses;
    return {
      GatewayARN: gatewayArn(realm, row.id),
      DiskIds: storage.cacheDisks.map(({ diskId }) => diskId),
      CacheAllocatedInBytes: usage.cacheAllocatedBytes,
      CacheUsedPercentage: percent(usage.cacheUsedBytes, usage.cacheAllocatedBytes),
      CacheDirtyPercentage: percent(usage.cacheDirtyBytes, usage.cacheAllocatedBytes),
      CacheHitPercentage: percent(usage.cacheHits, reads),
      CacheMissPercentage: percent(usage.cacheMisses, reads),
    };
  },
};

async function uploadBuffer({ gateways, realm }: Services, arn: string | undefined, storedOnly: boolean) {
  const row = await gateways.byArn(arn ?? "");
  if (storedOnly && row.kind !== "STORED") throw new GatewayError("UnsupportedOperationForGatewayType");
  const [storage, usage] = await Promise.all([gateways.storage(row.id), gateways.usage(row.id)]);
  return {
    GatewayARN: gatewayArn(realm, row.id),
    DiskIds: storage.uploadBufferDisks.map(({ diskId }) => diskId as string),
    usedBytes: usage.uploadBufferUsedBytes,
    allocatedBytes: usage.uploadBufferAllocatedBytes,
  };
}

export const describeUploadBuffer: Operation<
  Services,
  DescribeUploadBufferInput,
  DescribeUploadBufferOutput
> = {
  name: "DescribeUploadBuffer",
  async handle(services, { GatewayARN }) {
    const { usedBytes, allocatedBytes, ...rest } = await uploadBuffer(services, GatewayARN, false);
    return { ...rest, UploadBufferUsedInBytes: usedBytes, UploadBufferAllocatedInBytes: allocatedBytes };
  },
};

export const describeWorkingStorage: Operation<
  Services,
  DescribeWorkingStorageInput,
  DescribeWorkingStorageOutput
> = {
  name: "DescribeWorkingStorage",
  async handle(services, { GatewayARN }) {
    const { usedBytes, allocatedBytes, ...rest } = await uploadBuffer(services, GatewayARN, true);
    return { ...rest, WorkingStorageUsedInBytes: usedBytes, WorkingStorageAllocatedInBytes: allocatedBytes };
  },
};
