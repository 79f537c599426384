/**
 * The calls that Terraform's AWS provider makes for its Storage Gateway resources, in its order, with what it waits for
 * and what it matches in errors: create, read, import, update, delete, and what it finds when something has changed
 * behind its back. The waits are counted, not slept.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDiskFile } from "../../src/gateway/disks.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { type ApiCaller, openCaller } from "../clients/storage-gateway.ts";
import { completed, createSnapshot, GIB, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const STABLE_READS = 6;

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Answer = any;

describe("Terraform's sequences of calls", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-terraform-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  let api: ApiCaller;
  before(async () => {
    await gateway.start();
    api = openCaller("aws-sdk", gateway.botoSettings());
  });
  after(async () => {
    api?.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const disk = (name: string, sizeBytes: number) => createDiskFile(gateway.dataDir, name, sizeBytes);
  /** What the provider takes for "it is gone": undefined is a plan that is not empty. */
  const unlessGone = async <T>(read: Promise<T>, gone: RegExp): Promise<T | undefined> =>
    read.catch((error: Error) => {
      if (gone.test(error.message)) return undefined;
      throw error;
    });

  // aws_storagegateway_gateway
  async function createGateway(wanted: { name: string; type: string; tags: object[]; limits?: object }) {
    const answer = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    assert.equal(answer.status, 302);
    const key = new URL(answer.headers.get("location") ?? "").searchParams.get("activationKey");
    const { GatewayARN } = await api.call("ActivateGateway", {
      ActivationKey: key,
      GatewayRegion: "us-east-1",
      GatewayName: wanted.name,
      GatewayTimezone: "GMT",
      GatewayType: wanted.type,
      Tags: wanted.tags,
    });
    for (let reads = 0; reads < STABLE_READS; reads++)
      await api.call("DescribeGatewayInformation", { GatewayARN });
    await api.call("UpdateMaintenanceStartTime", {
      GatewayARN,
      HourOfDay: 22,
      MinuteOfHour: 0,
      DayOfWeek: 3,
    });
    if (wanted.limits !== undefined)
      await api.call("UpdateBandwidthRateLimit", { GatewayARN, ...wanted.limits });
    return GatewayARN as string;
  }

  async function readGateway(GatewayARN: string): Promise<Answer> {
    const info = await unlessGone(
      api.call("DescribeGatewayInformation", { GatewayARN }),
      /The specified gateway was not found/,
    );
    if (info === undefined) return undefined;
    const smb = await unlessGone(
      api.call("DescribeSMBSettings", { GatewayARN }),
      /This operation is not valid for the specified gateway/,
    );
    assert.equal(smb, undefined);
    const limits = await api.call("DescribeBandwidthRateLimit", { GatewayARN });
    const window = await api.call("DescribeMaintenanceStartTime", { GatewayARN });
    return {
      arn: info.GatewayARN,
      gateway_id: info.GatewayId,
      gateway_name: info.GatewayName,
      gateway_timezone: info.GatewayTimezone,
      gateway_type: info.GatewayType,
      endpoint_type: info.EndpointType,
      interfaces: info.GatewayNetworkInterfaces.map((each: Answer) => each.Ipv4Address),
      upload: limits.AverageUploadRateLimitInBitsPerSec ?? 0,
      download: limits.AverageDownloadRateLimitInBitsPerSec ?? 0,
      window: [window.HourOfDay, window.MinuteOfHour, window.DayOfWeek, window.DayOfMonth],
      tags: info.Tags,
    };
  }

  async function retag(ResourceARN: string, removed: string[], put: object[]): Promise<void> {
    if (removed.length > 0) await api.call("RemoveTagsFromResource", { ResourceARN, TagKeys: removed });
    if (put.length > 0) await api.call("AddTagsToResource", { ResourceARN, Tags: put });
  }

  // aws_storagegateway_cached_iscsi_volume and stored_iscsi_volume
  async function readVolume(kind: "Cached" | "Stored", VolumeARN: string): Promise<Answer> {
    const answer = await unlessGone(
      api.call(`Describe${kind}iSCSIVolumes`, { VolumeARNs: [VolumeARN] }),
      /The specified volume was not found/,
    );
    if (answer === undefined) return undefined;
    const volume = answer[`${kind}iSCSIVolumes`][0];
    const { Tags } = await api.call("ListTagsForResource", { ResourceARN: VolumeARN });
    const target = volume.VolumeiSCSIAttributes;
    // The provider takes the target's ARN apart: by "/" into four, and the last one by the first ":" into two.
    const parts = target.TargetARN.split("/");
    assert.equal(parts.length, 4);
    return {
      arn: volume.VolumeARN,
      volume_id: volume.VolumeId,
      gateway_arn: parts.slice(0, 2).join("/"),
      target_name: parts[3].slice(parts[3].indexOf(":") + 1),
      target_arn: target.TargetARN,
      chap_enabled: target.ChapEnabled,
      lun_number: target.LunNumber,
      network_interface_id: target.NetworkInterfaceId,
      network_interface_port: target.NetworkInterfacePort,
      volume_size_in_bytes: volume.VolumeSizeInBytes,
      snapshot_id: volume.SourceSnapshotId ?? "",
      kms_encrypted: volume.KMSKey !== undefined,
      ...(kind === "Stored" && { disk_id: volume.VolumeDiskId, preserved: volume.PreservedExistingData }),
      tags: Tags,
    };
  }

  test("aws_storagegateway_gateway", async () => {
    const limits = {
      AverageUploadRateLimitInBitsPerSec: 102400,
      AverageDownloadRateLimitInBitsPerSec: 204800,
    };
    const arn = await createGateway({
      name: "tf",
      type: "STORED",
      tags: [{ Key: "key1", Value: "value1" }],
      limits,
    });
    const state = await readGateway(arn);
    assert.match(state.arn, /^arn:aws:storagegateway:us-east-1:\d{12}:gateway\/sgw-.+$/);
    assert.deepEqual(
      { ...state, arn: 0, gateway_id: 0 },
      {
        arn: 0,
        gateway_id: 0,
        gateway_name: "tf",
        gateway_timezone: "GMT",
        gateway_type: "STORED",
        endpoint_type: "STANDARD",
        interfaces: ["127.0.0.1"],
        upload: 102400,
        download: 204800,
        window: [22, 0, 3, undefined],
        tags: [{ Key: "key1", Value: "value1" }],
      },
    );
    assert.deepEqual(await readGateway(state.arn), state, "an import shows no difference");
    // Update.
    const renamed = { GatewayARN: arn, GatewayName: "tf2", GatewayTimezone: "GMT-1:00" };
    await api.call("UpdateGatewayInformation", renamed);
    await api.call("UpdateMaintenanceStartTime", {
      GatewayARN: arn,
      HourOfDay: 1,
      MinuteOfHour: 2,
      DayOfMonth: 4,
    });
    await api.call("DeleteBandwidthRateLimit", { GatewayARN: arn, BandwidthType: "UPLOAD" });
    await api.call("DeleteBandwidthRateLimit", { GatewayARN: arn, BandwidthType: "DOWNLOAD" });
    await retag(arn, ["key1"], [{ Key: "key2", Value: "value2" }]);
    const updated = await readGateway(arn);
    assert.deepEqual(
      [
        updated.gateway_name,
        updated.gateway_timezone,
        updated.upload,
        updated.download,
        updated.window,
        updated.tags,
      ],
      ["tf2", "GMT-1:00", 0, 0, [1, 2, undefined, 4], [{ Key: "key2", Value: "value2" }]],
    );
    // Deleted behind Terraform's back, and then by it.
    await api.call("DeleteGateway", { GatewayARN: arn });
    assert.equal(await readGateway(arn), undefined);
    await assert.rejects(
      api.call("DeleteGateway", { GatewayARN: arn }),
      /The specified gateway was not found/,
    );
  });

  test("local_disk, working_storage, upload_buffer, cache", async () => {
    const stored = await createGateway({ name: "tf-stored", type: "STORED", tags: [] });
    const cached = await createGateway({ name: "tf-cached", type: "CACHED", tags: [] });
    // The data source finds exactly one disk by its path.
    const find = async (GatewayARN: string, by: (d: Answer) => boolean) => {
      const { Disks } = await api.call("ListLocalDisks", { GatewayARN });
      const found = Disks.filter(by);
      assert.equal(found.length, 1);
      return found[0];
    };
    const workingPath = disk("tf-ws", 64 * MIB).path;
    const working = await find(stored, (d) => d.DiskPath === workingPath);
    await api.call("AddWorkingStorage", { GatewayARN: stored, DiskIds: [working.DiskId] });
    assert(
      (await api.call("DescribeWorkingStorage", { GatewayARN: stored })).DiskIds.includes(working.DiskId),
    );
    // An upload buffer may be named by its path; its id is looked up after that.
    const { path } = disk("tf-ub", 64 * MIB);
    await api.call("AddUploadBuffer", { GatewayARN: cached, DiskIds: [path] });
    const buffer = await find(cached, (d) => d.DiskPath === path);
    assert((await api.call("DescribeUploadBuffer", { GatewayARN: cached })).DiskIds.includes(buffer.DiskId));
    const cachePath = disk("tf-cache", 128 * MIB).path;
    const cache = await find(cached, (d) => d.DiskPath === cachePath);
    await api.call("AddCache", { GatewayARN: cached, DiskIds: [cache.DiskId] });
    const again = await find(cached, (d) => d.DiskId === cache.DiskId);
    assert.deepEqual([again.DiskNode, again.DiskPath], [cache.DiskNode, cache.DiskPath]);
    assert((await api.call("DescribeCache", { GatewayARN: cached })).DiskIds.includes(cache.DiskId));

    await checkVolumes(stored, cached);
  });

  async function checkVolumes(stored: string, cached: string): Promise<void> {
    const common = { NetworkInterfaceId: "127.0.0.1", Tags: [{ Key: "k", Value: "v" }] };
    const port = Number(gateway.portal.split(":").at(-1));
    const { VolumeARN } = await api.call("CreateCachediSCSIVolume", {
      ...common,
      ClientToken: "terraform-20261124000000000000000001",
      GatewayARN: cached,
      TargetName: "tf-cached",
      VolumeSizeInBytes: 5 * GIB,
    });
    const state = await readVolume("Cached", VolumeARN);
    assert.match(state.arn, /gateway\/sgw-.+\/volume\/vol-.+$/);
    assert.deepEqual(
      { ...state, arn: 0, volume_id: 0 },
      {
        arn: 0,
        volume_id: 0,
        gateway_arn: cached,
        target_name: "tf-cached",
        target_arn: `${cached}/target/iqn.1997-05.com.amazon:tf-cached`,
        chap_enabled: false,
        lun_number: 0,
        network_interface_id: "127.0.0.1",
        network_interface_port: port,
        volume_size_in_bytes: 5 * GIB,
        snapshot_id: "",
        kms_encrypted: false,
        tags: common.Tags,
      },
    );
    await retag(VolumeARN, ["k"], [{ Key: "k2", Value: "" }]);
    assert.deepEqual((await readVolume("Cached", VolumeARN)).tags, [{ Key: "k2", Value: "" }]);

    // A volume of a snapshot, and a clone.
    const snapshot = await createSnapshot(gateway, VolumeARN);
    await completed(gateway, snapshot);
    for (const [name, source] of [
      ["tf-restored", { SnapshotId: snapshot }],
      ["tf-clone", { SourceVolumeARN: VolumeARN }],
    ] as const) {
      const made = await api.call("CreateCachediSCSIVolume", {
        ...common,
        ...source,
        ClientToken: `terraform-${name}`,
        GatewayARN: cached,
        TargetName: name,
        VolumeSizeInBytes: 5 * GIB,
      });
      const restored = await readVolume("Cached", made.VolumeARN);
      assert.equal(restored.snapshot_id, "SnapshotId" in source ? snapshot : "");
    }

    const made = await api.call("CreateStorediSCSIVolume", {
      ...common,
      GatewayARN: stored,
      DiskId: disk("tf-data", GIB).diskId,
      PreserveExistingData: false,
      SnapshotId: undefined,
      TargetName: "tf-stored",
    });
    await until("AVAILABLE", async () => {
      const { StorediSCSIVolumes } = await api.call("DescribeStorediSCSIVolumes", {
        VolumeARNs: [made.VolumeARN],
      });
      const { VolumeStatus } = StorediSCSIVolumes[0];
      // Any other status is an error to the provider.
      assert(["CREATING", "BOOTSTRAPPING", "RESTORING", "AVAILABLE"].includes(VolumeStatus), VolumeStatus);
      return VolumeStatus === "AVAILABLE" ? true : undefined;
    });
    const stone = await readVolume("Stored", made.VolumeARN);
    assert.deepEqual(
      [stone.disk_id, stone.preserved, stone.volume_size_in_bytes, stone.snapshot_id],
      ["tf-data", false, GIB, ""],
    );
    assert.deepEqual(await readVolume("Stored", stone.arn), stone, "an import shows no difference");

    // Deleted behind Terraform's back: the plan is not empty; its own delete takes "not found" for done.
    await api.call("DeleteVolume", { VolumeARN: made.VolumeARN });
    assert.equal(await readVolume("Stored", made.VolumeARN), undefined);
    await assert.rejects(
      api.call("DeleteVolume", { VolumeARN: made.VolumeARN }),
      /The specified volume was not found/,
    );
    await api.call("DeleteVolume", { VolumeARN });
    assert.equal(await readVolume("Cached", VolumeARN), undefined);
    // The data source aws_ebs_snapshot finds the snapshot of the volume that is gone.
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots", {
      OwnerIds: ["self"],
      Filters: [{ Name: "volume-id", Values: [state.volume_id.toLowerCase()] }],
    });
    assert.deepEqual(
      Snapshots.map((each: Answer) => [each.SnapshotId, each.VolumeSize, each.State, each.Encrypted]),
      [[snapshot, 5, "completed", true]],
    );
  }
});
