/** The life of gateways and volumes as boto3 sees it: activation to deletion, and volumes that move. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import {
  completed,
  createSnapshot,
  GIB,
  gatewayArn,
  makeCached,
  makeDisk,
  makeStored,
  statusOf,
  until,
} from "./volume-kit.ts";

describe("gateways and volumes, from activation to deletion", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-life-"));
  const sizes = ["--cache-size", "1GiB", "--upload-buffer-size", "1GiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const call = (method: string, args: object = {}) => gateway.boto.gateway(method, args);
  const refused = (method: string, args: object, errorCode: string, message = /./) =>
    assert.rejects(call(method, args), {
      className: "InvalidGatewayRequestException",
      code: "InvalidGatewayRequestException",
      status: 400,
      errorCode,
      message,
    });
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const activationKey = async () => {
    const response = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    assert.equal(response.status, 302);
    const location = new URL(response.headers.get("location") ?? "");
    assert.equal(location.host, new URL(gateway.endpoint).host);
    const key = location.searchParams.get("activationKey") ?? "";
    assert.match(key, /^[A-Z0-9-]{29}$/);
    return key;
  };
  const activate = async (GatewayName: string, GatewayType: string, more: object = {}) => {
    const { GatewayARN } = await call("activate_gateway", {
      ActivationKey: await activationKey(),
      GatewayName,
      GatewayTimezone: "GMT-8:00",
      GatewayRegion: "us-east-1",
      GatewayType,
      ...more,
    });
    return GatewayARN as string;
  };
  const read = async (name: string, pattern: number, from = "0", length = "1M") => {
    const output = await qemuIo(volumeUrl(gateway.portal, name), `read -P ${pattern} ${from} ${length}`);
    assert.match(output, /read \d+\/\d+ bytes/, output);
    assert.doesNotMatch(output, /verification failed/);
  };
  const write = (name: string, pattern: number, from = "0", length = "1M") =>
    qemuIo(volumeUrl(gateway.portal, name), `write -P ${pattern} ${from} ${length}`, "flush");
  const attachmentOf = async (arn: string) => {
    const { VolumeInfos } = await call("list_volumes");
    const id = arn.split("/").at(-1)?.toLowerCase();
    return VolumeInfos.find((v: { VolumeId: string }) => v.VolumeId.toLowerCase() === id)
      ?.VolumeAttachmentStatus;
  };
  const detached = (arn: string) =>
    until("detached", async () => ((await attachmentOf(arn)) === "DETACHED" ? true : undefined));
  let second = "";

  test("activation: a key from the redirect, a gateway without disks, the same answer again", async () => {
    const ActivationKey = await activationKey();
    const wanted = {
      ActivationKey,
      GatewayName: "second",
      GatewayTimezone: "GMT-8:00",
      GatewayRegion: "us-east-1",
      GatewayType: "CACHED",
      Tags: [{ Key: "site", Value: "cellar" }],
    };
    ({ GatewayARN: second } = await call("activate_gateway", wanted));
    assert.equal((await call("activate_gateway", wanted)).GatewayARN, second, "a repeated request");
    const info = await call("describe_gateway_information", { GatewayARN: second });
    const { LastSoftwareUpdate, SoftwareVersion, ...rest } = info;
    assert.match(LastSoftwareUpdate, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    assert.deepEqual(rest, {
      GatewayARN: second,
      GatewayId: second.split("/").at(-1),
      GatewayName: "second",
      GatewayTimezone: "GMT-8:00",
      GatewayState: "STATE_RUNNING",
      GatewayNetworkInterfaces: [{ Ipv4Address: "127.0.0.1" }],
      GatewayType: "CACHED",
      EndpointType: "STANDARD",
      HostEnvironment: "OTHER",
      SupportedGatewayCapacities: ["Small", "Medium", "Large"],
      Tags: [{ Key: "site", Value: "cellar" }],
    });
    await refused("activate_gateway", { ...wanted, GatewayName: "third" }, "ActivationKeyInvalid");
    const fresh = { ...wanted, ActivationKey: await activationKey(), GatewayName: "third" };
    await refused("activate_gateway", { ...fresh, ActivationKey: "nonsense" }, "ActivationKeyInvalid");
    const other = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
    await refused("activate_gateway", { ...fresh, ActivationKey: other }, "ActivationKeyNotFound");
    await refused("activate_gateway", { ...fresh, GatewayRegion: "eu-west-1" }, "RegionInvalid");
    await refused("activate_gateway", { ...fresh, GatewayTimezone: "CET" }, "InvalidParameters");
    await refused("activate_gateway", { ...fresh, GatewayType: "VTL" }, "NotSupported");
    await refused("activate_gateway", { ...fresh, GatewayType: "TAPE" }, "InvalidParameters");
    await refused("activate_gateway", { ...fresh, GatewayName: "second" }, "InvalidParameters");
    const foreign = await fetch(`${gateway.endpoint}/?activationRegion=eu-west-1`, { redirect: "manual" });
    assert.equal(foreign.status, 400);
  });

  test("disks are given to it by id, by path and by node, once", async () => {
    const volume = { VolumeSizeInBytes: GIB, TargetName: "x", NetworkInterfaceId: "127.0.0.1" };
    await refused(
      "create_cached_iscsi_volume",
      { GatewayARN: second, ...volume, ClientToken: "early" },
      "NoDisksAvailable",
    );
    for (const name of ["s-cache", "s-buffer", "s-more"]) makeDisk(gateway, name, "256MiB");
    const { Disks } = await call("list_local_disks", { GatewayARN: second });
    const find = (name: string) => Disks.find((d: { DiskId: string }) => d.DiskId === name);
    assert.equal(find("s-cache").DiskAllocationType, "AVAILABLE");
    await call("add_cache", { GatewayARN: second, DiskIds: [find("s-cache").DiskPath] });
    await call("add_upload_buffer", { GatewayARN: second, DiskIds: [find("s-buffer").DiskNode] });
    await call("add_cache", { GatewayARN: second, DiskIds: ["s-more"] });
    const cache = await call("describe_cache", { GatewayARN: second });
    assert.deepEqual(cache.DiskIds.sort(), ["s-cache", "s-more"]);
    const buffer = await call("describe_upload_buffer", { GatewayARN: second });
    assert.deepEqual(buffer.DiskIds, ["s-buffer"]);
    await refused("add_cache", { GatewayARN: second, DiskIds: ["s-cache"] }, "DiskAlreadyAllocated");
    await refused("add_cache", { GatewayARN: second, DiskIds: ["nowhere"] }, "DiskDoesNotExist");
    const unfit = /^This operation is not valid for the specified gateway\./;
    await refused(
      "describe_working_storage",
      { GatewayARN: second },
      "UnsupportedOperationForGatewayType",
      unfit,
    );
  });

  test("UpdateGatewayInformation changes what is given, and no more", async () => {
    const change = {
      GatewayName: "cellar",
      CloudWatchLogGroupARN: "arn:aws:logs:x",
      GatewayCapacity: "Large",
    };
    assert.equal(
      (await call("update_gateway_information", { GatewayARN: second, ...change })).GatewayName,
      "cellar",
    );
    const info = async () => {
      const all = await call("describe_gateway_information", { GatewayARN: second });
      return [all.GatewayName, all.GatewayTimezone, all.CloudWatchLogGroupARN, all.GatewayCapacity];
    };
    assert.deepEqual(await info(), ["cellar", "GMT-8:00", "arn:aws:logs:x", "Large"]);
    await call("update_gateway_information", {
      GatewayARN: second,
      GatewayTimezone: "GMT+5:30",
      CloudWatchLogGroupARN: "",
    });
    assert.deepEqual(await info(), ["cellar", "GMT+5:30", undefined, "Large"]);
  });

  test("shut down: I/O stops, and goes on after StartGateway with what was not sent, also after a restart", async () => {
    const arn = await makeCached(gateway, "moves");
    await write("moves", 1);
    const GatewayARN = await gatewayArn(gateway, "CACHED");
    const before = await statusOf(gateway, arn);
    await call("shutdown_gateway", { GatewayARN });
    await assert.rejects(BlockClient.open(gateway.portal, "moves"));
    const notConnected = /^The specified gateway is not connected/;
    await refused(
      "describe_cached_iscsi_volumes",
      { VolumeARNs: [arn] },
      "GatewayNotConnected",
      notConnected,
    );
    await refused("create_snapshot", { VolumeARN: arn, SnapshotDescription: "d" }, "GatewayNotConnected");
    await refused("list_local_disks", { GatewayARN }, "GatewayNotConnected");
    await refused("delete_volume", { VolumeARN: arn }, "GatewayNotConnected");
    const info = await call("describe_gateway_information", { GatewayARN });
    assert.equal(info.GatewayState, "STATE_SHUTDOWN");
    await gateway.crash();
    await refused("list_local_disks", { GatewayARN }, "GatewayNotConnected");
    assert.equal((await call("list_gateways")).Gateways.length, 3);
    await assert.rejects(BlockClient.open(gateway.portal, "moves"));
    await call("start_gateway", { GatewayARN });
    await call("start_gateway", { GatewayARN });
    await read("moves", 1);
    assert.deepEqual([before, await statusOf(gateway, arn)], ["AVAILABLE", "AVAILABLE"]);
    // And once more in the life of one process.
    await write("moves", 2);
    await call("shutdown_gateway", { GatewayARN });
    await call("start_gateway", { GatewayARN });
    await read("moves", 2);
    await completed(gateway, await createSnapshot(gateway, arn));
  });

  test("a cached volume is detached and goes to another gateway, with every byte", async () => {
    const arn = await makeCached(gateway, "wanders", 2 * GIB);
    await write("wanders", 7, "0", "3M");
    const client = await BlockClient.open(gateway.portal, "wanders");
    await refused("detach_volume", { VolumeARN: arn }, "VolumeInUse");
    await call("detach_volume", { VolumeARN: arn, ForceDetach: true });
    client.close();
    await assert.rejects(BlockClient.open(gateway.portal, "wanders"));
    await detached(arn);
    await refused("create_snapshot", { VolumeARN: arn, SnapshotDescription: "d" }, "VolumeNotReady");
    await gateway.crash();
    assert.equal(await attachmentOf(arn), "DETACHED");
    const described = await call("describe_cached_iscsi_volumes", { VolumeARNs: [arn] });
    assert.equal(described.CachediSCSIVolumes[0].VolumeAttachmentStatus, "DETACHED");
    assert.equal(described.CachediSCSIVolumes[0].VolumeUsedInBytes, 3 * 1024 ** 2);
    const interfaceId = { NetworkInterfaceId: "127.0.0.1" };
    const stored = await gatewayArn(gateway, "STORED");
    await refused(
      "attach_volume",
      { VolumeARN: arn, GatewayARN: stored, ...interfaceId },
      "UnsupportedOperationForGatewayType",
    );
    await refused(
      "attach_volume",
      { VolumeARN: arn, GatewayARN: second, ...interfaceId, TargetName: "moves" },
      "TargetAlreadyExists",
    );
    const moved = await call("attach_volume", {
      VolumeARN: arn,
      GatewayARN: second,
      ...interfaceId,
      TargetName: "settles",
    });
    assert.equal(moved.VolumeARN, `${second}/volume/${arn.split("/").at(-1)}`);
    assert.equal(moved.TargetARN, `${second}/target/iqn.1997-05.com.amazon:settles`);
    await refused("attach_volume", { VolumeARN: arn, GatewayARN: second, ...interfaceId }, "VolumeInUse");
    await read("settles", 7, "0", "3M");
    await write("settles", 8, "1M", "1M");
    await completed(gateway, await createSnapshot(gateway, moved.VolumeARN));
    await gateway.crash();
    await read("settles", 7, "0", "1M");
    await read("settles", 8, "1M", "1M");
    // Its old ARN still means it, and what it had before is not lost on the way back.
    await call("detach_volume", { VolumeARN: arn });
    await detached(arn);
    const home = await gatewayArn(gateway, "CACHED");
    const back = await call("attach_volume", { VolumeARN: arn, GatewayARN: home, ...interfaceId });
    assert.match(back.TargetARN, /:settles$/);
    await read("settles", 7, "2M", "1M");
    await read("settles", 8, "1M", "1M");
  });

  test("a stored volume is detached from its disk and restored to another one", async () => {
    const arn = await makeStored(gateway, "rock");
    await write("rock", 5, "0", "2M");
    await call("detach_volume", { VolumeARN: arn });
    await detached(arn);
    makeDisk(gateway, "other", "2GiB");
    const wanted = {
      VolumeARN: arn,
      GatewayARN: await gatewayArn(gateway, "STORED"),
      NetworkInterfaceId: "127.0.0.1",
    };
    await refused("attach_volume", wanted, "InvalidParameters");
    makeDisk(gateway, "little", "512MiB");
    await refused("attach_volume", { ...wanted, DiskId: "little" }, "DiskSizeLessThanVolumeSize");
    await call("attach_volume", { ...wanted, DiskId: "other" });
    await read("rock", 5, "0", "2M");
    await until("restored", async () => ((await statusOf(gateway, arn)) === "AVAILABLE" ? true : undefined));
    const { Disks } = await call("list_local_disks", { GatewayARN: wanted.GatewayARN });
    const types = Object.fromEntries(
      Disks.map((d: { DiskId: string; DiskAllocationType: string }) => [d.DiskId, d.DiskAllocationType]),
    );
    assert.deepEqual([types.rock, types.other], ["AVAILABLE", "STORED_iSCSI_VOLUME"]);
  });

  test("deleting a gateway takes its volumes along and frees its disks; snapshots and detached volumes stay", async () => {
    const GatewayARN = await activate("third", "STORED");
    makeDisk(gateway, "t-buffer", "128MiB");
    makeDisk(gateway, "t-data", "1GiB");
    makeDisk(gateway, "t-away", "1GiB");
    await call("add_working_storage", { GatewayARN, DiskIds: ["t-buffer"] });
    const make = async (DiskId: string) => {
      const { VolumeARN } = await call("create_stored_iscsi_volume", {
        GatewayARN,
        DiskId,
        PreserveExistingData: false,
        TargetName: DiskId,
        NetworkInterfaceId: "127.0.0.1",
      });
      return VolumeARN as string;
    };
    const gone = await make("t-data");
    const away = await make("t-away");
    await write("t-away", 9);
    await write("t-data", 6);
    const snapshot = await createSnapshot(gateway, gone);
    await completed(gateway, snapshot);
    await call("detach_volume", { VolumeARN: away });
    await detached(away);
    await call("delete_gateway", { GatewayARN });
    await refused("describe_gateway_information", { GatewayARN }, "GatewayNotFound");
    await refused("describe_stored_iscsi_volumes", { VolumeARNs: [gone] }, "VolumeNotFound");
    await completed(gateway, snapshot);
    const stored = await gatewayArn(gateway, "STORED");
    const { Disks } = await call("list_local_disks", { GatewayARN: stored });
    for (const name of ["t-buffer", "t-data", "t-away"]) {
      const disk = Disks.find((d: { DiskId: string }) => d.DiskId === name);
      assert.equal(disk.DiskAllocationType, "AVAILABLE", name);
    }
    await call("attach_volume", {
      VolumeARN: away,
      GatewayARN: stored,
      NetworkInterfaceId: "127.0.0.1",
      DiskId: "t-away",
    });
    await read("t-away", 9);
    // A default gateway that was deleted stays away.
    const GatewayCount = (await call("list_gateways")).Gateways.length;
    await call("delete_gateway", { GatewayARN: await gatewayArn(gateway, "CACHED") });
    await gateway.crash();
    assert.equal((await call("list_gateways")).Gateways.length, GatewayCount - 1);
    await read("t-away", 9);
  });
});
