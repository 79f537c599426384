/**
 * Errors of the Storage Gateway API that take a certain state of things: snapshots under way, disks of a wrong size,
 * initiators that are logged in, a key that is old, a data folder that is broken.
 */
import { strict as assert } from "node:assert";
import {
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { makeActivationKey } from "../../src/gateway/activation.ts";
import { createDiskFile, disksFolder } from "../../src/gateway/disks.ts";
import type { GatewayErrorCode } from "../../src/gateway/errors.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { CoverageRecorder } from "../api-coverage/recorder.ts";
import { BlockClient } from "../clients/block-client.ts";
import type { BotoError } from "../clients/boto.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { provokeGatewayError } from "./api-scenarios/provoke.ts";
import { completed, createSnapshot, GIB, gatewayArn, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
const HOUR_MS = 3_600_000;
const INTERFACE = { NetworkInterfaceId: "127.0.0.1" };

describe("errors of the Storage Gateway API that need a certain state", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-errors-"));
  // A file system that takes files of more than 16 TiB, if there is one.
  const huge = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "sg-errors-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  const coverage = new CoverageRecorder("gateway-errors");
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
    rmSync(huge, { recursive: true, force: true });
  });

  const provoke = (operation: string, input: object, code: GatewayErrorCode) =>
    provokeGatewayError(gateway, coverage, [operation, input, code]);
  const disk = (name: string, sizeBytes: number) => createDiskFile(gateway.dataDir, name, sizeBytes).diskId;
  const newCached = async (more: object = {}) => ({
    GatewayARN: await gatewayArn(gateway, "CACHED"),
    VolumeSizeInBytes: GIB,
    TargetName: "new",
    ClientToken: "new-one",
    ...INTERFACE,
    ...more,
  });
  const newStored = async (more: object) => ({
    GatewayARN: await gatewayArn(gateway, "STORED"),
    PreserveExistingData: false,
    TargetName: "new",
    ...INTERFACE,
    ...more,
  });
  const activate = (GatewayName: string, ActivationKey: string, GatewayType = "CACHED") => {
    const place = { GatewayTimezone: "GMT", GatewayRegion: "us-east-1", GatewayType };
    return { ActivationKey, GatewayName, ...place };
  };
  const newGateway = async (name: string, kind = "CACHED"): Promise<string> => {
    const answer = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    const key = new URL(answer.headers.get("location") ?? "").searchParams.get("activationKey") ?? "";
    return (await gateway.boto.gateway("activate_gateway", activate(name, key, kind))).GatewayARN;
  };

  test("an activation key of an hour ago", async () => {
    await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    const catalog = new DatabaseSync(join(gateway.dataDir, "catalog.sqlite"), { readOnly: true });
    const row = catalog.prepare("select value from settings where key = 'activation-secret'").get();
    catalog.close();
    const secret = Buffer.from(String(row?.value), "base64");
    const key = makeActivationKey(secret, Date.now() - HOUR_MS, systemRandom);
    await provoke("ActivateGateway", activate("late", key), "ActivationKeyExpired");
  });

  test("an initiator of a name that none has; a volume of an id that none has", async () => {
    await makeCached(gateway, "named");
    const TargetARN = `${await gatewayArn(gateway, "CACHED")}/target/iqn.1997-05.com.amazon:named`;
    const SecretToAuthenticateInitiator = "111111111111";
    for (const InitiatorName of ["host", "iqn", "xiqn.2001-04.com.example:h"])
      await provoke(
        "UpdateChapCredentials",
        { TargetARN, InitiatorName, SecretToAuthenticateInitiator },
        "InitiatorInvalid",
      );
    const VolumeARN = `${await gatewayArn(gateway, "CACHED")}/volume/vol-one-of-mine`;
    await provoke("DeleteVolume", { VolumeARN }, "VolumeIdInvalid");
  });

  test("a gateway without a cache", async () => {
    const GatewayARN = await newGateway("bare");
    await provoke("CreateCachediSCSIVolume", await newCached({ GatewayARN }), "NoDisksAvailable");
    await gateway.boto.gateway("delete_gateway", { GatewayARN });
    const bare = await newGateway("bare", "STORED");
    const VolumeARN = await makeStored(gateway, "bare", "1GiB", { GatewayARN: bare });
    await provoke("CreateSnapshot", { VolumeARN, SnapshotDescription: "to nowhere" }, "VolumeNotReady");
    await gateway.boto.gateway("delete_gateway", { GatewayARN: bare });
  });

  test("disks that are too small, too large, or no whole GiB", async () => {
    const volume = await makeCached(gateway, "of-two", 2 * GIB);
    const SnapshotId = await createSnapshot(gateway, volume);
    await completed(gateway, SnapshotId);
    const DiskId = disk("of-one", GIB);
    await provoke(
      "CreateStorediSCSIVolume",
      await newStored({ DiskId, SnapshotId }),
      "DiskSizeLessThanVolumeSize",
    );
    await provoke(
      "CreateStorediSCSIVolume",
      await newStored({ DiskId: disk("odd", GIB + MIB) }),
      "DiskSizeNotGigAligned",
    );
    const file = join(huge, "disk");
    writeFileSync(file, "");
    truncateSync(file, 17 * TIB);
    symlinkSync(file, join(disksFolder(gateway.dataDir), "huge"));
    await provoke(
      "CreateStorediSCSIVolume",
      await newStored({ DiskId: "huge" }),
      "DiskSizeGreaterThanVolumeMaxSize",
    );
    await provoke("CreateCachediSCSIVolume", await newCached({ SnapshotId }), "InvalidParameters");
    // A stored volume comes back only to a disk that holds it.
    const stone = await makeStored(gateway, "stone", "2GiB");
    await gateway.boto.gateway("detach_volume", { VolumeARN: stone });
    await until("detached", async () => {
      const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
      const info = VolumeInfos.find((one: { VolumeARN: string }) => one.VolumeARN === stone);
      return info.VolumeAttachmentStatus === "DETACHED" ? true : undefined;
    });
    const place = { GatewayARN: await gatewayArn(gateway, "STORED"), ...INTERFACE };
    const attach = { VolumeARN: stone, ...place, DiskId };
    await provoke("AttachVolume", attach, "DiskSizeLessThanVolumeSize");
    await provoke("CreateSnapshot", { VolumeARN: stone, SnapshotDescription: "away" }, "VolumeNotReady");
  });

  test("a volume with an initiator that is logged in", async () => {
    const VolumeARN = await makeCached(gateway, "used");
    const client = await BlockClient.open(gateway.portal, "used");
    try {
      await provoke("DeleteVolume", { VolumeARN }, "VolumeInUse");
      await provoke("DetachVolume", { VolumeARN }, "VolumeInUse");
      const VolumeId = VolumeARN.slice(VolumeARN.lastIndexOf("/") + 1).toLowerCase();
      const isInUse = { name: "BotoError", code: "VolumeInUse", status: 400 };
      await assert.rejects(gateway.boto.ec2("delete_volume", { VolumeId }), isInUse);
      coverage.note("ec2", "DeleteVolume", "errors", "VolumeInUse");
    } finally {
      await client.close();
    }
  });

  test("a snapshot that is under way, one that was deleted meanwhile, one that has failed", async () => {
    const { boto } = gateway;
    const GatewayARN = await newGateway("slow");
    await boto.gateway("add_cache", { GatewayARN, DiskIds: [disk("slow-cache", 128 * MIB)] });
    await boto.gateway("add_upload_buffer", { GatewayARN, DiskIds: [disk("slow-buffer", 64 * MIB)] });
    // The least that the API allows: what is written takes minutes to arrive.
    await boto.gateway("update_bandwidth_rate_limit", {
      GatewayARN,
      AverageUploadRateLimitInBitsPerSec: 51_200,
    });
    const VolumeARN = await makeCached(gateway, "slow", GIB, { GatewayARN });
    const noise = join(folder, "noise");
    const write = async () => {
      writeFileSync(noise, systemRandom.bytes(4 * MIB));
      await qemuIo(volumeUrl(gateway.portal, "slow"), `write -s ${noise} 0 4M`, "flush");
      return createSnapshot(gateway, VolumeARN);
    };
    // One piece goes whatever its size, and what comes behind it pays for it.
    await write();
    const pending = await write();
    const deleted = await createSnapshot(gateway, VolumeARN);
    const of = (SnapshotId: string) => newCached({ SnapshotId });
    await provoke("CreateCachediSCSIVolume", await of(pending), "SnapshotInProgress");
    const onDisk = { DiskId: disk("for-slow", GIB), SnapshotId: pending };
    await provoke("CreateStorediSCSIVolume", await newStored(onDisk), "SnapshotInProgress");
    await provoke("DeleteVolume", { VolumeARN }, "SnapshotInProgress");
    await boto.ec2("delete_snapshot", { SnapshotId: deleted });
    await provoke("CreateCachediSCSIVolume", await of(deleted), "SnapshotDeleted");
    await provoke(
      "CreateStorediSCSIVolume",
      await newStored({ ...onDisk, SnapshotId: deleted }),
      "SnapshotDeleted",
    );
    await boto.gateway("delete_gateway", { GatewayARN });
    const { Snapshots } = await boto.ec2("describe_snapshots", { SnapshotIds: [pending] });
    assert.equal(Snapshots[0].State, "error");
    await provoke("CreateCachediSCSIVolume", await of(pending), "SnapshotIdInvalid");
    await provoke("CreateStorediSCSIVolume", await newStored(onDisk), "SnapshotIdInvalid");
  });

  test("a data folder that is broken: an internal error, and no more than that", async () => {
    const disks = disksFolder(gateway.dataDir);
    const GatewayARN = await gatewayArn(gateway, "CACHED");
    renameSync(disks, `${disks}-away`);
    writeFileSync(disks, "not a folder");
    try {
      await provoke("ListLocalDisks", { GatewayARN }, "InternalError");
    } finally {
      rmSync(disks);
      renameSync(`${disks}-away`, disks);
    }
    const { Disks } = await gateway.boto.gateway("list_local_disks", { GatewayARN });
    assert(Disks.length > 0);
  });

  test("a bucket that is away: an answer that clients try again after", async () => {
    const VolumeARN = await makeCached(gateway, "apart");
    await qemuIo(volumeUrl(gateway.portal, "apart"), "write -P 5 0 1M", "flush");
    const SnapshotId = await createSnapshot(gateway, VolumeARN);
    await completed(gateway, SnapshotId);
    const { Blocks } = await gateway.boto.ebs("list_snapshot_blocks", { SnapshotId });
    const vault = join(gateway.dataDir, "vault");
    renameSync(vault, `${vault}-away`);
    try {
      const copy = { SourceRegion: "us-east-1", SourceSnapshotId: SnapshotId };
      const status = (call: Promise<unknown>) =>
        call.then(
          () => 200,
          (error: BotoError) => error.status,
        );
      await until("it is known", async () =>
        (await status(gateway.boto.ec2("copy_snapshot", copy))) === 503 ? true : undefined,
      );
      const ofPoint = { VolumeARN, SnapshotDescription: "while it is away" };
      await provoke("CreateSnapshotFromVolumeRecoveryPoint", ofPoint, "ServiceUnavailable");
      const isAway = { name: "BotoError", code: "InternalServerException", status: 503 };
      await assert.rejects(gateway.boto.ebs("get_snapshot_block", { SnapshotId, ...Blocks[0] }), isAway);
      coverage.note("ebs", "GetSnapshotBlock", "errors", "InternalServerException");
    } finally {
      renameSync(`${vault}-away`, vault);
    }
  });

  test("results", () => coverage.finish());
});
