/** CreateLifecyclePolicy, GetLifecyclePolicy, GetLifecyclePolicies, UpdateLifecyclePolicy, DeleteLifecyclePolicy. */
import { policyArn } from "../../gateway/arn.ts";
import { PolicyError, type PolicyView } from "../../gateway/policies.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { type PolicyDetails, rulesOf } from "./policy-shape.ts";

interface PolicyInput {
  readonly ExecutionRoleArn?: string;
  readonly Description?: string;
  readonly State?: "ENABLED" | "DISABLED";
  readonly PolicyDetails?: PolicyDetails;
}

interface CreateInput extends PolicyInput {
  readonly Tags?: Readonly<Record<string, string>>;
  /** Of default policies, which are not built. */
  readonly DefaultPolicy?: unknown;
}

export const createLifecyclePolicy: Operation<Services, CreateInput, { readonly PolicyId: string }> = {
  name: "CreateLifecyclePolicy",
  async handle({ policies }, { ExecutionRoleArn, Description, State, PolicyDetails, Tags, DefaultPolicy }) {
    if (DefaultPolicy !== undefined)
      throw new PolicyError("invalid", "Not supported here: default policies.");
    if (PolicyDetails === undefined)
      throw new PolicyError("invalid", "The request must contain PolicyDetails.", [], {
        required: ["PolicyDetails"],
      });
    const wanted = {
      description: Description ?? "",
      roleArn: ExecutionRoleArn ?? "",
      isEnabled: State !== "DISABLED",
      details: JSON.stringify(PolicyDetails),
      rules: rulesOf(PolicyDetails),
    };
    return { PolicyId: await policies.create(wanted, tagsOf(Tags)) };
  },
};

export const updateLifecyclePolicy: Operation<Services, PolicyInput & { readonly PolicyId: string }, object> =
  {
    name: "UpdateLifecyclePolicy",
    async handle({ policies }, { PolicyId, ExecutionRoleArn, Description, State, PolicyDetails }) {
      await policies.update(PolicyId, {
        ...(Description !== undefined && { description: Description }),
        ...(ExecutionRoleArn !== undefined && { roleArn: ExecutionRoleArn }),
        ...(State !== undefined && { isEnabled: State === "ENABLED" }),
        ...(PolicyDetails !== undefined && {
          details: JSON.stringify(PolicyDetails),
          rules: rulesOf(PolicyDetails),
        }),
      });
      return {};
    },
  };

/** What the policy has made stays, and nobody deletes it any more. */
export const deleteLifecyclePolicy: Operation<Services, { readonly PolicyId: string }, object> = {
  name: "DeleteLifecyclePolicy",
  async handle({ policies }, { PolicyId }) {
    await policies.remove(PolicyId);
    return {};
  },
};

export const getLifecyclePolicy: Operation<Services, { readonly PolicyId: string }, object> = {
  name: "GetLifecyclePolicy",
  async handle({ policies, realm }, { PolicyId }) {
    const policy = await policies.get(PolicyId);
    const { row } = policy;
    return {
      Policy: {
        ...summaryOf(policy),
        ExecutionRoleArn: row.role_arn,
        StatusMessage: statusOf(policy),
        DateCreated: new Date(row.created_at),
        DateModified: new Date(row.modified_at),
        PolicyDetails: { PolicyType: "EBS_SNAPSHOT_MANAGEMENT", ...detailsOf(policy) },
        PolicyArn: policyArn(realm, row.id),
        DefaultPolicy: false,
      },
    };
  },
};

interface ListInput {
  readonly PolicyIds?: readonly string[];
  readonly State?: string;
  readonly ResourceTypes?: readonly string[];
  readonly TargetTags?: readonly string[];
  readonly TagsToAdd?: readonly string[];
  readonly DefaultPolicyType?: string;
}

/** All policies that fit; tags are asked for as `key=value`. */
export const getLifecyclePolicies: Operation<Services, ListInput, object> = {
  name: "GetLifecyclePolicies",
  async handle({ policies }, input) {
    const found = (await policies.list(input.PolicyIds ?? [])).filter((policy) => {
      const { ResourceTypes, TargetTags = [], Schedules = [] } = detailsOf(policy);
      const added = Schedules.flatMap(({ TagsToAdd = [] }) => TagsToAdd);
      return (
        (input.State === undefined || input.State === stateOf(policy)) &&
        (input.ResourceTypes ?? []).every((type) => ResourceTypes?.includes(type)) &&
        (input.TargetTags ?? []).every((tag) =>
          TargetTags.some((one) => tag === `${one.Key}=${one.Value}`),
        ) &&
        (input.TagsToAdd ?? []).every((tag) => added.some((one) => tag === `${one.Key}=${one.Value}`)) &&
        // None of them is a default policy.
        input.DefaultPolicyType === undefined
      );
    });
    return { Policies: found.map((policy) => ({ ...summaryOf(policy), DefaultPolicy: false })) };
  },
};

/** The tags of a map. Throws where they are none. */
export function tagsOf(map: Readonly<Record<string, string>> | undefined): { key: string; value: string }[] {
  return checkTags(
    Object.entries(map ?? {}).map(([Key, Value]) => ({ Key, Value })),
    "any",
  );
}

function summaryOf(policy: PolicyView): object {
  return {
    PolicyId: policy.row.id,
    Description: policy.row.description,
    State: stateOf(policy),
    Tags: Object.fromEntries(policy.tags.map(({ key, value }) => [key, value])),
    PolicyType: "EBS_SNAPSHOT_MANAGEMENT",
  };
}

function stateOf({ row }: PolicyView): "ENABLED" | "DISABLED" {
  return row.enabled === 1 ? "ENABLED" : "DISABLED";
}

/** What stands in the way of its schedules, or the state. */
function statusOf(policy: PolicyView): string {
  const problems = policy.schedules.flatMap(({ name, problem, missed_runs }) => [
    ...(problem === null ? [] : [`${name}: ${problem}`]),
    ...(missed_runs === 0 ? [] : [`${name}: ${missed_runs} runs were missed`]),
  ]);
  return problems.length === 0 ? stateOf(policy) : problems.join("; ").slice(0, 500);
}

function detailsOf({ row }: PolicyView): PolicyDetails {
  return JSON.parse(row.details) as PolicyDetails;
}
