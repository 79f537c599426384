/** The operations of the Data Lifecycle Manager, each called and looked at; and requests that each refuses. */
import { strict as assert } from "node:assert";
import type { Call, Refusal } from "./scenario.ts";

const ROLE = "arn:aws:iam::000000000000:role/dlm";
const SCHEDULE = {
  Name: "daily",
  CreateRule: { Interval: 24, IntervalUnit: "HOURS", Times: ["23:45"] },
  RetainRule: { Count: 14 },
  TagsToAdd: [{ Key: "SnapshotCreator", Value: "DLM" }],
  CopyTags: false,
};

export const POLICY = {
  ...{ ExecutionRoleArn: ROLE, Description: "daily snapshots", State: "DISABLED" },
  PolicyDetails: {
    PolicyType: "EBS_SNAPSHOT_MANAGEMENT",
    ResourceTypes: ["VOLUME"],
    Schedules: [SCHEDULE],
    TargetTags: [{ Key: "Snapshot", Value: "true" }],
  },
};

export async function everyDlmOperation(call: Call, tag: string): Promise<void> {
  const { PolicyId } = await call("CreateLifecyclePolicy", { ...POLICY, Tags: { by: tag } });
  assert.match(PolicyId, /^policy-[0-9a-f]{17}$/);
  const { Policy } = await call("GetLifecyclePolicy", { PolicyId });
  assert.deepEqual(Policy.PolicyDetails, POLICY.PolicyDetails);
  assert.deepEqual([Policy.State, Policy.Tags], ["DISABLED", { by: tag }]);
  const ResourceArn = Policy.PolicyArn;
  await call("UpdateLifecyclePolicy", { PolicyId, Description: `of ${tag}` });
  const { Policies } = await call("GetLifecyclePolicies", { PolicyIds: [PolicyId] });
  assert.deepEqual(
    Policies.map((one: { Description: string; Tags: object }) => [one.Description, one.Tags]),
    [[`of ${tag}`, { by: tag }]],
  );
  await call("TagResource", { ResourceArn, Tags: { more: "1" } });
  await call("UntagResource", { ResourceArn, TagKeys: ["by"] });
  assert.deepEqual((await call("ListTagsForResource", { ResourceArn })).Tags, { more: "1" });
  await call("DeleteLifecyclePolicy", { PolicyId });
}

export function dlmRefusals(policyId: string): Refusal[] {
  const [none, invalid] = ["ResourceNotFoundException", "InvalidRequestException"];
  const of = (more: object) => ({
    ...POLICY,
    PolicyDetails: { ...POLICY.PolicyDetails, Schedules: [{ ...SCHEDULE, ...more }] },
  });
  const PolicyId = "policy-0";
  const ResourceArn = "arn:aws:dlm:us-east-1:000000000000:policy/policy-0";
  const tooOften = { CreateRule: { Interval: 5, IntervalUnit: "HOURS" } };
  const both = { RetainRule: { Count: 1, Interval: 1, IntervalUnit: "DAYS" } };
  return [
    ["CreateLifecyclePolicy", { ...POLICY, PolicyDetails: undefined }, invalid],
    ["CreateLifecyclePolicy", of({ CreateRule: undefined }), invalid],
    ["CreateLifecyclePolicy", of(both), invalid],
    ["CreateLifecyclePolicy", of(tooOften), invalid],
    ["CreateLifecyclePolicy", { ...POLICY, Tags: { "aws:k": "v" } }, invalid],
    ["UpdateLifecyclePolicy", { ...of(tooOften), PolicyId: policyId }, invalid],
    ["UpdateLifecyclePolicy", { PolicyId, State: "ENABLED" }, none, 404],
    ["GetLifecyclePolicy", { PolicyId }, none, 404],
    ["GetLifecyclePolicy", { PolicyId: "x" }, invalid],
    ["GetLifecyclePolicies", { PolicyIds: [PolicyId] }, none, 404],
    ["GetLifecyclePolicies", { State: "ON" }, invalid],
    ["DeleteLifecyclePolicy", { PolicyId }, none, 404],
    ["DeleteLifecyclePolicy", { PolicyId: "x" }, invalid],
    ["TagResource", { ResourceArn, Tags: { k: "v" } }, none, 404],
    ["TagResource", { ResourceArn, Tags: {} }, invalid],
    ["UntagResource", { ResourceArn, TagKeys: ["k"] }, none, 404],
    ["UntagResource", { ResourceArn: "x", TagKeys: ["k"] }, invalid],
    ["ListTagsForResource", { ResourceArn }, none, 404],
    ["ListTagsForResource", { ResourceArn: "x" }, invalid],
  ];
}
