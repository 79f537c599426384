import type {
  DescribeGatewayInformationInput,
  DescribeGatewayInformationOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import { readSettings } from "../../gateway/gateway-settings.ts";
import type { Services } from "../../gateway/services.ts";
import { upperCaseId } from "../../platform/ids.ts";
import type { Operation } from "../operation.ts";
import { tagShapes } from "./shapes.ts";

const CAPACITIES = ["Small", "Medium", "Large"] as const;

/** DescribeGatewayInformation: one gateway, also one that is shut down. */
export const describeGatewayInformation: Operation<
  Services,
  DescribeGatewayInformationInput,
  DescribeGatewayInformationOutput
> = {
  name: "DescribeGatewayInformation",
  async handle({ gateways, portal, realm, software, tags }, { GatewayARN }) {
    const row = await gateways.knownByArn(GatewayARN ?? "");
    const { logGroupArn, capacity } = readSettings(row);
    return {
      GatewayARN: gatewayArn(realm, row.id),
      GatewayId: upperCaseId(row.id),
      GatewayName: row.name,
      GatewayTimezone: row.timezone,
      GatewayState: row.state === "running" ? "STATE_RUNNING" : "STATE_SHUTDOWN",
      GatewayNetworkInterfaces: [
        portal.address.includes(":") ? { Ipv6Address: portal.address } : { Ipv4Address: portal.address },
      ],
      GatewayType: row.kind,
      // A text, in the form that AWS gives it.
      LastSoftwareUpdate: new Date(software.updatedAtMs).toISOString().slice(0, 19),
      EndpointType: "STANDARD",
      HostEnvironment: "OTHER",
      SoftwareVersion: software.version,
      SupportedGatewayCapacities: [...CAPACITIES],
      Tags: tagShapes(await tags.ofGateway(row)),
      ...(capacity !== undefined && { GatewayCapacity: capacity as (typeof CAPACITIES)[number] }),
      ...(logGroupArn !== undefined && { CloudWatchLogGroupARN: logGroupArn }),
    };
  },
};
