/**
 * The main job from end to end, with the clients that users have: volumes, a real image over iSCSI, a snapshot while
 * writes go on, its progress, restores, an incremental snapshot, and the same once more after kill -9.
 */
import { strict as assert } from "node:assert";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { firstDifference, makeImage, patternPrefix } from "../clients/image.ts";
import { isEqual, OrderedWriter, qemuIo, run, runOk, volumeUrl, writeImage } from "../clients/iscsi.ts";
import type { TestStore } from "./store.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const DESCRIPTION = "My root volume snapshot as of 10/03/2017";
const TAGS = [
  { Key: "team", Value: "storage" },
  { Key: "Ort: Köln/2", Value: "" },
];
/** Where the ordered writer writes: behind the image. */
const WRITER_OFFSET = 1200 * MIB;
const WRITES = 4000;

interface Source {
  readonly kind: "stored" | "cached";
  readonly targetName: string;
  readonly sizeBytes: number;
  arn: string;
  snapshotId: string;
  acknowledgedBeforeCut: number;
}

/** The whole story on a store, with an image of so many mebibytes: at most what lies before the ordered writer. */
export function firstLight(store: TestStore, imageMib: number): void {
  describe(`first light on a ${store.name} store`, { skip: store.skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-first-"));
    const image = join(folder, "image");
    const dataDir = join(folder, "data");
    const sizes = ["--cache-size", "5GiB", "--upload-buffer-size", "3GiB"];
    const gateway = new GatewayProcess(dataDir, [...store.options(dataDir), ...sizes]);
    const arns: Record<string, string> = {};
    const sources: Source[] = [
      {
        kind: "stored",
        targetName: "stored-1",
        sizeBytes: 2 * GIB,
        arn: "",
        snapshotId: "",
        acknowledgedBeforeCut: 0,
      },
      {
        kind: "cached",
        targetName: "cached-1",
        sizeBytes: 3 * GIB,
        arn: "",
        snapshotId: "",
        acknowledgedBeforeCut: 0,
      },
    ];
    const url = (targetName: string) => volumeUrl(gateway.portal, targetName);

    before(async () => {
      makeImage(image, imageMib, "first light");
      await gateway.start();
    });
    after(async () => {
      await gateway.kill();
      rmSync(folder, { recursive: true, force: true });
    });

    test("the default gateways and their disks are there, and a disk can be added", async () => {
      const { Gateways } = await gateway.boto.gateway("list_gateways");
      assert.deepEqual(
        Gateways.map((g: Record<string, string>) => [
          g.GatewayName,
          g.GatewayType,
          g.GatewayOperationalState,
        ]),
        [
          ["default-stored", "STORED", "ACTIVE"],
          ["default-cached", "CACHED", "ACTIVE"],
        ].sort((a, b) => order(Gateways, a[0]) - order(Gateways, b[0])),
      );
      for (const { GatewayName, GatewayARN } of Gateways) arns[GatewayName] = GatewayARN;
      const types = async (name: string) => {
        const { Disks } = await gateway.boto.gateway("list_local_disks", { GatewayARN: arns[name] });
        return Disks.map(
          (d: Record<string, string>) => `${d.DiskAllocationType} ${d.DiskSizeInBytes}`,
        ).sort();
      };
      assert.deepEqual(await types("default-stored"), [`UPLOAD_BUFFER ${3 * GIB}`]);
      assert.deepEqual(await types("default-cached"), [
        `CACHE_STORAGE ${5 * GIB}`,
        `UPLOAD_BUFFER ${3 * GIB}`,
      ]);
      for (const [name, size] of [
        ["d1", "2GiB"],
        ["d2", "2GiB"],
        ["d3", "2GiB"],
      ] as const) {
        const { status, stderr } = sluicegate("disk", "create", name, size, "--data", dataDir);
        assert.equal(status, 0, stderr);
      }
      // A disk that has data: an image that the administrator has put there.
      mkdirSync(join(dataDir, "disks"), { recursive: true });
      makeImage(join(dataDir, "disks", "with-data"), 1024, "existing data");
      assert.equal(
        (await types("default-stored")).filter((t: string) => t.startsWith("AVAILABLE")).length,
        4,
      );
    });

    test("aws-cli sees the same", async () => {
      const settings = gateway.botoSettings();
      const output = await runOk(
        "/usr/bin/aws",
        ["storagegateway", "list-gateways", "--endpoint-url", gateway.endpoint, "--output", "json"],
        {
          AWS_ACCESS_KEY_ID: settings.accessKeyId,
          AWS_SECRET_ACCESS_KEY: settings.secretAccessKey,
          AWS_DEFAULT_REGION: "us-east-1",
        },
      );
      assert.equal(JSON.parse(output).Gateways.length, 2);
    });

    test("volumes of both kinds are made, and shown", async () => {
      const common = { NetworkInterfaceId: "127.0.0.1" };
      const [stored, cached] = sources as [Source, Source];
      const made = await gateway.boto.gateway("create_stored_iscsi_volume", {
        ...common,
        GatewayARN: arns["default-stored"],
        DiskId: "d1",
        PreserveExistingData: false,
        TargetName: stored.targetName,
        Tags: [{ Key: "volume", Value: "one" }],
      });
      assert.match(made.VolumeARN, new RegExp(`^${arns["default-stored"]}/volume/vol-[0-9A-F]{17}$`));
      assert.equal(made.TargetARN, `${arns["default-stored"]}/target/iqn.1997-05.com.amazon:stored-1`);
      assert.equal(made.VolumeSizeInBytes, 2 * GIB);
      stored.arn = made.VolumeARN;

      const preserved = await gateway.boto.gateway("create_stored_iscsi_volume", {
        ...common,
        GatewayARN: arns["default-stored"],
        DiskId: "with-data",
        PreserveExistingData: true,
        TargetName: "preserved",
      });
      makeImage(join(folder, "existing"), 1024, "existing data");
      assert(await isEqual(join(folder, "existing"), url("preserved")));
      rmSync(join(folder, "existing"));

      const request = {
        ...common,
        GatewayARN: arns["default-cached"],
        VolumeSizeInBytes: cached.sizeBytes,
        TargetName: cached.targetName,
        ClientToken: "one-and-only",
      };
      const first = await gateway.boto.gateway("create_cached_iscsi_volume", request);
      const again = await gateway.boto.gateway("create_cached_iscsi_volume", request);
      assert.deepEqual(again, first);
      cached.arn = first.VolumeARN;

      const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
      assert.deepEqual(
        VolumeInfos.map((v: Record<string, string>) => v.VolumeARN).sort(),
        [stored.arn, preserved.VolumeARN, cached.arn].sort(),
      );
      const { StorediSCSIVolumes } = await gateway.boto.gateway("describe_stored_iscsi_volumes", {
        VolumeARNs: [stored.arn],
      });
      assert.deepEqual(
        [
          StorediSCSIVolumes[0].VolumeStatus,
          StorediSCSIVolumes[0].VolumeDiskId,
          StorediSCSIVolumes[0].PreservedExistingData,
        ],
        ["AVAILABLE", "d1", false],
      );
      assert.equal(StorediSCSIVolumes[0].VolumeiSCSIAttributes.LunNumber, 0);
      assert.equal(
        `127.0.0.1:${StorediSCSIVolumes[0].VolumeiSCSIAttributes.NetworkInterfacePort}`,
        gateway.portal,
      );
      const { CachediSCSIVolumes } = await gateway.boto.gateway("describe_cached_iscsi_volumes", {
        VolumeARNs: [cached.arn],
      });
      assert.equal(CachediSCSIVolumes[0].VolumeStatus, "AVAILABLE");
      assert.equal(CachediSCSIVolumes[0].VolumeSizeInBytes, 3 * GIB);
    });

    test("libiscsi's tools find the targets", async () => {
      const listed = await runOk("iscsi-ls", ["-s", `iscsi://${gateway.portal}/`]);
      for (const { targetName } of sources)
        assert.match(listed, new RegExp(`:${targetName} Portal:${gateway.portal},1`));
      assert.equal(listed.match(/Type:DIRECT_ACCESS/g)?.length, 3);
      const inquiry = await runOk("iscsi-inq", [url("stored-1")]);
      assert.match(inquiry, /Peripheral Device Type:DIRECT_ACCESS/);
      const serial = await runOk("iscsi-inq", ["-e", "1", "-c", "128", url("stored-1")]);
      assert.match(serial, /Unit Serial Number/i);
    });

    test(`qemu-img writes an image of ${imageMib} MiB, and reads the same`, async () => {
      for (const { targetName } of sources) {
        await writeImage(image, url(targetName));
        assert(await isEqual(image, url(targetName)), targetName);
      }
    });

    test("a killed gateway has everything that was acknowledged", async () => {
      await qemuIo(url("stored-1"), `write -P 77 ${imageMib}M 1M`);
      await qemuIo(url("cached-1"), `write -P 78 ${imageMib}M 1M`);
      await gateway.crash();
      await qemuIo(url("stored-1"), `read -P 77 ${imageMib}M 1M`, `write -z ${imageMib}M 1M`);
      await qemuIo(url("cached-1"), `read -P 78 ${imageMib}M 1M`, `write -z ${imageMib}M 1M`);
      for (const { targetName } of sources) assert(await isEqual(image, url(targetName)), targetName);
    });

    for (const source of sources) {
      test(`CreateSnapshot of a ${source.kind} volume answers at once, while a client writes`, async () => {
        // boto3 takes a while to start: the writer must still be at work when the snapshot is asked for.
        await gateway.boto.gateway("list_volumes");
        const writer = new OrderedWriter(url(source.targetName), WRITER_OFFSET, WRITES);
        await writer.reached(200);
        source.acknowledgedBeforeCut = writer.acknowledged;
        const startedMs = performance.now();
        const answer = await gateway.boto.gateway("create_snapshot", {
          VolumeARN: source.arn,
          SnapshotDescription: DESCRIPTION,
          Tags: TAGS,
        });
        assert(performance.now() - startedMs < 5_000, "not at once");
        assert.equal(answer.VolumeARN, source.arn);
        assert.match(answer.SnapshotId, /^snap-[0-9a-f]{17}$/);
        source.snapshotId = answer.SnapshotId;
        // What comes now must not be in it: neither the rest of the writer's blocks nor an overwritten image.
        const overwrite = qemuIo(
          url(source.targetName),
          "write -P 238 0 150M",
          `write -P 239 ${imageMib - 100}M 50M`,
        );
        await writer.finished();
        await overwrite;
        assert(writer.acknowledged === WRITES, "the writer did not get through");
      });

      test(`the snapshot of the ${source.kind} volume goes from pending to completed, with a moving Progress`, async () => {
        const seen: [string, number][] = [];
        for (;;) {
          const { Snapshots } = await gateway.boto.ec2("describe_snapshots", {
            SnapshotIds: [source.snapshotId],
          });
          const [snapshot] = Snapshots;
          seen.push([snapshot.State, Number.parseInt(snapshot.Progress, 10)]);
          assert.equal(snapshot.Description, DESCRIPTION);
          assert.equal(snapshot.OwnerId, "000000000000");
          assert.equal(snapshot.VolumeSize, source.sizeBytes / GIB);
          assert.equal(snapshot.VolumeId.toLowerCase(), source.arn.split("/").at(-1)?.toLowerCase());
          assert(Math.abs(Date.parse(snapshot.StartTime) - Date.now()) < 600_000);
          assert.deepEqual(
            snapshot.Tags.sort((a: { Key: string }, b: { Key: string }) => a.Key.localeCompare(b.Key)),
            [...TAGS].sort((a, b) => a.Key.localeCompare(b.Key)),
          );
          if (snapshot.State !== "pending") break;
        }
        assert.equal(seen.at(-1)?.[0], "completed");
        assert.equal(seen.at(-1)?.[1], 100);
        const progress = seen.map(([, percent]) => percent);
        assert.deepEqual(
          progress,
          [...progress].sort((a, b) => a - b),
          "the progress went backwards",
        );
        await gateway.boto.ec2("wait:snapshot_completed", { SnapshotIds: [source.snapshotId] });
      });
    }

    test("a large upload is seen pending, with its progress between", async () => {
      // Bytes that the vault does not have yet, so that there is something to send.
      makeImage(join(folder, "other"), 300, "other bytes");
      await writeImage(join(folder, "other"), url("preserved"));
      rmSync(join(folder, "other"));
      const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
      const names = sources.map(({ arn }) => arn);
      const preserved = VolumeInfos.find((v: { VolumeARN: string }) => !names.includes(v.VolumeARN));
      const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
        VolumeARN: preserved.VolumeARN,
        SnapshotDescription: "whole disk",
      });
      const progress = new Set<string>();
      for (let state = "pending"; state === "pending"; ) {
        const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [SnapshotId] });
        state = Snapshots[0].State;
        if (state === "pending") progress.add(Snapshots[0].Progress);
      }
      assert(progress.size >= 3, `only ${[...progress].join(", ")}`);
    });

    const restored: { readonly targetName: string; readonly from: Source; readonly sizeBytes: number }[] = [];

    test("both kinds of volume are restored from both snapshots, and serve at once", async () => {
      const [stored, cached] = sources as [Source, Source];
      await gateway.boto.gateway("create_stored_iscsi_volume", {
        NetworkInterfaceId: "127.0.0.1",
        GatewayARN: arns["default-stored"],
        DiskId: "d2",
        PreserveExistingData: false,
        TargetName: "stored-2",
        SnapshotId: stored.snapshotId,
      });
      restored.push({ targetName: "stored-2", from: stored, sizeBytes: 2 * GIB });
      for (const [targetName, from] of [
        ["cached-2", stored],
        ["cached-3", cached],
      ] as const) {
        await gateway.boto.gateway("create_cached_iscsi_volume", {
          NetworkInterfaceId: "127.0.0.1",
          GatewayARN: arns["default-cached"],
          VolumeSizeInBytes: cached.sizeBytes,
          TargetName: targetName,
          ClientToken: `restore-${targetName}`,
          SnapshotId: from.snapshotId,
        });
        restored.push({ targetName, from, sizeBytes: cached.sizeBytes });
      }
      for (const { targetName } of restored) {
        // The middle of the image, long before anything can have been fetched there, and a write beside it.
        await qemuIo(
          url(targetName),
          `read ${imageMib >> 1}M 64k`,
          `write -P 99 ${imageMib}M 64k`,
          `read -P 99 ${imageMib}M 64k`,
        );
      }
    });

    test("restored volumes equal their source as it was at the cut, across kill -9", async () => {
      await gateway.crash();
      for (const { targetName, from, sizeBytes } of restored) {
        const copy = join(folder, targetName);
        await qemuIo(url(targetName), `read -P 99 ${imageMib}M 64k`, `write -z ${imageMib}M 64k`);
        await runOk("qemu-img", ["convert", "-f", "raw", "-O", "raw", url(targetName), copy]);
        const what = `${targetName} from the ${from.kind} volume`;
        assert.equal(firstDifference(copy, image, 0, WRITER_OFFSET), undefined, what);
        const { prefix, after: stray } = patternPrefix(copy, WRITER_OFFSET, WRITES, OrderedWriter.patternOf);
        assert(prefix >= from.acknowledgedBeforeCut, `${what}: ${prefix} < ${from.acknowledgedBeforeCut}`);
        assert(prefix < WRITES, `${what}: it holds what was written after the cut`);
        assert.equal(stray, 0, `${what}: a write is there whose predecessor is missing`);
        const end = WRITER_OFFSET + WRITES * 65536;
        assert.equal(firstDifference(copy, image, end, sizeBytes), undefined, what);
        rmSync(copy);
      }
    });

    test("a second snapshot after a small change sends only what changed", async () => {
      const [stored] = sources as [Source];
      // Where nothing else has changed since: the first snapshot of this state settles what the tests above wrote.
      await snapshotAndWait(stored.arn);
      const beforeBytes = await store.sizeBytes(dataDir);
      const random = join(folder, "random");
      makeImage(random, 1, "a small change");
      const bytes = join(folder, "patch");
      copyFileSync(random, bytes);
      await qemuIo(url(stored.targetName), `write -s ${bytes} 300M 1M`);
      await snapshotAndWait(stored.arn);
      const sent = (await store.sizeBytes(dataDir)) - beforeBytes;
      assert(sent > MIB && sent < 1.3 * MIB, `${sent} bytes were sent for a change of ${MIB}`);
      await snapshotAndWait(stored.arn);
      const nothing = (await store.sizeBytes(dataDir)) - beforeBytes - sent;
      assert(nothing < 64 * 1024, `${nothing} bytes were sent for no change at all`);
    });

    test("a pending snapshot goes on to completed after kill -9, again and again", async () => {
      const [stored, cached] = sources as [Source, Source];
      for (const source of [stored, cached]) {
        const other = join(folder, "more");
        makeImage(other, 200, `more bytes for ${source.kind}`);
        await runOk("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", other, url(source.targetName)]);
        const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
          VolumeARN: source.arn,
          SnapshotDescription: "killed",
        });
        for (let i = 0; i < 3; i++) await gateway.crash();
        await qemuIo(url(source.targetName), "write -P 5 0 20M");
        await gateway.boto.ec2("wait:snapshot_completed", {
          SnapshotIds: [SnapshotId],
          WaiterConfig: { Delay: 1, MaxAttempts: 300 },
        });
        const targetName = `after-kill-${source.kind}`;
        await gateway.boto.gateway("create_cached_iscsi_volume", {
          NetworkInterfaceId: "127.0.0.1",
          GatewayARN: arns["default-cached"],
          VolumeSizeInBytes: cached.sizeBytes,
          TargetName: targetName,
          ClientToken: targetName,
          SnapshotId,
        });
        const copy = join(folder, targetName);
        // What the pending snapshot was about; the rest of the volume is compared above.
        const range = ["bs=1M", "count=200", `if=${url(targetName)}`, `of=${copy}`];
        await runOk("qemu-img", ["dd", "-f", "raw", "-O", "raw", ...range]);
        assert.equal(statSync(copy).size, 200 * MIB);
        assert.equal(firstDifference(copy, other, 0, 200 * MIB), undefined, source.kind);
        rmSync(copy);
        rmSync(other);
      }
    });

    test("delete_snapshot removes it, also from aws-cli's view", async () => {
      const [stored, cached] = sources as [Source, Source];
      await gateway.boto.ec2("delete_snapshot", { SnapshotId: stored.snapshotId });
      await assert.rejects(gateway.boto.ec2("describe_snapshots", { SnapshotIds: [stored.snapshotId] }), {
        code: "InvalidSnapshot.NotFound",
      });
      const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
      const ids = Snapshots.map((s: { SnapshotId: string }) => s.SnapshotId);
      assert(!ids.includes(stored.snapshotId) && ids.includes(cached.snapshotId));
      await gateway.crash();
      await assert.rejects(gateway.boto.ec2("describe_snapshots", { SnapshotIds: [stored.snapshotId] }), {
        code: "InvalidSnapshot.NotFound",
      });
    });

    test("SIGTERM ends it cleanly within ten seconds, with and without initiators, and it comes back", async () => {
      // A client that is in the middle of its work: it is told, and comes back on its own.
      const writer = new OrderedWriter(url("stored-1"), WRITER_OFFSET, 200_000, WRITES);
      await writer.reached(100);
      const { code, tookMs } = await gateway.stop();
      assert.equal(code, 0, gateway.log);
      assert(tookMs < 10_000, `${tookMs} ms`);
      await gateway.start();
      await writer.reached(writer.acknowledged + 100);
      await writer.stop();
      await qemuIo(url("cached-1"), "read 0 1M");
      const { status } = await run("iscsi-ls", [`iscsi://${gateway.portal}/`]);
      assert.equal(status, 0);
    });

    async function snapshotAndWait(VolumeARN: string): Promise<string> {
      const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
        VolumeARN,
        SnapshotDescription: "x",
      });
      const WaiterConfig = { Delay: 1, MaxAttempts: 300 };
      await gateway.boto.ec2("wait:snapshot_completed", { SnapshotIds: [SnapshotId], WaiterConfig });
      return SnapshotId;
    }
  });
}

function order(gateways: { GatewayName: string }[], name: string | undefined): number {
  return gateways.findIndex((g) => g.GatewayName === name);
}
