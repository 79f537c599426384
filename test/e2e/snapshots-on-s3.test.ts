/** The snapshot APIs (EC2, EBS direct, DLM) with a real S3 server behind them: in short what their own tests do on a folder. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CompleteSnapshotCommand, type EBSClient, StartSnapshotCommand } from "@aws-sdk/client-ebs";
import { BlockClient } from "../clients/block-client.ts";
import { BotoError } from "../clients/boto.ts";
import {
  aggregate,
  changedBlocks,
  DIRECT_BLOCK,
  directClient,
  downloadBlocks,
  sendBlocks,
  uploadBlocks,
} from "../clients/direct.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { callJson, callQuery } from "../clients/signed-request.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { s3Store } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached } from "./volume-kit.ts";

const random = new SeededRandom(17);
const block = () => Buffer.from(random.bytes(DIRECT_BLOCK));
const SECTORS = DIRECT_BLOCK / 512;

describe("the snapshot APIs on an S3 server", { skip: s3Store.skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-on-s3-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...s3Store.options(folder),
    ...["--cache-size", "128MiB", "--upload-buffer-size", "64MiB"],
  ]);
  let client: EBSClient;
  let arn: string;
  before(async () => {
    await gateway.start();
    client = directClient(gateway.botoSettings());
    arn = await makeCached(gateway, "first", GIB, { Tags: [{ Key: "nightly", Value: "yes" }] });
  });
  after(async () => {
    client?.destroy();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("EBS direct: blocks up, a child, what differs, blocks down, a volume of them; a crash in between", async () => {
    const blocks = new Map([0, 3, 2047].map((index) => [index, block()]));
    const base = await uploadBlocks(client, blocks);
    await completed(gateway, base);
    assert.deepEqual(await downloadBlocks(client, base), blocks);
    const changes = new Map([
      [3, block()],
      [9, block()],
    ]);
    const { SnapshotId } = await client.send(
      new StartSnapshotCommand({ VolumeSize: 1, ParentSnapshotId: base }),
    );
    assert(SnapshotId !== undefined);
    await sendBlocks(client, SnapshotId, changes);
    await gateway.crash();
    await client.send(
      new CompleteSnapshotCommand({
        ...{ SnapshotId, ChangedBlocksCount: 2, Checksum: aggregate(changes) },
        ...{ ChecksumAlgorithm: "SHA256", ChecksumAggregationMethod: "LINEAR" },
      }),
    );
    await completed(gateway, SnapshotId);
    const differing = await changedBlocks(client, base, SnapshotId);
    assert.deepEqual(
      differing.map(({ index }) => index),
      [3, 9],
    );
    const expected = new Map([...blocks, ...changes].sort(([a], [b]) => a - b));
    assert.deepEqual(await downloadBlocks(client, SnapshotId), expected);
    await makeCached(gateway, "of-blocks", GIB, { SnapshotId });
    const volume = await BlockClient.open(gateway.portal, "of-blocks");
    for (const [index, content] of expected) {
      assert((await volume.read(index * SECTORS, SECTORS)).equals(content), `block ${index}`);
    }
    volume.close();
  });

  test("EC2: a copy outlives its source, tags and locks are kept, and a locked one is not deleted", async () => {
    const { boto } = gateway;
    const volume = await BlockClient.open(gateway.portal, "first");
    const content = block();
    await volume.write(0, content);
    volume.close();
    const source = await createSnapshot(gateway, arn);
    await completed(gateway, source);
    const { SnapshotId: copy } = await boto.ec2("copy_snapshot", {
      ...{ SourceSnapshotId: source, SourceRegion: "us-east-1", Description: "a copy" },
    });
    await boto.ec2("create_tags", { Resources: [copy], Tags: [{ Key: "of", Value: source }] });
    await boto.ec2("delete_snapshot", { SnapshotId: source });
    const lock = { SnapshotId: copy, LockMode: "governance", LockDuration: "1" };
    assert.equal((await callQuery(gateway.botoSettings(), "LockSnapshot", lock)).status, 200);
    await gateway.crash();
    await assert.rejects(
      gateway.boto.ec2("delete_snapshot", { SnapshotId: copy }),
      (error) => error instanceof BotoError && error.code === "SnapshotLocked",
    );
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots", {
      Filters: [{ Name: "tag:of", Values: [source] }],
    });
    assert.deepEqual(
      Snapshots.map((each: { SnapshotId: string }) => each.SnapshotId),
      [copy],
    );
    const made = await gateway.boto.ec2("create_volume", {
      ...{ SnapshotId: copy, AvailabilityZone: "us-east-1a" },
      TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "Name", Value: "of-copy" }] }],
    });
    assert.equal(made.SnapshotId, copy);
    const restored = await BlockClient.open(gateway.portal, "of-copy");
    assert((await restored.read(0, SECTORS)).equals(content));
    restored.close();
  });

  test("DLM: a policy is kept, and says what it would do", async () => {
    const { PolicyId } = await gateway.boto.dlm("create_lifecycle_policy", {
      ...{ ExecutionRoleArn: "arn:aws:iam::000000000000:role/dlm", Description: "nightly", State: "ENABLED" },
      PolicyDetails: {
        ResourceTypes: ["VOLUME"],
        TargetTags: [{ Key: "nightly", Value: "yes" }],
        Schedules: [
          {
            Name: "nightly",
            CreateRule: { Interval: 24, IntervalUnit: "HOURS", Times: ["23:45"] },
            RetainRule: { Count: 2 },
          },
        ],
      },
    });
    await gateway.crash();
    const { status, body } = await callJson(
      gateway.botoSettings(),
      "Sluicegate_20261101.DescribePolicyPreview",
      { PolicyId },
    );
    assert.equal(status, 200, JSON.stringify(body));
    const id = arn.slice(arn.lastIndexOf("/") + 1).toLowerCase();
    assert(JSON.stringify(body).toLowerCase().includes(id), JSON.stringify(body));
  });
});
