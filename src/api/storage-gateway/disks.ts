/** ListLocalDisks, AddCache, AddUploadBuffer, AddWorkingStorage: a gateway's disks. */
import type {
  AddCacheInput,
  AddCacheOutput,
  AddUploadBufferInput,
  AddUploadBufferOutput,
  AddWorkingStorageInput,
  AddWorkingStorageOutput,
  ListLocalDisksInput,
  ListLocalDisksOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { diskShape } from "./shapes.ts";

/** ListLocalDisks: the gateway's disks and those that are free. */
export const listLocalDisks: Operation<Services, ListLocalDisksInput, ListLocalDisksOutput> = {
  name: "ListLocalDisks",
  async handle({ gateways, disks, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    const found = await disks.ofGateway(row.id);
    return {
      GatewayARN: gatewayArn(realm, row.id),
      Disks: found.map((disk) => diskShape(disk, realm.region)),
    };
  },
};

/** AddCache: cached gateways only. */
export const addCache: Operation<Services, AddCacheInput, AddCacheOutput> = {
  name: "AddCache",
  async handle({ gateways, realm }, { GatewayARN, DiskIds }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    if (row.kind !== "CACHED") throw new GatewayError("UnsupportedOperationForGatewayType");
    await gateways.addDisks(row, DiskIds ?? [], "CACHE_STORAGE");
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

export const addUploadBuffer: Operation<Services, AddUploadBufferInput, AddUploadBufferOutput> = {
  name: "AddUploadBuffer",
  async handle({ gateways, realm }, { GatewayARN, DiskIds }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    await gateways.addDisks(row, DiskIds ?? [], "UPLOAD_BUFFER");
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** AddWorkingStorage: the old name of AddUploadBuffer, for stored gateways. */
export const addWorkingStorage: Operation<Services, AddWorkingStorageInput, AddWorkingStorageOutput> = {
  name: "AddWorkingStorage",
  async handle({ gateways, realm }, { GatewayARN, DiskIds }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    if (row.kind !== "STORED") throw new GatewayError("UnsupportedOperationForGatewayType");
    await gateways.addDisks(row, DiskIds ?? [], "UPLOAD_BUFFER");
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};
