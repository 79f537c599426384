/** What a volume can do beyond reading and writing, on the real gateway: grow, go back in time, be cut with others. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient, ScsiStatusError } from "../clients/block-client.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
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

const SECTOR = 512;

describe("volumes", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-engine-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    "--cache-size",
    "1GiB",
    "--upload-buffer-size",
    "1GiB",
  ]);
  const url = (targetName: string) => volumeUrl(gateway.portal, targetName);
  const command = (...args: string[]) => {
    const { status, stdout, stderr } = sluicegate(...args, "--data", gateway.dataDir);
    assert.equal(status, 0, stderr);
    return stdout;
  };

  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("give space back: what is unmapped, or overwritten with zeros, takes none on the disk", async () => {
    const arn = await makeStored(gateway, "shrinks");
    const takenMib = () => (statSync(join(gateway.dataDir, "disks", "shrinks")).blocks * 512) / 1024 ** 2;
    const client = await BlockClient.open(gateway.portal, "shrinks");
    const mib = 1024 ** 2;
    for (let at = 0; at < 32; at++) await client.write((at * mib) / SECTOR, Buffer.alloc(mib, at + 1));
    assert(takenMib() >= 32);
    await client.unmap(0, (8 * mib) / SECTOR);
    assert(takenMib() <= 24.5, `${takenMib()} MiB after UNMAP`);
    await client.write((8 * mib) / SECTOR, Buffer.alloc(mib));
    assert(takenMib() <= 23.5, `${takenMib()} MiB after zeros`);
    // What a cut needs is kept until it is in the bucket, and given back then.
    const snapshotId = await createSnapshot(gateway, arn);
    await client.unmap((16 * mib) / SECTOR, (16 * mib) / SECTOR);
    assert.equal((await client.read((20 * mib) / SECTOR, 1))[0], 0);
    await completed(gateway, snapshotId);
    await until("given back", async () => (takenMib() <= 7.5 ? true : undefined));
    client.close();
    await makeCached(gateway, "shrinks-copy", GIB, { SnapshotId: snapshotId });
    await qemuIo(
      url("shrinks-copy"),
      `read -P 0 0 ${9 * mib}`,
      ...Array.from({ length: 23 }, (_, i) => `read -P ${i + 10} ${(i + 9) * mib} ${mib}`),
    );
    await qemuIo(
      url("shrinks"),
      `read -P 0 0 ${9 * mib}`,
      `read -P 16 ${15 * mib} ${mib}`,
      `read -P 0 ${16 * mib} ${16 * mib}`,
    );
  });

  test("grow while they are in use, and initiators are told", async () => {
    for (const name of ["grows-stored", "grows-cached"]) {
      const arn = name === "grows-stored" ? await makeStored(gateway, name) : await makeCached(gateway, name);
      const client = await BlockClient.open(gateway.portal, name);
      assert.equal(await client.capacity(), GIB / SECTOR);
      await client.write(GIB / SECTOR - 1, Buffer.alloc(SECTOR, 7));
      const small = await createSnapshot(gateway, arn);
      assert.match(command("volume", "resize", name, "2GiB"), /has 2 GiB now/);
      await assert.rejects(
        client.read(0, 1),
        (error: unknown) => error instanceof ScsiStatusError && error.sense === "6/2a/09",
      );
      assert.equal(await client.capacity(), (2 * GIB) / SECTOR);
      await client.write((2 * GIB) / SECTOR - 1, Buffer.alloc(SECTOR, 9));
      assert.equal((await client.read(GIB / SECTOR - 1, 1))[0], 7);
      assert.equal((await client.read(GIB / SECTOR, 1))[0], 0);
      client.close();
      await completed(gateway, small);
      const large = await createSnapshot(gateway, arn);
      await completed(gateway, large);
      await gateway.crash();
      await qemuIo(
        url(name),
        `read -P 9 ${2 * GIB - SECTOR} ${SECTOR}`,
        `read -P 7 ${GIB - SECTOR} ${SECTOR}`,
      );
      await makeCached(gateway, `${name}-copy`, 2 * GIB, { SnapshotId: large });
      await qemuIo(url(`${name}-copy`), `read -P 9 ${2 * GIB - SECTOR} ${SECTOR}`, `read -P 0 ${GIB} 64k`);
      // The snapshot from before is of the old size.
      await makeCached(gateway, `${name}-small`, GIB, { SnapshotId: small });
      await qemuIo(url(`${name}-small`), `read -P 7 ${GIB - SECTOR} ${SECTOR}`);
    }
    const refused = sluicegate("volume", "resize", "grows-stored", "1GiB", "--data", gateway.dataDir);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /from 2 to 16384 GiB/);
  });

  test("are cut together: a write that waited for another one is never there without it", async () => {
    const names = ["group-a", "group-b", "group-c"];
    const arns = [
      await makeStored(gateway, "group-a"),
      await makeCached(gateway, "group-b"),
      await makeStored(gateway, "group-c"),
    ];
    const clients = await Promise.all(names.map((name) => BlockClient.open(gateway.portal, name)));
    let stopped = false;
    let written = 0;
    // One number after the other, each on the next volume when the one before it was acknowledged.
    const chain = async () => {
      for (let n = 1; !stopped; n++) {
        const client = clients[n % 3];
        assert(client !== undefined);
        await client.write(0, Buffer.from(new Uint32Array(SECTOR / 4).fill(n).buffer));
        written = n;
      }
    };
    const running = chain();
    const groups: string[][] = [];
    for (let round = 0; round < 5; round++) {
      const from = written;
      await until("writes", async () => (written > from + 50 ? true : undefined));
      const lines = command("snapshot", "create", ...names, "--description", "together")
        .trim()
        .split("\n");
      groups.push(lines.map((line) => line.split("\t")[0] ?? ""));
    }
    stopped = true;
    await running;
    for (const client of clients) client.close();
    for (const [round, group] of groups.entries()) {
      const numbers: number[] = [];
      for (const [i, snapshotId] of group.entries()) {
        await completed(gateway, snapshotId);
        const name = `group-${round}-${i}`;
        const arn = await makeCached(gateway, name, GIB, { SnapshotId: snapshotId });
        const client = await BlockClient.open(gateway.portal, name);
        numbers.push((await client.read(0, 1)).readUInt32LE(0));
        client.close();
        await until("deleted", () =>
          gateway.boto.gateway("delete_volume", { VolumeARN: arn }).then(
            () => true,
            () => undefined,
          ),
        );
      }
      const sorted = [...numbers].sort((a, b) => a - b);
      assert.deepEqual(
        [(sorted[1] ?? 0) - (sorted[0] ?? 0), (sorted[2] ?? 0) - (sorted[1] ?? 0)],
        [1, 1],
        `${numbers}`,
      );
    }
    assert.equal(arns.length, 3);
  });

  test("can be restored to any moment that is kept, and be cloned", async () => {
    await makeCached(gateway, "past");
    command("volume", "recovery-points", "past", "--every", "5");
    const times: number[] = [];
    for (const pattern of [1, 2, 3]) {
      await qemuIo(url("past"), `write -P ${pattern} 0 64k`);
      const before = times.length;
      await until("a recovery point", async () => {
        const points = command("volume", "recovery-points", "past").trim().split("\n").filter(Boolean);
        if (points.length <= before) return undefined;
        times.push(Date.parse(points[0]?.split("\t")[0] ?? ""));
        return true;
      });
    }
    for (const [i, time] of times.entries()) {
      command("volume", "restore", "past", "--at", new Date(time).toISOString(), "--target", `past-${i}`);
      await qemuIo(url(`past-${i}`), `read -P ${i + 1} 0 64k`);
    }
    const tooEarly = sluicegate(
      "volume",
      "restore",
      "past",
      "--at",
      "2020-01-01T00:00:00Z",
      "--data",
      gateway.dataDir,
    );
    assert.match(tooEarly.stderr, /no recovery point at 2020/);
    const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
    const past = VolumeInfos.find((v: { VolumeARN: string }) =>
      command("volume", "list").includes(v.VolumeARN.split("/").at(-1) ?? ""),
    );
    assert(past !== undefined);
    const listed = await gateway.boto.gateway("list_volume_recovery_points", {
      GatewayARN: await gatewayArn(gateway, "CACHED"),
    });
    const info = listed.VolumeRecoveryPointInfos.find(
      (i: { VolumeRecoveryPointTime: string }) => Date.parse(i.VolumeRecoveryPointTime) === times[2],
    );
    assert(info !== undefined, JSON.stringify(listed));
    await makeCached(gateway, "clone", GIB, { SourceVolumeARN: info.VolumeARN });
    await qemuIo(url("clone"), "read -P 3 0 64k", "write -P 4 0 4k", "read -P 3 4k 60k");
    await qemuIo(url("past"), "read -P 3 0 64k");
    const named = await gateway.boto.gateway("create_snapshot_from_volume_recovery_point", {
      VolumeARN: info.VolumeARN,
      SnapshotDescription: "the newest",
    });
    await completed(gateway, named.SnapshotId);
  });

  test("lose a cache, and go on from their newest recovery points", async () => {
    const GatewayARN = await gatewayArn(gateway, "CACHED");
    const arn = await makeCached(gateway, "resets");
    await qemuIo(url("resets"), "write -P 1 0 1M");
    await completed(gateway, await createSnapshot(gateway, arn));
    await qemuIo(url("resets"), "write -P 2 0 64k");
    const pending = await createSnapshot(gateway, arn);
    await completed(gateway, pending);
    await qemuIo(url("resets"), "write -P 3 0 64k");
    await gateway.boto.gateway("reset_cache", { GatewayARN });
    assert.match(gateway.log, /has lost up to 65536 bytes/);
    const { Disks } = await gateway.boto.gateway("list_local_disks", { GatewayARN });
    assert(Disks.every((d: { DiskAllocationType: string }) => d.DiskAllocationType !== "CACHE_STORAGE"));
    await qemuIo(url("resets"), "read -P 2 0 64k", "read -P 1 64k 960k");
    makeDisk(gateway, "new-cache", "512MiB");
    await gateway.boto.gateway("add_cache", { GatewayARN, DiskIds: ["new-cache"] });
    await qemuIo(url("resets"), "write -P 4 0 4k", "read -P 2 4k 60k", "read -P 4 0 4k");
    assert.equal(await statusOf(gateway, arn), "AVAILABLE");
    await completed(gateway, await createSnapshot(gateway, arn));
    await gateway.crash();
    await qemuIo(url("resets"), "read -P 4 0 4k", "read -P 1 64k 960k");
    const cache = await gateway.boto.gateway("describe_cache", { GatewayARN });
    assert.deepEqual(cache.DiskIds, ["new-cache"]);
  });
});
