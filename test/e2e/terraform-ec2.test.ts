/**
 * The calls that Terraform's AWS provider makes for aws_ebs_volume, aws_ebs_snapshot, aws_ebs_snapshot_copy and
 * aws_dlm_lifecycle_policy, in its order, with what it waits for, what it compares with its configuration, and how it
 * finds out that something is gone.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { type ApiCaller, openCaller } from "../clients/storage-gateway.ts";
import { until } from "./volume-kit.ts";

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Answer = any;

const ZONE = "us-east-1a";
const ROLE = "arn:aws:iam::000000000000:role/dlm";

describe("Terraform's sequences of calls to EC2 and the Data Lifecycle Manager", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-terraform-ec2-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  let ec2: ApiCaller;
  let dlm: ApiCaller;
  before(async () => {
    await gateway.start();
    ec2 = openCaller("aws-sdk", gateway.botoSettings(), "ec2");
    dlm = openCaller("aws-sdk", gateway.botoSettings(), "dlm");
  });
  after(async () => {
    ec2?.close();
    dlm?.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Undefined where the service says that it is gone, as the provider takes it. */
  const unlessGone = async <T>(call: Promise<T>, ...codes: string[]): Promise<T | undefined> =>
    call.catch((error: Error) => {
      if (codes.includes(error.name)) return undefined;
      throw error;
    });
  const tagsOf = (ResourceType: string, tags: Record<string, string>) => [
    { ResourceType, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
  ];
  const asMap = (Tags: readonly { Key: string; Value: string }[] = []) =>
    Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));

  async function readVolume(id: string): Promise<Answer> {
    const answer = await unlessGone(
      ec2.call("DescribeVolumes", { VolumeIds: [id] }),
      "InvalidVolume.NotFound",
    );
    const volume = answer?.Volumes?.[0];
    if (volume === undefined) return undefined;
    assert.equal(volume.VolumeId, id);
    return {
      availability_zone: volume.AvailabilityZone,
      encrypted: volume.Encrypted,
      iops: volume.Iops ?? 0,
      throughput: volume.Throughput ?? 0,
      type: volume.VolumeType,
      size: volume.Size,
      snapshot_id: volume.SnapshotId ?? "",
      multi_attach_enabled: volume.MultiAttachEnabled,
      tags: asMap(volume.Tags),
    };
  }

  /** The provider waits from one of `pending` to `target`; anything else is an error. */
  const waitForVolume = (id: string, pending: string[], target: string) =>
    until(target, async () => {
      const { Volumes } = await ec2.call("DescribeVolumes", { VolumeIds: [id] });
      const state = Volumes[0].State;
      assert([...pending, target].includes(state), state);
      return state === target ? true : undefined;
    });

  async function createVolume(input: object, type: string): Promise<string> {
    const { VolumeId } = await ec2.call("CreateVolume", {
      AvailabilityZone: ZONE,
      ClientToken: `terraform-${type}`,
      ...input,
    });
    await waitForVolume(VolumeId, ["creating"], "available");
    return VolumeId;
  }

  test("aws_ebs_volume", async () => {
    const id = await createVolume(
      { Size: 1, VolumeType: "gp3", Iops: 4000, TagSpecifications: tagsOf("volume", { Name: "tf" }) },
      "one",
    );
    const state = await readVolume(id);
    assert.deepEqual(state, {
      ...{ availability_zone: ZONE, encrypted: true, iops: 4000, throughput: 0, type: "gp3", size: 1 },
      ...{ snapshot_id: "", multi_attach_enabled: false, tags: { Name: "tf" } },
    });
    assert.deepEqual(await readVolume(id), state, "an import shows no difference");

    // Another size, and another type alone.
    const modify = async (change: object) => {
      await ec2.call("ModifyVolume", { VolumeId: id, ...change });
      await until("modified", async () => {
        const { VolumesModifications } = await ec2.call("DescribeVolumesModifications", { VolumeIds: [id] });
        const [{ ModificationState }] = VolumesModifications;
        assert(["modifying", "optimizing", "completed"].includes(ModificationState));
        return ModificationState === "completed" ? true : undefined;
      });
    };
    await modify({ Size: 2 });
    await modify({ VolumeType: "io2", Iops: 5000 });
    const changed = await readVolume(id);
    assert.deepEqual([changed.size, changed.type, changed.iops], [2, "io2", 5000]);
    await modify({ VolumeType: "gp2" });
    assert.deepEqual([(await readVolume(id)).type, (await readVolume(id)).iops], ["gp2", 0]);

    // In use while an initiator is logged in, and then not to be deleted.
    const client = await BlockClient.open(gateway.portal, "tf");
    await waitForVolume(id, ["available"], "in-use");
    await assert.rejects(ec2.call("DeleteVolume", { VolumeId: id }), { name: "VolumeInUse" });
    client.close();
    await waitForVolume(id, ["in-use"], "available");
    await ec2.call("DeleteVolume", { VolumeId: id });
    await until("deleted", async () => ((await readVolume(id)) === undefined ? true : undefined));
  });

  async function readSnapshot(id: string): Promise<Answer> {
    const answer = await unlessGone(
      ec2.call("DescribeSnapshots", { SnapshotIds: [id] }),
      "InvalidSnapshot.NotFound",
    );
    const snapshot = answer?.Snapshots?.[0];
    if (snapshot === undefined) return undefined;
    return {
      description: snapshot.Description,
      encrypted: snapshot.Encrypted,
      kms_key_id: snapshot.KmsKeyId ?? "",
      owner_alias: snapshot.OwnerAlias ?? "",
      owner_id: snapshot.OwnerId,
      storage_tier: snapshot.StorageTier,
      volume_id: snapshot.VolumeId,
      volume_size: snapshot.VolumeSize,
      tags: asMap(snapshot.Tags),
    };
  }

  const waitForSnapshot = (id: string) =>
    until("completed", async () => {
      const { Snapshots } = await ec2.call("DescribeSnapshots", { SnapshotIds: [id] });
      assert(["pending", "completed"].includes(Snapshots[0].State), Snapshots[0].State);
      return Snapshots[0].State === "completed" ? true : undefined;
    });

  test("aws_ebs_snapshot, aws_ebs_snapshot_copy and the data source", async () => {
    const VolumeId = await createVolume({ Size: 1 }, "source");
    const { SnapshotId } = await ec2.call("CreateSnapshot", {
      VolumeId,
      Description: "of terraform",
      TagSpecifications: tagsOf("snapshot", { Name: "HelloWorld" }),
    });
    await waitForSnapshot(SnapshotId);
    const state = await readSnapshot(SnapshotId);
    assert.deepEqual(state, {
      ...{ description: "of terraform", encrypted: true, kms_key_id: "", owner_alias: "" },
      ...{ owner_id: "000000000000", storage_tier: "standard", volume_id: VolumeId, volume_size: 1 },
      tags: { Name: "HelloWorld" },
    });
    const copied = await ec2.call("CopySnapshot", {
      SourceRegion: "us-east-1",
      SourceSnapshotId: SnapshotId,
      Description: "a copy",
      TagSpecifications: tagsOf("snapshot", { Name: "copy" }),
    });
    await waitForSnapshot(copied.SnapshotId);
    const copy = await readSnapshot(copied.SnapshotId);
    assert.deepEqual([copy.description, copy.volume_size, copy.tags], ["a copy", 1, { Name: "copy" }]);
    // Tags: what is old goes, what is new comes.
    await ec2.call("DeleteTags", { Resources: [SnapshotId], Tags: [{ Key: "Name", Value: "HelloWorld" }] });
    await ec2.call("CreateTags", { Resources: [SnapshotId], Tags: [{ Key: "new", Value: "" }] });
    assert.deepEqual((await readSnapshot(SnapshotId)).tags, { new: "" });
    // The data source, with most_recent.
    const found = await ec2.call("DescribeSnapshots", {
      OwnerIds: ["self"],
      RestorableByUserIds: ["self"],
      Filters: [
        { Name: "volume-size", Values: ["1"] },
        { Name: "tag:Name", Values: ["copy"] },
      ],
    });
    assert.deepEqual(
      found.Snapshots.map((one: Answer) => one.SnapshotId),
      [copied.SnapshotId],
    );
    for (const id of [SnapshotId, copied.SnapshotId]) {
      await ec2.call("DeleteSnapshot", { SnapshotId: id });
      assert.equal(await readSnapshot(id), undefined);
      assert.equal(
        await unlessGone(ec2.call("DeleteSnapshot", { SnapshotId: id }), "InvalidSnapshot.NotFound"),
        undefined,
      );
    }
    const restoredAway = await unlessGone(
      ec2.call("CreateVolume", { AvailabilityZone: ZONE, SnapshotId }),
      "InvalidSnapshot.NotFound",
    );
    assert.equal(restoredAway, undefined);
    await ec2.call("DeleteVolume", { VolumeId });
  });

  test("aws_dlm_lifecycle_policy", async () => {
    const PolicyDetails = {
      PolicyType: "EBS_SNAPSHOT_MANAGEMENT",
      ResourceLocations: ["CLOUD"],
      ResourceTypes: ["VOLUME"],
      Parameters: { ExcludeBootVolume: false, NoReboot: false },
      Schedules: [
        {
          ...{ Name: "tf-basic", CopyTags: false },
          CreateRule: { Interval: 12, IntervalUnit: "HOURS", Times: ["15:30"], Location: "CLOUD" },
          RetainRule: { Count: 10 },
          TagsToAdd: [{ Key: "made-by", Value: "terraform" }],
          VariableTags: [{ Key: "instance-id", Value: "$(instance-id)" }],
        },
      ],
      TargetTags: [{ Key: "tf-basic", Value: "yes" }],
    };
    const { PolicyId } = await dlm.call("CreateLifecyclePolicy", {
      ...{ Description: "tf-basic", ExecutionRoleArn: ROLE, State: "ENABLED", PolicyDetails },
      Tags: { env: "test" },
    });
    const read = async () => {
      const found = await unlessGone(
        dlm.call("GetLifecyclePolicy", { PolicyId }),
        "ResourceNotFoundException",
      );
      return found?.Policy;
    };
    const policy = await read();
    assert.deepEqual(policy.PolicyDetails, PolicyDetails);
    assert.deepEqual(
      [policy.Description, policy.ExecutionRoleArn, policy.State, policy.Tags],
      ["tf-basic", ROLE, "ENABLED", { env: "test" }],
    );
    assert.match(policy.PolicyArn, /^arn:aws:dlm:us-east-1:000000000000:policy\/policy-[0-9a-f]+$/);
    // The provider sends all of the details when anything in them has changed.
    const [schedule] = PolicyDetails.Schedules;
    const CreateRule = { CronExpression: "cron(5 14 3 * ? *)" };
    const RetainRule = { Interval: 6, IntervalUnit: "MONTHS" };
    const later = { ...PolicyDetails, Schedules: [{ ...schedule, CreateRule, RetainRule }] };
    const changes = { Description: "tf-updated", State: "DISABLED", PolicyDetails: later };
    await dlm.call("UpdateLifecyclePolicy", { PolicyId, ...changes });
    await dlm.call("UntagResource", { ResourceArn: policy.PolicyArn, TagKeys: ["env"] });
    await dlm.call("TagResource", { ResourceArn: policy.PolicyArn, Tags: { stage: "two" } });
    const updated = await read();
    assert.deepEqual(updated.PolicyDetails, later);
    assert.deepEqual(
      [updated.Description, updated.State, updated.Tags],
      ["tf-updated", "DISABLED", { stage: "two" }],
    );
    await dlm.call("DeleteLifecyclePolicy", { PolicyId });
    assert.equal(await read(), undefined);
  });
});
