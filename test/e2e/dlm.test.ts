/** Lifecycle policies through the API: Debian's boto3, the newest SDK, aws-cli, the dry run, and a recovery. */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  CreateLifecyclePolicyCommand,
  DLMClient,
  GetLifecyclePoliciesCommand,
  GetLifecyclePolicyCommand,
} from "@aws-sdk/client-dlm";
import { BotoError } from "../clients/boto.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { runOk } from "../clients/iscsi.ts";
import { send } from "../clients/signed-request.ts";
import { fileStore } from "./store.ts";
import { GIB, makeCached, until } from "./volume-kit.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
const ROLE = "arn:aws:iam::000000000000:role/dlm";
const CREATE_RULE = { Interval: 24, IntervalUnit: "HOURS", Times: ["23:45"] };
const SCHEDULE = {
  Name: "2 weeks of daily snapshots",
  CreateRule: CREATE_RULE,
  RetainRule: { Count: 14 },
  TagsToAdd: [{ Key: "SnapshotCreator", Value: "DLM" }],
  CopyTags: false,
};
const DETAILS = {
  PolicyType: "EBS_SNAPSHOT_MANAGEMENT",
  ResourceTypes: ["VOLUME"],
  Schedules: [SCHEDULE],
  TargetTags: [{ Key: "Snapshot", Value: "true" }],
};

