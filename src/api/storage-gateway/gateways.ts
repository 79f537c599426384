/** ActivateGateway, UpdateGatewayInformation, UpdateGatewaySoftwareNow, DeleteGateway, ShutdownGateway, StartGateway. */
import type {
  ActivateGatewayInput,
  ActivateGatewayOutput,
  DeleteGatewayInput,
  DeleteGatewayOutput,
  ShutdownGatewayInput,
  ShutdownGatewayOutput,
  StartGatewayInput,
  StartGatewayOutput,
  UpdateGatewayInformationInput,
  UpdateGatewayInformationOutput,
  UpdateGatewaySoftwareNowInput,
  UpdateGatewaySoftwareNowOutput,
} from "@aws-sdk/client-storage-gateway";
import { gatewayArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";

/** ActivateGateway: makes a gateway, without disks, with a key of `GET /?activationRegion=…`. */
export const activateGateway: Operation<Services, ActivateGatewayInput, ActivateGatewayOutput> = {
  name: "ActivateGateway",
  async handle({ gateways, realm }, input) {
    const row = await gateways.activate({
      activationKey: input.ActivationKey ?? "",
      name: input.GatewayName ?? "",
      timezone: input.GatewayTimezone ?? "",
      region: input.GatewayRegion ?? "",
      tags: checkTags(input.Tags),
      ...(input.GatewayType !== undefined && { type: input.GatewayType }),
    });
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** UpdateGatewayInformation: what is not given stays; an empty CloudWatchLogGroupARN takes it away. */
export const updateGatewayInformation: Operation<
  Services,
  UpdateGatewayInformationInput,
  UpdateGatewayInformationOutput
> = {
  name: "UpdateGatewayInformation",
  async handle({ gateways, realm }, input) {
    const { GatewayName, GatewayTimezone, CloudWatchLogGroupARN, GatewayCapacity } = input;
    const gateway = await gateways.byArn(input.GatewayARN ?? "");
    const row = await gateways.update(gateway, {
      ...(GatewayName !== undefined && { name: GatewayName }),
      ...(GatewayTimezone !== undefined && { timezone: GatewayTimezone }),
      settings: {
        ...(CloudWatchLogGroupARN !== undefined && { logGroupArn: CloudWatchLogGroupARN || undefined }),
        ...(GatewayCapacity !== undefined && { capacity: GatewayCapacity }),
      },
    });
    return { GatewayARN: gatewayArn(realm, row.id), GatewayName: row.name };
  },
};

/**
 * UpdateGatewaySoftwareNow: an update that is waiting would be made. None ever is: the program is updated by whoever
 * has installed it, and what is installed runs.
 */
export const updateGatewaySoftwareNow: Operation<
  Services,
  UpdateGatewaySoftwareNowInput,
  UpdateGatewaySoftwareNowOutput
> = {
  name: "UpdateGatewaySoftwareNow",
  async handle({ gateways, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** DeleteGateway: in every state, with its volumes; snapshots and detached volumes stay. */
export const deleteGateway: Operation<Services, DeleteGatewayInput, DeleteGatewayOutput> = {
  name: "DeleteGateway",
  async handle({ gateways, lifecycle, realm }, { GatewayARN }) {
    const row = await gateways.knownByArn(GatewayARN ?? "");
    await lifecycle.remove(row);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

/** ShutdownGateway: after it only StartGateway, DescribeGatewayInformation, ListGateways and DeleteGateway answer. */
export const shutdownGateway: Operation<Services, ShutdownGatewayInput, ShutdownGatewayOutput> = {
  name: "ShutdownGateway",
  async handle({ gateways, lifecycle, realm }, { GatewayARN }) {
    const row = await gateways.byArn(GatewayARN ?? "");
    await lifecycle.shutdown(row);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};

export const startGateway: Operation<Services, StartGatewayInput, StartGatewayOutput> = {
  name: "StartGateway",
  async handle({ gateways, lifecycle, realm }, { GatewayARN }) {
    const row = await gateways.knownByArn(GatewayARN ?? "");
    await lifecycle.start(row);
    return { GatewayARN: gatewayArn(realm, row.id) };
  },
};
