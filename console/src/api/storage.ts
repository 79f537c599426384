/** How full a gateway's cache and upload buffer are. */
import {
  AddCacheCommand,
  AddUploadBufferCommand,
  DescribeCacheCommand,
  DescribeUploadBufferCommand,
} from "@aws-sdk/client-storage-gateway";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import type { Clients } from "./clients.ts";
import { CALM_MS, type Gateway } from "./queries.ts";

export interface StorageState {
  readonly bufferAllocatedBytes: number;
  readonly bufferUsedBytes: number;
  /** Of a cached gateway. */
  readonly cache:
    | {
        readonly allocatedBytes: number;
        readonly usedPercent: number;
        readonly dirtyPercent: number;
        readonly hitPercent: number;
      }
    | undefined;
}

async function storageOf({ storageGateway }: Clients, gateway: Gateway): Promise<StorageState> {
  const { GatewayARN } = gateway;
  const [buffer, cache] = await Promise.all([
    storageGateway.send(new DescribeUploadBufferCommand({ GatewayARN })),
    gateway.GatewayType === "CACHED"
      ? storageGateway.send(new DescribeCacheCommand({ GatewayARN }))
      : undefined,
  ]);
  return {
    bufferAllocatedBytes: buffer.UploadBufferAllocatedInBytes ?? 0,
    bufferUsedBytes: buffer.UploadBufferUsedInBytes ?? 0,
    cache:
      cache === undefined
        ? undefined
        : {
            allocatedBytes: cache.CacheAllocatedInBytes ?? 0,
            usedPercent: cache.CacheUsedPercentage ?? 0,
            dirtyPercent: cache.CacheDirtyPercentage ?? 0,
            hitPercent: cache.CacheHitPercentage ?? 0,
          },
  };
}

export function useStorage(gateway: Gateway): UseQueryResult<StorageState> {
  const clients = useClients();
  return useQuery({
    queryKey: ["storage", gateway.GatewayARN],
    refetchInterval: CALM_MS / 2,
    queryFn: () => storageOf(clients, gateway),
  });
}

export type DiskUse = "cache" | "upload buffer";

export async function addDisks(
  { storageGateway }: Clients,
  gatewayArn: string,
  diskIds: readonly string[],
  use: DiskUse,
): Promise<void> {
  const input = { GatewayARN: gatewayArn, DiskIds: [...diskIds] };
  if (use === "cache") await storageGateway.send(new AddCacheCommand(input));
  else await storageGateway.send(new AddUploadBufferCommand(input));
}