describe("the Data Lifecycle Manager's API", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-dlm-"));
  const bucket = join(folder, "bucket");
  mkdirSync(bucket);
  const gateway = new GatewayProcess(join(folder, "data"), [...fileStore.options(bucket), ...SIZES]);
  let sdk: DLMClient;
  let PolicyId = "";
  // biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
  const dlm = (method: string, args: object = {}): Promise<any> => gateway.boto.dlm(method, args);

  before(async () => {
    await gateway.start();
    const { endpoint, accessKeyId, secretAccessKey } = gateway.botoSettings();
    sdk = new DLMClient({ endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } });
    await makeCached(gateway, "kept", GIB, { Tags: [{ Key: "Snapshot", Value: "true" }] });
    await makeCached(gateway, "left");
  });
  after(async () => {
    sdk.destroy();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function refused(call: Promise<unknown>, code: string, status = 400, message = /./): Promise<void> {
    await assert.rejects(call, (error) => {
      assert(error instanceof BotoError, String(error));
      assert.deepEqual([error.code, error.status], [code, status], error.message);
      assert.match(error.message, message);
      return true;
    });
  }
  const make = (details: object, more: object = {}) =>
    dlm("create_lifecycle_policy", {
      ...{ ExecutionRoleArn: ROLE, Description: "example DLM lifecycle policy", State: "ENABLED" },
      PolicyDetails: { ...DETAILS, ...details },
      ...more,
    });

  test("what Terraform makes comes back as it was; it is changed, found, tagged", async () => {
    ({ PolicyId } = await make({}, { Tags: { Name: "one" } }));
    const { Policy } = await dlm("get_lifecycle_policy", { PolicyId });
    assert.deepEqual(Policy.PolicyDetails, DETAILS);
    assert.deepEqual(
      [Policy.State, Policy.StatusMessage, Policy.Description, Policy.ExecutionRoleArn, Policy.Tags],
      ["ENABLED", "ENABLED", "example DLM lifecycle policy", ROLE, { Name: "one" }],
    );
    assert.equal(Policy.PolicyArn, `arn:aws:dlm:us-east-1:000000000000:policy/${PolicyId}`);
    assert(Date.now() - new Date(Policy.DateCreated).getTime() < 600_000);
    const newest = await sdk.send(new GetLifecyclePolicyCommand({ PolicyId }));
    assert.deepEqual(newest.Policy?.PolicyDetails, DETAILS);
    assert(newest.Policy?.DateModified instanceof Date);

    const instance = { ...DETAILS, ResourceTypes: ["INSTANCE" as const], PolicyType: undefined };
    const cron = { ...SCHEDULE, CreateRule: { CronExpression: "cron(0 3 ? * MON-FRI *)" } };
    const other = await sdk.send(
      new CreateLifecyclePolicyCommand({
        ...{ ExecutionRoleArn: ROLE, Description: "by cron", State: "DISABLED" },
        PolicyDetails: {
          ...instance,
          Schedules: [{ ...cron, RetainRule: { Interval: 3, IntervalUnit: "MONTHS" } }],
        },
      }),
    );
    const ids = async (args: object) =>
      (await dlm("get_lifecycle_policies", args)).Policies.map((one: { PolicyId: string }) => one.PolicyId);
    assert.deepEqual((await ids({})).sort(), [PolicyId, other.PolicyId].sort());
    assert.equal((await ids({ PolicyIds: [PolicyId, other.PolicyId] })).length, 2);
    assert.deepEqual(await ids({ State: "DISABLED" }), [other.PolicyId]);
    assert.deepEqual(await ids({ ResourceTypes: ["VOLUME"] }), [PolicyId]);
    assert.deepEqual(await ids({ PolicyIds: [other.PolicyId], State: "ENABLED" }), []);
    assert.equal(
      (await ids({ TargetTags: ["Snapshot=true"], TagsToAdd: ["SnapshotCreator=DLM"] })).length,
      2,
    );
    assert.deepEqual(await ids({ TargetTags: ["Snapshot=false"] }), []);
    const all = await sdk.send(new GetLifecyclePoliciesCommand({}));
    assert.deepEqual(
      all.Policies?.map(({ DefaultPolicy }) => DefaultPolicy),
      [false, false],
    );

    await dlm("update_lifecycle_policy", {
      PolicyId: other.PolicyId,
      State: "ENABLED",
      Description: "now on",
    });
    const changed = (await dlm("get_lifecycle_policy", { PolicyId: other.PolicyId })).Policy;
    assert.deepEqual([changed.State, changed.Description], ["ENABLED", "now on"]);
    // What was left out is told as what holds.
    assert.equal(changed.PolicyDetails.PolicyType, "EBS_SNAPSHOT_MANAGEMENT");
    assert.equal(changed.PolicyDetails.Schedules[0].CreateRule.CronExpression, "cron(0 3 ? * MON-FRI *)");
    const ResourceArn = Policy.PolicyArn;
    await dlm("tag_resource", { ResourceArn, Tags: { Name: "two", more: "x" } });
    await dlm("tag_resource", { ResourceArn, Tags: { again: "y" } });
    await dlm("untag_resource", { ResourceArn, TagKeys: ["more", "again"] });
    assert.deepEqual((await dlm("list_tags_for_resource", { ResourceArn })).Tags, { Name: "two" });
    await dlm("delete_lifecycle_policy", { PolicyId: other.PolicyId });
    await refused(
      dlm("get_lifecycle_policy", { PolicyId: other.PolicyId }),
      "ResourceNotFoundException",
      404,
    );
    await refused(
      dlm("delete_lifecycle_policy", { PolicyId: other.PolicyId }),
      "ResourceNotFoundException",
      404,
    );
    const none = "arn:aws:dlm:us-east-1:000000000000:policy/policy-0";
    await refused(dlm("list_tags_for_resource", { ResourceArn: none }), "ResourceNotFoundException", 404);
    await refused(
      dlm("get_lifecycle_policies", { PolicyIds: ["policy-0"] }),
      "ResourceNotFoundException",
      404,
    );
    const { endpoint, accessKeyId, secretAccessKey } = gateway.botoSettings();
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: "us-east-1",
    };
    const cli = [
      "--endpoint-url",
      endpoint,
      "--output",
      "json",
      "dlm",
      "get-lifecycle-policy",
      "--policy-id",
      PolicyId,
    ];
    assert.equal(JSON.parse(await runOk("/usr/bin/aws", cli, env)).Policy.PolicyId, PolicyId);
  });

  test("what makes no sense, or is not built, is refused by name", async () => {
    const bad = async (schedule: object, message: RegExp) =>
      refused(make({ Schedules: [{ ...SCHEDULE, ...schedule }] }), "InvalidRequestException", 400, message);
    await bad({ CreateRule: { Interval: 5, IntervalUnit: "HOURS" } }, /one of 1, 2, 3/);
    await bad({ CreateRule: { Interval: 12 } }, /IntervalUnit/);
    await bad({ CreateRule: { ...CREATE_RULE, Times: ["24:00"] } }, /times/);
    await bad({ CreateRule: { ...CREATE_RULE, CronExpression: "cron(0 3 ? * MON-FRI *)" } }, /not both/);
    await bad({ CreateRule: { CronExpression: "cron(99 99 99 99 99 99)" } }, /99/);
    await bad({ CreateRule: undefined }, /CreateRule/);
    await bad({ RetainRule: {} }, /RetainRule/);
    await bad({ RetainRule: { Count: 1, Interval: 1, IntervalUnit: "DAYS" } }, /not both/);
    await bad({ RetainRule: { Count: 1001 } }, /count/);
    await bad({ RetainRule: { Interval: 101, IntervalUnit: "YEARS" } }, /100 years/);
    await bad({ FastRestoreRule: { AvailabilityZones: ["us-east-1a"], Count: 1 } }, /FastRestoreRule/);
    await bad({ DeprecateRule: { Count: 1 } }, /DeprecateRule/);
    await bad({ TagsToAdd: [{ Key: "aws:x", Value: "" }] }, /aws:/);
    await refused(
      make({ Schedules: [SCHEDULE, SCHEDULE] }),
      "InvalidRequestException",
      400,
      /different names/,
    );
    await refused(
      make({ PolicyType: "IMAGE_MANAGEMENT" }),
      "InvalidRequestException",
      400,
      /IMAGE_MANAGEMENT/,
    );
    await refused(make({ ResourceLocations: ["OUTPOST"] }), "InvalidRequestException", 400, /outposts/);
    await refused(make({ TargetTags: undefined }), "InvalidRequestException", 400, /TargetTags/);
    await refused(make({}, { ExecutionRoleArn: "me" }), "InvalidRequestException", 400, /executionRoleArn/);
    await refused(make({}, { Description: "no (brackets)" }), "InvalidRequestException", 400, /description/);
    const raw = await send(gateway.botoSettings(), { service: "dlm", path: "/policies", body: "{" });
    assert.equal(raw.status, 400);
    assert.equal(raw.headers.get("x-amzn-errortype"), "InvalidRequestException");
    const lost = await send(gateway.botoSettings(), { service: "dlm", path: "/policies/x/y/z", body: "{}" });
    assert.equal(lost.status, 404);
  });

  test("the dry run says what would be; a recovered gateway has its policies again", async () => {
    const dryRun = (...args: string[]) => sluicegate("policy", "dry-run", ...args, "--data", gateway.dataDir);
    const { Volumes } = await gateway.boto.ec2("describe_volumes", {
      Filters: [{ Name: "tag:Snapshot", Values: ["true"] }],
    });
    const { status, stdout, stderr } = dryRun(PolicyId);
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^${PolicyId}  ENABLED  example DLM`));
    assert.match(stdout, /2 weeks of daily snapshots: next \d{4}-\d\d-\d\dT23:45:00.000Z\n/);
    assert.match(stdout, new RegExp(`make {4}${Volumes[0].VolumeId}\n$`));
    assert.equal(dryRun().stdout, stdout);
    assert.match(dryRun("policy-0").stderr, /does not exist/);

    const key = join(folder, "key");
    copyFileSync(join(gateway.dataDir, "vault.key"), key);
    await gateway.stop();
    rmSync(gateway.dataDir, { recursive: true });
    const options = [...fileStore.options(bucket), "--key", key, "--data", gateway.dataDir, ...SIZES];
    const recovered = sluicegate("recover", ...options);
    assert.equal(recovered.status, 0, recovered.stderr);
    await gateway.start();
    const { Policy } = await dlm("get_lifecycle_policy", { PolicyId });
    assert.deepEqual(Policy.PolicyDetails, DETAILS);
    assert.deepEqual(Policy.Tags, { Name: "two" });
    await until("the dry run", async () => (dryRun().status === 0 ? true : undefined));
  });
});
