/** A bucket that gives no answer for a while, and a file system that gets full: on the real gateway. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { delay, systemClock } from "../../src/platform/clock.ts";
import { BlockClient, ScsiStatusError } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { TcpGate } from "../servers/tcp-gate.ts";
import { s3Store } from "./store.ts";
import {
  completed,
  createSnapshot,
  GIB,
  makeCached,
  makeStored,
  snapshotState,
  statusOf,
  until,
} from "./volume-kit.ts";

const MIB_SECTORS = 2048;
/** How long the bucket is silent; the long form is `SLUICEGATE_TEST_OUTAGE_MS=60000`. */
const OUTAGE_MS = Number(process.env.SLUICEGATE_TEST_OUTAGE_MS ?? 8_000);
const BUSY = 0x08;

/** A mebibyte that no other one is like. */
function mebibyte(n: number): Buffer {
  const words = new Uint32Array(2 ** 18);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(n * 2654435761 + i, 2246822519) ^ (i >>> 3);
  return Buffer.from(words.buffer);
}

describe("a bucket that is silent for a while", { skip: s3Store.skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-outage-"));
  const dataDir = join(folder, "data");
  let gate: TcpGate;
  let gateway: GatewayProcess;

  before(async () => {
    const { hostname, port } = new URL(process.env.SLUICEGATE_TEST_S3_ENDPOINT ?? "");
    gate = await TcpGate.open(hostname, Number(port));
    const [store, url = ""] = s3Store.options(dataDir);
    const options = [
      store ?? "",
      url,
      "--s3-endpoint",
      `http://127.0.0.1:${gate.port}`,
      "--cache-size",
      "128MiB",
    ];
    gateway = new GatewayProcess(dataDir, options);
    await gateway.start();
  });
  after(async () => {
    await gateway?.kill();
    await gate?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("in the middle of an upload: the volume serves on, and the snapshot completes by itself", async () => {
    const arn = await makeStored(gateway, "silent");
    const client = await BlockClient.open(gateway.portal, "silent");
    for (let i = 0; i < 48; i++) await client.write(i * MIB_SECTORS, mebibyte(i));
    gate.bytesPerSecond = 4 * 2 ** 20;
    const snapshotId = await createSnapshot(gateway, arn);
    await until("the upload is under way", async () => {
      const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [snapshotId] });
      return Number.parseInt(Snapshots[0].Progress, 10) > 5 ? true : undefined;
    });
    gate.shut();
    const endMs = systemClock.monotonicMs() + OUTAGE_MS;
    for (let n = 0; systemClock.monotonicMs() < endMs; n++) {
      await client.write((n % 48) * MIB_SECTORS, mebibyte(1000 + n));
      assert((await client.read((n % 48) * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(1000 + n)));
      await delay(systemClock, 50);
    }
    assert.equal((await snapshotState(gateway, snapshotId)).State, "pending");
    gate.bytesPerSecond = 0;
    gate.reopen();
    await completed(gateway, snapshotId, 180_000);
    client.close();
    await makeCached(gateway, "silent-copy", GIB, { SnapshotId: snapshotId });
    const copy = await BlockClient.open(gateway.portal, "silent-copy");
    for (let i = 0; i < 48; i++) {
      assert(
        (await copy.read(i * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(i)),
        `mebibyte ${i} of the snapshot`,
      );
    }
    copy.close();
  });

  test("in the middle of a read that misses the cache: an answer that can be tried again, then the data", async () => {
    const arn = await makeCached(gateway, "misses");
    const client = await BlockClient.open(gateway.portal, "misses");
    for (let i = 0; i < 16; i++) await client.write(i * MIB_SECTORS, mebibyte(i));
    const snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    await makeCached(gateway, "misses-copy", GIB, { SnapshotId: snapshotId });
    const copy = await BlockClient.open(gateway.portal, "misses-copy");
    gate.shut();
    const reopened = delay(systemClock, OUTAGE_MS).then(() => gate.reopen());
    let answered: Buffer | undefined;
    while (answered === undefined) {
      try {
        answered = await copy.read(5 * MIB_SECTORS, MIB_SECTORS);
      } catch (error) {
        assert(error instanceof ScsiStatusError && error.status === BUSY, String(error));
      }
    }
    assert(answered.equals(mebibyte(5)));
    await reopened;
    // The session is the one of before.
    assert((await copy.read(6 * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(6)));
    assert.equal(await statusOf(gateway, arn), "AVAILABLE");
    copy.close();
    client.close();
  });
});

describe("kill -9 in the middle of a restore", { skip: s3Store.skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-restore-"));
  const dataDir = join(folder, "data");
  let gate: TcpGate;
  let gateway: GatewayProcess;

  before(async () => {
    const { hostname, port } = new URL(process.env.SLUICEGATE_TEST_S3_ENDPOINT ?? "");
    gate = await TcpGate.open(hostname, Number(port));
    const [store, url = ""] = s3Store.options(dataDir);
    gateway = new GatewayProcess(dataDir, [
      store ?? "",
      url,
      "--s3-endpoint",
      `http://127.0.0.1:${gate.port}`,
    ]);
    await gateway.start();
  });
  after(async () => {
    await gateway?.kill();
    await gate?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("it goes on where it was, with what the guest has written meanwhile", async () => {
    const arn = await makeStored(gateway, "origin");
    const origin = await BlockClient.open(gateway.portal, "origin");
    for (let i = 0; i < 64; i++) await origin.write(i * MIB_SECTORS, mebibyte(i));
    origin.close();
    const snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    gate.bytesPerSecondBack = 6 * 2 ** 20;
    const restored = await makeStored(gateway, "restored", "1GiB", { SnapshotId: snapshotId });
    const progress = async () => {
      const { StorediSCSIVolumes } = await gateway.boto.gateway("describe_stored_iscsi_volumes", {
        VolumeARNs: [restored],
      });
      return StorediSCSIVolumes[0] as { VolumeStatus: string; VolumeProgress?: number };
    };
    const written = new Map<number, Buffer>();
    let last = 0;
    for (let round = 0; round < 3; round++) {
      const client = await BlockClient.open(gateway.portal, "restored");
      for (const at of [round * 7 + 3, 60 - round]) {
        await client.write(at * MIB_SECTORS, mebibyte(500 + at));
        written.set(at, mebibyte(500 + at));
      }
      // Asked for before its turn: it overtakes.
      assert((await client.read(50 * MIB_SECTORS, 128)).equals(mebibyte(50).subarray(0, 65536)));
      const { VolumeStatus, VolumeProgress = 1 } = await progress();
      assert(VolumeStatus === "RESTORING" || VolumeStatus === "AVAILABLE");
      assert(VolumeProgress >= last, `the progress went back from ${last} to ${VolumeProgress}`);
      last = VolumeProgress;
      client.close();
      await gateway.crash();
    }
    gate.bytesPerSecondBack = 0;
    await until(
      "restored",
      async () => ((await progress()).VolumeStatus === "AVAILABLE" ? true : undefined),
      120_000,
    );
    const client = await BlockClient.open(gateway.portal, "restored");
    for (let i = 0; i < 64; i++) {
      const expected = written.get(i) ?? mebibyte(i);
      assert((await client.read(i * MIB_SECTORS, MIB_SECTORS)).equals(expected), `mebibyte ${i}`);
    }
    client.close();
  });
});

const mounting = mountable();

describe("a file system that gets full", { skip: mounting }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-full-"));
  const mountPoint = join(folder, "small");
  const gateway = new GatewayProcess(join(folder, "data"), ["--device", join(mountPoint, "disk")]);

  before(() => {
    mount(join(folder, "image"), mountPoint);
    // A sparse file that is larger than the file system it is on.
    run("truncate", "-s", "1G", join(mountPoint, "disk"));
  });
  after(async () => {
    await gateway.kill();
    // Lazily: the killed gateway may still be letting go of its files.
    spawnSync("umount", ["-l", mountPoint]);
    rmSync(folder, { recursive: true, force: true });
  });

  test("under a stored volume: writes without room are refused, everything else goes on", async () => {
    await gateway.start();
    const { Gateways } = await gateway.boto.gateway("list_gateways");
    const stored = Gateways.find((g: { GatewayType: string }) => g.GatewayType === "STORED").GatewayARN;
    const { VolumeARN } = await gateway.boto.gateway("create_stored_iscsi_volume", {
      GatewayARN: stored,
      DiskId: join(mountPoint, "disk"),
      PreserveExistingData: true,
      TargetName: "full",
      NetworkInterfaceId: "127.0.0.1",
    });
    const client = await BlockClient.open(gateway.portal, "full");
    let fitting = 0;
    const refused = await until("the disk is full", async () => {
      try {
        await client.write(fitting * MIB_SECTORS, mebibyte(fitting));
        fitting += 1;
        return undefined;
      } catch (error) {
        return error;
      }
    });
    // SPACE ALLOCATION FAILED WRITE PROTECT.
    assert(refused instanceof ScsiStatusError && refused.sense === "7/27/07", String(refused));
    assert(fitting > 10 && fitting < 64, `${fitting} MiB fit on 64 MiB`);
    for (let i = 0; i < fitting; i++) {
      assert((await client.read(i * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(i)), `mebibyte ${i}`);
    }
    // What has its room already can be written again, and another volume does not notice.
    await client.write(0, mebibyte(900));
    assert.equal(await statusOf(gateway, VolumeARN), "AVAILABLE");
    await makeStored(gateway, "other");
    const other = await BlockClient.open(gateway.portal, "other");
    await other.write(0, mebibyte(1));
    const snapshotId = await createSnapshot(gateway, VolumeARN);
    await completed(gateway, snapshotId);
    await gateway.crash();
    const again = await BlockClient.open(gateway.portal, "full");
    assert((await again.read(0, MIB_SECTORS)).equals(mebibyte(900)));
    for (let i = 1; i < fitting; i++)
      assert((await again.read(i * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(i)));
    for (const each of [client, other, again]) each.close();
  });

  test("and goes on when there is room again", async () => {
    rmSync(join(mountPoint, "filler"));
    assert(!statSync(mountPoint).isFile());
    const client = await BlockClient.open(gateway.portal, "full");
    await client.write(900 * MIB_SECTORS, mebibyte(2));
    await client.flush();
    assert((await client.read(900 * MIB_SECTORS, MIB_SECTORS)).equals(mebibyte(2)));
    client.close();
  });
});

/** Why a file system can't be mounted here, or false. */
function mountable(): string | false {
  const folder = mkdtempSync(join(tmpdir(), "sg-mount-"));
  try {
    mount(join(folder, "image"), join(folder, "at"));
    run("umount", join(folder, "at"));
    return false;
  } catch (error) {
    return `no file system can be mounted here: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file system of 64 MiB, with 8 MiB of something else on it. */
function mount(image: string, at: string): void {
  run("truncate", "-s", "64M", image);
  run("mkfs.ext4", "-q", image);
  mkdirSync(at);
  run("mount", "-o", "loop", image, at);
  writeFileSync(join(at, "filler"), Buffer.alloc(8 * 2 ** 20, 1));
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, error?.message ?? stderr);
}
