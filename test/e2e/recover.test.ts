/** The loss of a whole gateway, and the return of one that was thought lost: two real processes on one bucket. */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { BlockClient, ScsiStatusError } from "../clients/block-client.ts";
import { childrenOf, GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { fileStore, s3Store } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored, statusOf, until } from "./volume-kit.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];

for (const store of [fileStore, s3Store]) {
  describe(`a lost gateway, on a ${store.name} store`, { skip: store.skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-recover-"));
    const bucket = join(folder, "bucket");
    mkdirSync(bucket);
    const storeOptions = store.options(bucket);
    const key = join(folder, "key");
    const first = new GatewayProcess(join(folder, "first"), [...storeOptions, ...SIZES]);
    const second = new GatewayProcess(join(folder, "second"), [...storeOptions, ...SIZES]);
    const recover = (dataDir: string, ...more: string[]) =>
      sluicegate("recover", ...storeOptions, "--key", key, "--data", dataDir, ...SIZES, ...more);
    let stopped: number[] = [];

    after(async () => {
      for (const pid of stopped) process.kill(pid, "SIGCONT");
      await first.kill();
      await second.kill();
      rmSync(folder, { recursive: true, force: true });
    });

    test("comes back from the bucket and the key: volumes, snapshots, tags", async () => {
      await first.start();
      copyFileSync(join(first.dataDir, "vault.key"), key);
      const storedArn = await makeStored(first, "papers", "1GiB", { Tags: [{ Key: "of", Value: "paper" }] });
      const cachedArn = await makeCached(first, "photos");
      await qemuIo(volumeUrl(first.portal, "papers"), "write -P 1 0 8M", "write -P 2 1000M 64k", "flush");
      await qemuIo(volumeUrl(first.portal, "photos"), "write -P 3 0 8M", "flush");
      const early = [await createSnapshot(first, storedArn), await createSnapshot(first, cachedArn)];
      for (const id of early) await completed(first, id);
      await qemuIo(volumeUrl(first.portal, "papers"), "write -P 4 4M 64k", "flush");
      await qemuIo(volumeUrl(first.portal, "photos"), "write -P 5 4M 4k", "flush");
      for (const arn of [storedArn, cachedArn]) await completed(first, await createSnapshot(first, arn));
      await until("the catalog's copy", async () =>
        /stored \S+papers.*\n.*photos|photos.*\n.*papers/.test(recover(join(folder, "look"), "--list").stdout)
          ? true
          : undefined,
      );
      await first.kill();
      rmSync(first.dataDir, { recursive: true });

      const { status, stdout, stderr } = recover(second.dataDir);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /4 snapshots/);
      assert.equal(stdout.match(/ {2}brought back$/gm)?.length, 2);
      assert.match(recover(second.dataDir).stderr, /has a gateway already/);
      await second.start();
      const { VolumeInfos } = await second.boto.gateway("list_volumes");
      assert.deepEqual(
        VolumeInfos.map((volume: { VolumeARN: string }) => volume.VolumeARN).sort(),
        [storedArn, cachedArn].sort(),
      );
      const { Tags } = await second.boto.gateway("list_tags_for_resource", { ResourceARN: storedArn });
      assert.deepEqual(Tags, [{ Key: "of", Value: "paper" }]);
      await qemuIo(
        volumeUrl(second.portal, "papers"),
        ...["read -P 1 0 4M", "read -P 4 4M 64k", "read -P 2 1000M 64k", "read -P 0 500M 1M"],
      );
      await qemuIo(
        volumeUrl(second.portal, "photos"),
        ...["read -P 3 0 4M", "read -P 5 4M 4k", "read -P 3 4100k 64k"],
      );
      const { Snapshots } = await second.boto.ec2("describe_snapshots", { OwnerIds: ["self"] });
      assert.equal(Snapshots.length, 4);
      assert(Snapshots.every((each: { Description: string }) => each.Description === "a test"));
      await makeCached(second, "before", GIB, { SnapshotId: early[1] });
      await qemuIo(volumeUrl(second.portal, "before"), "read -P 3 0 8M");
      // Life goes on: what is written and cut from now on builds on what was.
      await qemuIo(volumeUrl(second.portal, "photos"), "write -P 6 2M 64k", "flush");
      const next = await createSnapshot(second, cachedArn);
      await completed(second, next);
      await makeCached(second, "after", GIB, { SnapshotId: next });
      await qemuIo(volumeUrl(second.portal, "after"), "read -P 6 2M 64k", "read -P 5 4M 4k");
    });

    test("one that was only asleep writes nothing any more when it wakes up", async () => {
      const third = new GatewayProcess(join(folder, "third"), [...storeOptions, ...SIZES]);
      try {
        const { VolumeInfos } = await second.boto.gateway("list_volumes");
        const arn = VolumeInfos.find((each: { VolumeARN: string; VolumeType: string }) =>
          each.VolumeType.startsWith("STORED"),
        ).VolumeARN;
        await until("hydrated", async () =>
          (await statusOf(second, arn)) === "AVAILABLE" ? true : undefined,
        );
        await completed(second, await createSnapshot(second, arn));
        const sleeper = await BlockClient.open(second.portal, "papers");
        await sleeper.write(0, Buffer.alloc(512, 7));
        const launcher = second.launcher?.pid ?? 0;
        stopped = [...childrenOf(launcher), launcher];
        for (const pid of stopped) process.kill(pid, "SIGSTOP");
        const asleepMs = systemClock.monotonicMs();

        const { status, stderr } = recover(third.dataDir);
        assert.equal(status, 0, stderr);
        await third.start();
        await qemuIo(volumeUrl(third.portal, "papers"), "read -P 1 0 64k", "write -P 8 0 64k", "flush");
        const taken = await createSnapshot(third, arn);
        await completed(third, taken);

        // A shorter nap is only noticed by the look at the lease that is due every half minute.
        await until("a long enough sleep", async () =>
          systemClock.monotonicMs() - asleepMs > 3_000 ? true : undefined,
        );
        for (const pid of stopped) process.kill(pid, "SIGCONT");
        stopped = [];
        await until("the sleeper has stopped", async () =>
          (await statusOf(second, arn)) === "IRRECOVERABLE" ? true : undefined,
        );
        await assert.rejects(sleeper.write(0, Buffer.alloc(512, 9)), ScsiStatusError);
        sleeper.close();
        await assert.rejects(createSnapshot(second, arn));
        // What it wrote before is in no snapshot of the volume, and the new writer's is whole.
        await completed(third, await createSnapshot(third, arn));
        await makeCached(third, "third", GIB, { SnapshotId: taken });
        await qemuIo(volumeUrl(third.portal, "third"), "read -P 8 0 64k", "read -P 1 64k 1M");
        await qemuIo(volumeUrl(third.portal, "papers"), "read -P 8 0 64k");
      } finally {
        await third.kill();
      }
    });
  });
}
