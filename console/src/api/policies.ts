/** Lifecycle policies: through the Data Lifecycle Manager's API; what they would do, from the gateway's own operation. */
import {
  CreateLifecyclePolicyCommand,
  DeleteLifecyclePolicyCommand,
  DLMClient,
  GetLifecyclePoliciesCommand,
  GetLifecyclePolicyCommand,
  type PolicyDetails,
  UpdateLifecyclePolicyCommand,
} from "@aws-sdk/client-dlm";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useClients, useSignedIn } from "../session/context.tsx";
import { configOf, tellingClient } from "./clients.ts";
import { CALM_MS } from "./queries.ts";

export interface Policy {
  readonly id: string;
  readonly description: string;
  readonly isEnabled: boolean;
  readonly status: string;
  readonly modifiedAt: Date | undefined;
  readonly details: PolicyDetails;
}

/** AWS has a policy run by a role; here it is the gateway that does it, and the role is not looked at. */
const ROLE_ARN = "arn:aws:iam::000000000000:role/sluicegate";
/** So many are asked for one by one at a time; there are a hundred at most. */
const AT_ONCE = 10;

export function useDlm(): DLMClient {
  const { session, sessionEnded } = useSignedIn();
  return useMemo(
    () => tellingClient(new DLMClient(configOf(session)), sessionEnded),
    [session, sessionEnded],
  );
}

export const POLICIES_KEY = ["policies"];

export function usePolicies(): UseQueryResult<Policy[]> {
  const dlm = useDlm();
  return useQuery({
    queryKey: POLICIES_KEY,
    refetchInterval: CALM_MS,
    queryFn: async () => {
      const { Policies = [] } = await dlm.send(new GetLifecyclePoliciesCommand({}));
      const found: Policy[] = [];
      for (let i = 0; i < Policies.length; i += AT_ONCE) {
        const some = Policies.slice(i, i + AT_ONCE);
        found.push(...(await Promise.all(some.map(({ PolicyId = "" }) => policy(dlm, PolicyId)))));
      }
      return found;
    },
  });
}

async function policy(dlm: DLMClient, PolicyId: string): Promise<Policy> {
  const { Policy: found } = await dlm.send(new GetLifecyclePolicyCommand({ PolicyId }));
  return {
    id: PolicyId,
    description: found?.Description ?? "",
    isEnabled: found?.State === "ENABLED",
    status: found?.StatusMessage ?? "",
    modifiedAt: found?.DateModified,
    details: found?.PolicyDetails ?? {},
  };
}

export interface WantedPolicy {
  readonly description: string;
  readonly isEnabled: boolean;
  readonly details: PolicyDetails;
}

/** Makes a policy, or changes the one of that id. */
export async function putPolicy(dlm: DLMClient, id: string | undefined, wanted: WantedPolicy): Promise<void> {
  const input = {
    Description: wanted.description,
    State: wanted.isEnabled ? ("ENABLED" as const) : ("DISABLED" as const),
    PolicyDetails: wanted.details,
  };
  if (id === undefined)
    await dlm.send(new CreateLifecyclePolicyCommand({ ...input, ExecutionRoleArn: ROLE_ARN }));
  else await dlm.send(new UpdateLifecyclePolicyCommand({ ...input, PolicyId: id }));
}

export async function deletePolicy(dlm: DLMClient, PolicyId: string): Promise<void> {
  await dlm.send(new DeleteLifecyclePolicyCommand({ PolicyId }));
}

export interface PolicyPreview {
  readonly Schedules: readonly {
    readonly Name: string;
    readonly MissedRuns: number;
    readonly NextRunTime?: number;
    readonly LastRunTime?: number;
    readonly Problem?: string;
    readonly Creates: readonly { readonly VolumeARNs: readonly string[] }[];
    readonly Deletes: readonly {
      readonly SnapshotId: string;
      readonly VolumeId: string;
      readonly StartTime: number;
      readonly Reason: string;
      readonly KeptByLock: boolean;
    }[];
  }[];
}

/** What a policy would make and delete the next time. Nothing is done. */
export function usePolicyPreview(id: string): UseQueryResult<PolicyPreview | undefined> {
  const { own } = useClients();
  return useQuery({
    queryKey: [...POLICIES_KEY, "preview", id],
    refetchInterval: CALM_MS,
    queryFn: async () =>
      (await own<{ Policies: PolicyPreview[] }>("DescribePolicyPreview", { PolicyId: id })).Policies[0],
  });
}
