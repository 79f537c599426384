/** SetLocalConsolePassword, StartAvailabilityMonitorTest, DescribeAvailabilityMonitorTest. */
import type {
  DescribeAvailabilityMonitorTestInput,
  DescribeAvailabilityMonitorTestOutput,
  SetLocalConsolePasswordInput,
  SetLocalConsolePasswordOutput,
  StartAvailabilityMonitorTestInput,
  StartAvailabilityMonitorTestOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/** SetLocalConsolePassword: kept as a hash. There is no console but the web's, which asks for access keys. */
export const setLocalConsolePassword: Operation<
  Services,
  SetLocalConsolePasswordInput,
  SetLocalConsolePasswordOutput
> = {
  name: "SetLocalConsolePassword",
  async handle({ gateways, lifecycle, realm }, { GatewayARN, LocalConsolePassword }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    await lifecycle.setConsolePassword(row, LocalConsolePassword ?? "");
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** StartAvailabilityMonitorTest: looks whether the portal and the bucket answer and the disks are there. */
export const startAvailabilityMonitorTest: Operation<
  Services,
  StartAvailabilityMonitorTestInput,
  StartAvailabilityMonitorTestOutput
> = {
  name: "StartAvailabilityMonitorTest",
  async handle({ gateways, lifecycle, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    await lifecycle.startMonitorTest(row);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** DescribeAvailabilityMonitorTest: the last test; no Status where there was none. */
export const describeAvailabilityMonitorTest: Operation<
  Services,
  DescribeAvailabilityMonitorTestInput,
  DescribeAvailabilityMonitorTestOutput
> = {
  name: "DescribeAvailabilityMonitorTest",
  async handle({ gateways, lifecycle, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    const test = lifecycle.monitorTest(row);
    return {
      GatewayARN: gatewayArn(realm, row.id),
      ...(test !== undefined && { Status: test.status, StartTime: new Date(test.startedAtMs) }),
    };
  },
};
