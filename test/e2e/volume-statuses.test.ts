/** VolumeStatus: each that this gateway tells, by what brings it about, with VolumeProgress where something is under way. */
import { strict as assert } from "node:assert";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDiskFile, disksFolder } from "../../src/gateway/disks.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { completed, createSnapshot, GIB, gatewayArn, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const PLACE = { GatewayTimezone: "GMT", GatewayRegion: "us-east-1" };

describe("the statuses of volumes", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-statuses-"));
  const sizes = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  const stored = async (arn: string) => {
    const answer = await gateway.boto.gateway("describe_stored_iscsi_volumes", { VolumeARNs: [arn] });
    return answer.StorediSCSIVolumes[0];
  };

  test("AVAILABLE as soon as it is made, also on data that nobody has uploaded yet, and snapshots of it are exact", async () => {
    const { path } = createDiskFile(gateway.dataDir, "with-data", GIB);
    writeFileSync(path, Buffer.alloc(MIB, 7), { flag: "r+" });
    const { VolumeARN } = await gateway.boto.gateway("create_stored_iscsi_volume", {
      GatewayARN: await gatewayArn(gateway, "STORED"),
      DiskId: "with-data",
      PreserveExistingData: true,
      TargetName: "with-data",
      NetworkInterfaceId: "127.0.0.1",
    });
    const { VolumeStatus, VolumeProgress, PreservedExistingData } = await stored(VolumeARN);
    assert.deepEqual([VolumeStatus, VolumeProgress, PreservedExistingData], ["AVAILABLE", undefined, true]);
    const SnapshotId = await createSnapshot(gateway, VolumeARN);
    await completed(gateway, SnapshotId);
    assert.equal((await stored(VolumeARN)).VolumeStatus, "AVAILABLE");
    await makeCached(gateway, "of-data", GIB, { SnapshotId });
    const output = await qemuIo(volumeUrl(gateway.portal, "of-data"), "read -P 7 0 1M", "read -P 0 1M 1M");
    assert.doesNotMatch(output, /verification failed/);
  });

  test("RESTORING with its progress, on a slow line, until all is there", async () => {
    const source = await makeCached(gateway, "source");
    const noise = join(folder, "noise");
    writeFileSync(noise, systemRandom.bytes(32 * MIB));
    await qemuIo(volumeUrl(gateway.portal, "source"), `write -s ${noise} 0 32M`, "flush");
    const SnapshotId = await createSnapshot(gateway, source);
    await completed(gateway, SnapshotId);
    const GatewayARN = await gatewayArn(gateway, "STORED");
    await gateway.boto.gateway("update_bandwidth_rate_limit", {
      GatewayARN,
      AverageDownloadRateLimitInBitsPerSec: 102_400,
    });
    const arn = await makeStored(gateway, "restored", "1GiB", { SnapshotId });
    const { VolumeStatus, VolumeProgress, SourceSnapshotId } = await stored(arn);
    assert.deepEqual([VolumeStatus, SourceSnapshotId], ["RESTORING", SnapshotId]);
    assert(VolumeProgress >= 0 && VolumeProgress < 100, String(VolumeProgress));
    // It is in service meanwhile, and snapshots of it can be made.
    await createSnapshot(gateway, arn);
    await gateway.boto.gateway("delete_bandwidth_rate_limit", { GatewayARN, BandwidthType: "DOWNLOAD" });
    const done = await until("restored", async () => {
      const now = await stored(arn);
      return now.VolumeStatus === "AVAILABLE" ? now : assert.equal(now.VolumeStatus, "RESTORING");
    });
    assert.equal(done.VolumeProgress, undefined);
  });

  test("UPLOAD BUFFER NOT CONFIGURED without one, and AVAILABLE when there is one", async () => {
    const answer = await fetch(`${gateway.endpoint}/?activationRegion=us-east-1`, { redirect: "manual" });
    const ActivationKey = new URL(answer.headers.get("location") ?? "").searchParams.get("activationKey");
    const wanted = { ActivationKey, GatewayName: "bare", GatewayType: "STORED", ...PLACE };
    const { GatewayARN } = await gateway.boto.gateway("activate_gateway", wanted);
    const arn = await makeStored(gateway, "bare", "1GiB", { GatewayARN });
    assert.equal((await stored(arn)).VolumeStatus, "UPLOAD BUFFER NOT CONFIGURED");
    const { diskId } = createDiskFile(gateway.dataDir, "bare-buffer", 64 * MIB);
    await gateway.boto.gateway("add_upload_buffer", { GatewayARN, DiskIds: [diskId] });
    assert.equal((await stored(arn)).VolumeStatus, "AVAILABLE");
  });

  test("IRRECOVERABLE where its disk is lost; the others are in service", async () => {
    const arn = await makeStored(gateway, "lost");
    const other = await makeStored(gateway, "kept");
    await gateway.stop();
    const disk = join(disksFolder(gateway.dataDir), "lost");
    renameSync(disk, join(folder, "lost"));
    await gateway.start();
    assert.equal((await stored(arn)).VolumeStatus, "IRRECOVERABLE");
    assert.equal((await stored(other)).VolumeStatus, "AVAILABLE");
    const { Disks } = await gateway.boto.gateway("list_local_disks", {
      GatewayARN: await gatewayArn(gateway, "STORED"),
    });
    const lost = Disks.find(({ DiskId }: { DiskId: string }) => DiskId === "lost");
    assert.equal(lost.DiskStatus, "missing");
    await gateway.boto.gateway("delete_volume", { VolumeARN: arn });
  });
});
