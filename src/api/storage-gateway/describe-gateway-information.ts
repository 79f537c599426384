import type {
  DescribeGatewayInformationInput,
  DescribeGatewayInformationOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import { upperCaseId } from "../../platform/ids.ts";
import type { Operation } from "../operation.ts";
import { tagShapes } from "./shapes.ts";

/** DescribeGatewayInformation: one gateway. */
export const describeGatewayInformation: Operation<
  Services,
  DescribeGatewayInformationInput,
  DescribeGatewayInformationOutput
> = {
  name: "DescribeGatewayInformation",
  async handle({ gateways, portal, realm, tags }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    return {
      GatewayARN: gatewayArn(realm, row.id),
      GatewayId: upperCaseId(row.id),
      GatewayName: row.name,
      GatewayTimezone: row.timezone,
      GatewayState: "STATE_RUNNING",
      GatewayNetworkInterfaces: [{ Ipv4Address: portal.host }],
      GatewayType: row.kind,
      EndpointType: "STANDARD",
      HostEnvironment: "OTHER",
      Tags: tagShapes(await tags.list(gatewayArn(realm, row.id))),
    };
  },
};
