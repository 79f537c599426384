/** UpdateChapCredentials, DescribeChapCredentials, DeleteChapCredentials. */
import type {
  DeleteChapCredentialsInput,
  DeleteChapCredentialsOutput,
  DescribeChapCredentialsInput,
  DescribeChapCredentialsOutput,
  UpdateChapCredentialsInput,
  UpdateChapCredentialsOutput,
} from "@aws-sdk/client-storage-gateway";
import { targetArn } from "../../gateway/arn.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/** UpdateChapCredentials: the initiator's sessions that it does not admit any more are ended. */
export const updateChapCredentials: Operation<
  Services,
  UpdateChapCredentialsInput,
  UpdateChapCredentialsOutput
> = {
  name: "UpdateChapCredentials",
  async handle({ chap, volumes, realm }, input) {
    const volume = await volumes.byTargetArn(input.TargetARN ?? "");
    await chap.put(volume, {
      initiatorName: input.InitiatorName ?? "",
      secretToAuthenticateInitiator: input.SecretToAuthenticateInitiator ?? "",
      ...(input.SecretToAuthenticateTarget !== undefined && {
        secretToAuthenticateTarget: input.SecretToAuthenticateTarget,
      }),
    });
    return {
      TargetARN: targetArn(realm, volume.gateway_id, volume.target_name),
      InitiatorName: input.InitiatorName,
    };
  },
};

/** DescribeChapCredentials: with the secrets, as AWS has it; only administrators may ask. */
export const describeChapCredentials: Operation<
  Services,
  DescribeChapCredentialsInput,
  DescribeChapCredentialsOutput
> = {
  name: "DescribeChapCredentials",
  async handle({ chap, volumes, realm }, { TargetARN }) {
    const volume = await volumes.byTargetArn(TargetARN ?? "");
    const credentials = await chap.list(volume);
    return {
      ChapCredentials: credentials.map((each) => ({
        TargetARN: targetArn(realm, volume.gateway_id, volume.target_name),
        InitiatorName: each.initiatorName,
        SecretToAuthenticateInitiator: each.secretToAuthenticateInitiator,
        SecretToAuthenticateTarget: each.secretToAuthenticateTarget,
      })),
    };
  },
};

export const deleteChapCredentials: Operation<
  Services,
  DeleteChapCredentialsInput,
  DeleteChapCredentialsOutput
> = {
  name: "DeleteChapCredentials",
  async handle({ chap, volumes, realm }, { TargetARN, InitiatorName }) {
    const volume = await volumes.byTargetArn(TargetARN ?? "");
    await chap.remove(volume, InitiatorName ?? "");
    return { TargetARN: targetArn(realm, volume.gateway_id, volume.target_name), InitiatorName };
  },
};
