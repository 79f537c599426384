/**
 * The 47 operations of volume gateways by boto3, aws-cli and the AWS SDK: each called, and looked at for what it did;
 * and the errors that they document, provoked.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { storageGatewayOperations } from "../../src/api/storage-gateway/index.ts";
import { STORAGE_GATEWAY_MODEL } from "../../src/api/wire/validator.ts";
import { createDiskFile } from "../../src/gateway/disks.ts";
import type { GatewayErrorCode } from "../../src/gateway/errors.ts";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson } from "../clients/signed-request.ts";
import { type ApiCaller, openCaller, STORAGE_GATEWAY_CLIENTS } from "../clients/storage-gateway.ts";
import { validInput } from "../kit/model-cases.ts";
import { provokeGatewayError } from "./api-scenarios/provoke.ts";
import { completed, GIB, gatewayArn, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const SERVICE = "storagegateway";
const INTERFACE = { NetworkInterfaceId: "127.0.0.1" };

describe("operations of the Storage Gateway API", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-operations-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const coverage = new CoverageRecorder("operations");
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const disk = (name: string, sizeBytes: number) => createDiskFile(gateway.dataDir, name, sizeBytes).diskId;
  const activationKey = async () => {
    const answer = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    return new URL(answer.headers.get("location") ?? "").searchParams.get("activationKey") ?? "";
  };

  for (const name of STORAGE_GATEWAY_CLIENTS) {
    test(`every operation by ${name}`, async () => {
      const caller = openCaller(name, gateway.botoSettings());
      try {
        await everything(caller);
      } finally {
        caller.close();
      }
    });
  }

  async function everything(caller: ApiCaller): Promise<void> {
    const tag = caller.name;
    const call = async (operation: string, input: object = {}) => {
      const output = await caller.call(operation, input);
      coverage.note(SERVICE, operation, "valid", caller.name);
      return output;
    };
    const activate = async (GatewayType: string) => {
      const { GatewayARN } = await call("ActivateGateway", {
        ActivationKey: await activationKey(),
        GatewayName: `${tag} ${GatewayType}`,
        GatewayTimezone: "GMT",
        GatewayRegion: "us-east-1",
        GatewayType,
        Tags: [{ Key: "by", Value: tag }],
      });
      return GatewayARN as string;
    };
    const stored = await activate("STORED");
    const cached = await activate("CACHED");

    // Disks.
    await call("AddWorkingStorage", { GatewayARN: stored, DiskIds: [disk(`${tag}-ws`, 64 * MIB)] });
    await call("AddUploadBuffer", { GatewayARN: cached, DiskIds: [disk(`${tag}-ub`, 64 * MIB)] });
    await call("AddCache", { GatewayARN: cached, DiskIds: [disk(`${tag}-cache`, 128 * MIB)] });
    const { Disks } = await call("ListLocalDisks", { GatewayARN: cached });
    const own = Disks.filter((d: { DiskAllocationType: string }) => d.DiskAllocationType !== "AVAILABLE");
    assert.deepEqual(
      own.map((d: { DiskId: string; DiskAllocationType: string }) => [d.DiskId, d.DiskAllocationType]).sort(),
      [
        [`${tag}-cache`, "CACHE_STORAGE"],
        [`${tag}-ub`, "UPLOAD_BUFFER"],
      ],
    );
    for (const each of own) assert(each.DiskId && each.DiskPath && each.DiskNode);
    assert.deepEqual((await call("DescribeCache", { GatewayARN: cached })).DiskIds, [`${tag}-cache`]);
    assert.deepEqual((await call("DescribeUploadBuffer", { GatewayARN: cached })).DiskIds, [`${tag}-ub`]);
    const working = await call("DescribeWorkingStorage", { GatewayARN: stored });
    assert.deepEqual(working.DiskIds, [`${tag}-ws`]);
    assert.equal(working.WorkingStorageUsedInBytes, 0);

    // The gateway itself.
    const info = await call("DescribeGatewayInformation", { GatewayARN: stored });
    assert.equal(info.GatewayState, "STATE_RUNNING");
    assert.deepEqual(info.Tags, [{ Key: "by", Value: tag }]);
    const renamed = await call("UpdateGatewayInformation", { GatewayARN: stored, GatewayName: `${tag} new` });
    assert.equal(renamed.GatewayName, `${tag} new`);
    const { Gateways } = await call("ListGateways", { Limit: 100 });
    assert(Gateways.some((g: { GatewayName: string }) => g.GatewayName === `${tag} new`));
    await call("AddTagsToResource", { ResourceARN: stored, Tags: [{ Key: "a", Value: "1" }] });
    await call("RemoveTagsFromResource", { ResourceARN: stored, TagKeys: ["by"] });
    const tags = await call("ListTagsForResource", { ResourceARN: stored });
    assert.deepEqual(tags.Tags, [{ Key: "a", Value: "1" }]);

    const limits = {
      AverageUploadRateLimitInBitsPerSec: 51200,
      AverageDownloadRateLimitInBitsPerSec: 102400,
    };
    await call("UpdateBandwidthRateLimit", { GatewayARN: stored, ...limits });
    const limited = await call("DescribeBandwidthRateLimit", { GatewayARN: stored });
    assert.deepEqual(limited, { GatewayARN: stored, ...limits });
    await call("DeleteBandwidthRateLimit", { GatewayARN: stored, BandwidthType: "ALL" });
    const BandwidthRateLimitIntervals = [
      {
        StartHourOfDay: 8,
        StartMinuteOfHour: 0,
        EndHourOfDay: 17,
        EndMinuteOfHour: 59,
        DaysOfWeek: [1, 2],
        ...limits,
      },
    ];
    await call("UpdateBandwidthRateLimitSchedule", { GatewayARN: stored, BandwidthRateLimitIntervals });
    const week = await call("DescribeBandwidthRateLimitSchedule", { GatewayARN: stored });
    assert.deepEqual(week, { GatewayARN: stored, BandwidthRateLimitIntervals });

    const window = { HourOfDay: 3, MinuteOfHour: 30, DayOfMonth: 28 };
    const SoftwareUpdatePreferences = { AutomaticUpdatePolicy: "EMERGENCY_VERSIONS_ONLY" };
    // Debian's clients are older than the policy.
    await call("UpdateMaintenanceStartTime", {
      GatewayARN: stored,
      ...window,
      ...(tag === "aws-sdk" && { SoftwareUpdatePreferences }),
    });
    const start = await call("DescribeMaintenanceStartTime", { GatewayARN: stored });
    assert.deepEqual(
      [start.HourOfDay, start.MinuteOfHour, start.DayOfMonth, start.DayOfWeek],
      [3, 30, 28, undefined],
    );
    if (tag === "aws-sdk") assert.deepEqual(start.SoftwareUpdatePreferences, SoftwareUpdatePreferences);
    await call("SetLocalConsolePassword", { GatewayARN: stored, LocalConsolePassword: "six or more" });
    await call("UpdateGatewaySoftwareNow", { GatewayARN: stored });
    await call("StartAvailabilityMonitorTest", { GatewayARN: stored });
    await until("the monitor test", async () => {
      const { Status } = await call("DescribeAvailabilityMonitorTest", { GatewayARN: stored });
      assert.notEqual(Status, "FAILED");
      return Status === "COMPLETE" ? true : undefined;
    });

    // Volumes.
    const made = await call("CreateStorediSCSIVolume", {
      GatewayARN: stored,
      DiskId: disk(`${tag}-data`, GIB),
      PreserveExistingData: false,
      TargetName: `${tag}-stored`,
      ...INTERFACE,
    });
    assert.equal(made.VolumeSizeInBytes, GIB);
    const wanted = {
      GatewayARN: cached,
      VolumeSizeInBytes: GIB,
      TargetName: `${tag}-cached`,
      ClientToken: `token-${tag}`,
      ...INTERFACE,
    };
    const { VolumeARN, TargetARN } = await call("CreateCachediSCSIVolume", wanted);
    assert.equal((await call("CreateCachediSCSIVolume", wanted)).VolumeARN, VolumeARN);
    const { VolumeInfos } = await call("ListVolumes", { GatewayARN: cached });
    assert.deepEqual(
      VolumeInfos.map((v: { VolumeARN: string; VolumeType: string }) => [v.VolumeARN, v.VolumeType]),
      [[VolumeARN, "CACHED iSCSI"]],
    );
    const { StorediSCSIVolumes } = await call("DescribeStorediSCSIVolumes", { VolumeARNs: [made.VolumeARN] });
    assert.deepEqual(StorediSCSIVolumes[0].VolumeiSCSIAttributes, {
      TargetARN: made.TargetARN,
      NetworkInterfaceId: "127.0.0.1",
      NetworkInterfacePort: Number(gateway.portal.split(":").at(-1)),
      LunNumber: 0,
      ChapEnabled: false,
    });

    const initiator = { TargetARN, InitiatorName: "iqn.1991-05.com.microsoft:host" };
    const secrets = {
      SecretToAuthenticateInitiator: "111111111111",
      SecretToAuthenticateTarget: "222222222222",
    };
    await call("UpdateChapCredentials", { ...initiator, ...secrets });
    const { ChapCredentials } = await call("DescribeChapCredentials", { TargetARN });
    assert.deepEqual(ChapCredentials, [{ ...initiator, ...secrets }]);
    const { CachediSCSIVolumes } = await call("DescribeCachediSCSIVolumes", { VolumeARNs: [VolumeARN] });
    assert.equal(CachediSCSIVolumes[0].VolumeiSCSIAttributes.ChapEnabled, true);
    await call("DeleteChapCredentials", initiator);
    assert.deepEqual((await call("DescribeChapCredentials", { TargetARN })).ChapCredentials, []);
    assert.deepEqual((await call("ListVolumeInitiators", { VolumeARN })).Initiators, []);

    const daily = await call("DescribeSnapshotSchedule", { VolumeARN: made.VolumeARN });
    assert.equal(daily.RecurrenceInHours, 24);
    assert.match(daily.Description, /^sgw-[0-9A-F]{8}:vol-[0-9A-F]{17}:Schedule$/);
    await call("UpdateSnapshotSchedule", { VolumeARN, StartAt: 6, RecurrenceInHours: 8, Description: "d" });
    const schedule = await call("DescribeSnapshotSchedule", { VolumeARN });
    assert.deepEqual(
      [schedule.StartAt, schedule.RecurrenceInHours, schedule.Description, schedule.Timezone],
      [6, 8, "d", "GMT"],
    );
    await call("DeleteSnapshotSchedule", { VolumeARN });

    // Snapshots.
    const snapshot = await call("CreateSnapshot", { VolumeARN, SnapshotDescription: "one" });
    await completed(gateway, snapshot.SnapshotId);
    const { VolumeRecoveryPointInfos } = await call("ListVolumeRecoveryPoints", { GatewayARN: cached });
    assert.equal(VolumeRecoveryPointInfos[0].VolumeARN, VolumeARN);
    const point = await call("CreateSnapshotFromVolumeRecoveryPoint", {
      VolumeARN,
      SnapshotDescription: "two",
    });
    assert.equal(point.VolumeRecoveryPointTime, VolumeRecoveryPointInfos[0].VolumeRecoveryPointTime);

    // Away, and back.
    await call("DetachVolume", { VolumeARN });
    await until("detached", async () => {
      const all = await call("ListVolumes", { GatewayARN: cached });
      return all.VolumeInfos[0].VolumeAttachmentStatus === "DETACHED" ? true : undefined;
    });
    const back = await call("AttachVolume", { VolumeARN, GatewayARN: cached, ...INTERFACE });
    assert.deepEqual([back.VolumeARN, back.TargetARN], [VolumeARN, TargetARN]);

    // The end of it all.
    await call("ShutdownGateway", { GatewayARN: stored });
    await call("StartGateway", { GatewayARN: stored });
    await call("DeleteVolume", { VolumeARN });
    await call("ResetCache", { GatewayARN: cached });
    assert.deepEqual((await call("DescribeCache", { GatewayARN: cached })).DiskIds, []);
    await call("DeleteGateway", { GatewayARN: cached });
    await call("DeleteGateway", { GatewayARN: stored });
    await assert.rejects(
      caller.call("DescribeGatewayInformation", { GatewayARN: stored }),
      /The specified gateway was not found/,
    );
  }

  const provoke = (operation: string, input: object, code: GatewayErrorCode) =>
    provokeGatewayError(gateway, coverage, [operation, input, code]);

  test("errors: gateways, volumes and targets that are not there, or are shut down, by every operation", async () => {
    const some = await gatewayArn(gateway, "CACHED");
    const volume = await makeCached(gateway, "shut");
    const target = `${some}/target/iqn.1997-05.com.amazon:shut`;
    const nowhere = some.replace(/sgw-.*/, "sgw-00000000");
    const arns = (gatewayOf: string, volumeOf: string, targetOf: string, input: Record<string, unknown>) => ({
      ...input,
      ...("GatewayARN" in input && { GatewayARN: gatewayOf }),
      ...("ResourceARN" in input && { ResourceARN: gatewayOf }),
      ...("VolumeARN" in input && { VolumeARN: volumeOf }),
      ...("VolumeARNs" in input && { VolumeARNs: [volumeOf] }),
      ...("TargetARN" in input && { TargetARN: targetOf }),
    });
    const special: Record<string, object> = {
      DeleteBandwidthRateLimit: { BandwidthType: "ALL" },
      UpdateMaintenanceStartTime: { DayOfMonth: undefined },
    };
    const inputOf = (name: string) => {
      const { KMSKey: _k, KMSEncrypted: _e, ...input } = validInput(STORAGE_GATEWAY_MODEL, name);
      const networked = "NetworkInterfaceId" in input ? INTERFACE : {};
      return { ...input, ...networked, ...special[name] } as Record<string, unknown>;
    };
    const missing = (input: Record<string, unknown>): GatewayErrorCode | undefined => {
      if ("VolumeARN" in input || "VolumeARNs" in input) return "VolumeNotFound";
      if ("TargetARN" in input) return "TargetNotFound";
      return "GatewayARN" in input || "ResourceARN" in input ? "GatewayNotFound" : undefined;
    };
    for (const { name } of storageGatewayOperations) {
      const input = inputOf(name);
      const code = missing(input);
      if (code === undefined) continue;
      const noVolume = `${some}/volume/vol-${"0".repeat(17)}`;
      await provoke(name, arns(nowhere, noVolume, `${some}/target/iqn.1997-05.com.amazon:no`, input), code);
      if (code === "TargetNotFound") {
        await provoke(name, { ...input, TargetARN: `${some}/${"x".repeat(30)}` }, "TargetInvalid");
      }
    }
    await gateway.boto.gateway("shutdown_gateway", { GatewayARN: some });
    const lenient = [
      "DescribeGatewayInformation",
      "StartGateway",
      "DeleteGateway",
      "ListGateways",
      "ActivateGateway",
    ];
    for (const { name } of storageGatewayOperations) {
      const input = inputOf(name);
      if (lenient.includes(name) || missing(input) === undefined) continue;
      await provoke(name, arns(some, volume, target, input), "GatewayNotConnected");
    }
    await gateway.boto.gateway("start_gateway", { GatewayARN: some });
  });

  test("errors: what each operation refuses of what is there", async () => {
    const cached = await gatewayArn(gateway, "CACHED");
    const stored = await gatewayArn(gateway, "STORED");
    const volume = await makeCached(gateway, "errors", 2 * GIB);
    const rock = await makeStored(gateway, "errors-stored");
    const target = `${cached}/target/iqn.1997-05.com.amazon:errors`;
    const free = disk("errors-free", GIB);
    const odd = disk("errors-odd", GIB + MIB);
    const newStored = {
      GatewayARN: stored,
      DiskId: free,
      PreserveExistingData: false,
      TargetName: "errors-new",
      ...INTERFACE,
    };
    const newCached = {
      GatewayARN: cached,
      VolumeSizeInBytes: GIB,
      TargetName: "errors-new",
      ClientToken: "errors-new",
      ...INTERFACE,
    };
    const unfit = "UnsupportedOperationForGatewayType";
    const noSnapshot = { SnapshotId: `snap-${"0".repeat(17)}` };
    const activation = {
      ActivationKey: "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
      GatewayName: "errors",
      GatewayTimezone: "GMT",
      GatewayRegion: "us-east-1",
    };
    const cases: [string, object, GatewayErrorCode][] = [
      ["ActivateGateway", activation, "ActivationKeyNotFound"],
      ["ActivateGateway", { ...activation, ActivationKey: "key" }, "ActivationKeyInvalid"],
      ["ActivateGateway", { ...activation, GatewayType: "VTL" }, "NotSupported"],
      ["ActivateGateway", { ...activation, GatewayRegion: "mars-1" }, "RegionInvalid"],
      ["AddCache", { GatewayARN: stored, DiskIds: [free] }, unfit],
      ["AddCache", { GatewayARN: cached, DiskIds: ["nowhere"] }, "DiskDoesNotExist"],
      ["AddCache", { GatewayARN: cached, DiskIds: ["default-cached-cache"] }, "DiskAlreadyAllocated"],
      ["AddUploadBuffer", { GatewayARN: cached, DiskIds: ["nowhere"] }, "DiskDoesNotExist"],
      ["AddUploadBuffer", { GatewayARN: cached, DiskIds: ["errors-stored"] }, "DiskAlreadyAllocated"],
      ["AddUploadBuffer", { GatewayARN: cached, DiskIds: [] }, "InvalidParameters"],
      ["AddWorkingStorage", { GatewayARN: cached, DiskIds: [free] }, unfit],
      ["AddWorkingStorage", { GatewayARN: stored, DiskIds: ["nowhere"] }, "DiskDoesNotExist"],
      ["AddWorkingStorage", { GatewayARN: stored, DiskIds: ["errors-stored"] }, "DiskAlreadyAllocated"],
      ["DescribeCache", { GatewayARN: stored }, unfit],
      ["DescribeWorkingStorage", { GatewayARN: cached }, unfit],
      ["ResetCache", { GatewayARN: stored }, unfit],
      ["ListVolumeRecoveryPoints", { GatewayARN: stored }, unfit],
      ["DescribeStorediSCSIVolumes", { VolumeARNs: [volume] }, unfit],
      ["DescribeCachediSCSIVolumes", { VolumeARNs: [rock] }, unfit],
      ["DescribeCachediSCSIVolumes", { VolumeARNs: [volume, rock] }, "InvalidParameters"],
      ["CreateSnapshotFromVolumeRecoveryPoint", { VolumeARN: rock, SnapshotDescription: "d" }, unfit],
      [
        "CreateSnapshotFromVolumeRecoveryPoint",
        { VolumeARN: volume, SnapshotDescription: "d" },
        "VolumeNotReady",
      ],
      ["DeleteSnapshotSchedule", { VolumeARN: rock }, unfit],
      ["DeleteSnapshotSchedule", { VolumeARN: volume }, "SnapshotScheduleNotFound"],
      ["DescribeSnapshotSchedule", { VolumeARN: volume }, "SnapshotScheduleNotFound"],
      ["CreateStorediSCSIVolume", { ...newStored, GatewayARN: cached }, unfit],
      ["CreateStorediSCSIVolume", { ...newStored, DiskId: "nowhere" }, "DiskDoesNotExist"],
      ["CreateStorediSCSIVolume", { ...newStored, DiskId: "errors-stored" }, "DiskAlreadyAllocated"],
      ["CreateStorediSCSIVolume", { ...newStored, DiskId: odd }, "DiskSizeNotGigAligned"],
      ["CreateStorediSCSIVolume", { ...newStored, TargetName: "errors" }, "TargetAlreadyExists"],
      ["CreateStorediSCSIVolume", { ...newStored, ...noSnapshot }, "SnapshotNotFound"],
      ["CreateStorediSCSIVolume", { ...newStored, NetworkInterfaceId: "eth0" }, "InvalidParameters"],
      ["CreateStorediSCSIVolume", { ...newStored, KMSEncrypted: true }, "NotSupported"],
      ["CreateCachediSCSIVolume", { ...newCached, GatewayARN: stored }, unfit],
      ["CreateCachediSCSIVolume", { ...newCached, TargetName: "errors" }, "TargetAlreadyExists"],
      ["CreateCachediSCSIVolume", { ...newCached, ...noSnapshot }, "SnapshotNotFound"],
      ["CreateCachediSCSIVolume", { ...newCached, VolumeSizeInBytes: 7 }, "InvalidParameters"],
      ["CreateCachediSCSIVolume", { ...newCached, SourceVolumeARN: volume }, "VolumeNotReady"],
      ["CreateCachediSCSIVolume", { ...newCached, KMSEncrypted: true }, "NotSupported"],
      ["AttachVolume", { VolumeARN: volume, GatewayARN: cached, ...INTERFACE }, "VolumeInUse"],
      ["UpdateChapCredentials", chap(target, "short", "222222222222"), "InvalidParameters"],
      ["UpdateChapCredentials", chap(target, "222222222222", "222222222222"), "InvalidParameters"],
      ["DeleteChapCredentials", { TargetARN: target, InitiatorName: "iqn.none" }, "InitiatorNotFound"],
      [
        "DeleteBandwidthRateLimit",
        { GatewayARN: cached, BandwidthType: "ALL" },
        "BandwidthThrottleScheduleNotFound",
      ],
      ["DeleteBandwidthRateLimit", { GatewayARN: cached, BandwidthType: "SIDE" }, "InvalidParameters"],
      ["UpdateMaintenanceStartTime", { GatewayARN: cached, HourOfDay: 1, DayOfWeek: 1 }, "InvalidParameters"],
      ["UpdateGatewayInformation", { GatewayARN: cached, GatewayTimezone: "CET" }, "InvalidParameters"],
      ["ListGateways", { Marker: "1" }, "InvalidParameters"],
      [
        "AddTagsToResource",
        { ResourceARN: cached, Tags: [{ Key: "aws:x", Value: "" }] },
        "InvalidParameters",
      ],
      ["DescribeSMBSettings", { GatewayARN: cached }, unfit],
    ];
    for (const [operation, input, code] of cases) await provoke(operation, input, code);
    for (let i = 1; i < 31; i++) await makeCached(gateway, `many-${i}`);
    const many = { ...newCached, ClientToken: "one too many" };
    await provoke("CreateCachediSCSIVolume", many, "MaximumVolumeCountExceeded");
  });

  function chap(TargetARN: string, initiator: string, target: string) {
    return {
      TargetARN,
      InitiatorName: "iqn.x",
      SecretToAuthenticateInitiator: initiator,
      SecretToAuthenticateTarget: target,
    };
  }

  test("the other 49 operations answer that they are not supported", async () => {
    const built = new Set(storageGatewayOperations.map(({ name }) => name));
    const others = Object.keys(STORAGE_GATEWAY_MODEL.operations).filter((name) => !built.has(name));
    assert.equal(others.length, 49);
    for (const name of others) {
      const { status, body } = await callJson(gateway.botoSettings(), `StorageGateway_20130630.${name}`, {});
      assert.equal(status, 400);
      assert.equal(body.__type, "InvalidGatewayRequestException");
      assert.match(body.message, /not supported|not valid for the specified gateway/);
    }
  });

  test("results", () => coverage.finish());
});
