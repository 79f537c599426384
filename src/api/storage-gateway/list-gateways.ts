import type { ListGatewaysInput, ListGatewaysOutput } from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import { upperCaseId } from "../../platform/ids.ts";
import type { Operation } from "../operation.ts";
import { page } from "./paging.ts";

/** ListGateways: all gateways of this service, by ARN, in pages. */
export const listGateways: Operation<Services, ListGatewaysInput, ListGatewaysOutput> = {
  name: "ListGateways",
  async handle({ gateways, realm, software }, { Limit, Marker }) {
    const rows = await gateways.list();
    const all = rows.map((row) => ({
      GatewayId: upperCaseId(row.id),
      GatewayARN: gatewayArn(realm, row.id),
      GatewayType: row.kind,
      GatewayOperationalState: "ACTIVE",
      GatewayName: row.name,
      HostEnvironment: "OTHER" as const,
      SoftwareVersion: software.version,
    }));
    const { items, marker } = page(all, (gateway) => gateway.GatewayARN, Marker, Limit);
    return { Gateways: items, Marker: marker };
  },
};
