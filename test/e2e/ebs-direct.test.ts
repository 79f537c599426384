/** The EBS direct API, as backup programs use it: the SDK, boto3 and aws-cli. */
import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  CompleteSnapshotCommand,
  type EBSClient,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from "@aws-sdk/client-ebs";
import { BotoError } from "../clients/boto.ts";
import {
  aggregate,
  changedBlocks,
  DIRECT_BLOCK,
  directClient,
  downloadBlocks,
  getBlock,
  sendBlocks,
  sha256,
  uploadBlocks,
} from "../clients/direct.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { isEqual, qemuIo, runOk, volumeUrl } from "../clients/iscsi.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached, until } from "./volume-kit.ts";

const random = new SeededRandom(11);
const block = () => Buffer.from(random.bytes(DIRECT_BLOCK));
const LAST = GIB / DIRECT_BLOCK - 1;

describe("the EBS direct API", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-ebs-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    ...fileStore.options(folder),
    ...["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"],
  ]);
  let client: EBSClient;
  let base = "";
  const blocks = new Map<number, Buffer>();

  before(async () => {
    await gateway.start();
    client = directClient(gateway.botoSettings());
    for (const index of [0, 1, 7, 300, LAST]) blocks.set(index, block());
  });
  after(async () => {
    client.destroy();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function refused(
    call: Promise<unknown>,
    code: string,
    status: number,
    reason?: string,
    message: RegExp = /./,
  ): Promise<void> {
    await assert.rejects(call, (error) => {
      assert(error instanceof BotoError, String(error));
      assert.deepEqual(
        [error.code, error.status, error.reason ?? undefined],
        [code, status, reason],
        error.message,
      );
      assert.match(error.message, message);
      return true;
    });
  }

  test("what is uploaded comes back, and only that; it becomes a volume", async () => {
    base = await uploadBlocks(client, blocks, { Description: "of blocks", Tags: [{ Key: "a", Value: "1" }] });
    await completed(gateway, base);
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [base] });
    const { State, Progress, VolumeSize, Description, VolumeId, Tags } = Snapshots[0];
    assert.deepEqual([State, Progress, VolumeSize], ["completed", "100%", 1]);
    assert.deepEqual(
      [Description, VolumeId, Tags],
      ["of blocks", "vol-ffffffff", [{ Key: "a", Value: "1" }]],
    );
    assert.deepEqual(await downloadBlocks(client, base), blocks);
    const copy = await gateway.boto.ec2("copy_snapshot", {
      SourceRegion: "us-east-1",
      SourceSnapshotId: base,
    });
    const ofNone = [{ Name: "volume-id", Values: ["vol-ffffffff"] }];
    const none = (await gateway.boto.ec2("describe_snapshots", { Filters: ofNone })).Snapshots;
    assert.deepEqual(
      none.map((one: { SnapshotId: string }) => one.SnapshotId),
      [base, copy.SnapshotId].sort(),
    );
    await gateway.boto.ec2("delete_snapshot", { SnapshotId: copy.SnapshotId });
    // The spool is gone.
    assert.deepEqual(readdirSync(join(gateway.dataDir, "direct-snapshots")), []);
    await makeCached(gateway, "of-blocks", GIB, { SnapshotId: base });
    const image = Buffer.alloc((LAST + 1) * DIRECT_BLOCK);
    for (const [index, content] of blocks) content.copy(image, index * DIRECT_BLOCK);
    writeFileSync(join(folder, "image"), image);
    assert(await isEqual(join(folder, "image"), volumeUrl(gateway.portal, "of-blocks")));
  });

  test("changed blocks between a parent and its child, both ways, and which side has them", async () => {
    const changes = new Map([
      [1, block()],
      [7, Buffer.alloc(DIRECT_BLOCK)],
      [8, block()],
      [300, blocks.get(300) ?? block()],
    ]);
    const child = await uploadBlocks(client, changes, { ParentSnapshotId: base });
    await completed(gateway, child);
    const expected = new Map([...blocks, ...changes]);
    expected.delete(7);
    assert.deepEqual(await downloadBlocks(client, child), new Map([...expected].sort(([a], [b]) => a - b)));
    const sides = (found: Awaited<ReturnType<typeof changedBlocks>>) =>
      found.map(({ index, first, second }) => [index, first !== undefined, second !== undefined]);
    const found = await changedBlocks(client, base, child);
    assert.deepEqual(sides(found), [
      [1, true, true],
      [7, true, false],
      [8, false, true],
    ]);
    assert.deepEqual(sides(await changedBlocks(client, child, base)), [
      [1, true, true],
      [7, false, true],
      [8, true, false],
    ]);
    assert.deepEqual(await changedBlocks(client, base, base), []);
    assert.deepEqual(
      (await changedBlocks(client, undefined, child)).map(({ index }) => index),
      [...expected.keys()].sort((a, b) => a - b),
    );
    const [one] = found;
    assert((await getBlock(client, base, 1, one?.first ?? "")).equals(blocks.get(1) ?? Buffer.alloc(0)));
    assert((await getBlock(client, child, 1, one?.second ?? "")).equals(changes.get(1) ?? Buffer.alloc(0)));
    // A token is good for its snapshot and its block, and nothing else.
    const get = (SnapshotId: string, BlockIndex: number, BlockToken: string) =>
      gateway.boto.ebs("get_snapshot_block", { SnapshotId, BlockIndex, BlockToken });
    const token = one?.second ?? "";
    await refused(get(base, 1, token), "ValidationException", 400, "INVALID_BLOCK_TOKEN");
    await refused(get(child, 2, token), "ValidationException", 400, "INVALID_BLOCK_TOKEN");
    await refused(
      get(child, 1, `${token.slice(0, -6)}AAAAA=`),
      "ValidationException",
      400,
      "INVALID_BLOCK_TOKEN",
    );
    assert.equal((await get(child, 1, token)).DataLength, DIRECT_BLOCK);
  });

  test("a volume's snapshots: what a guest wrote, and what it changed", async () => {
    const arn = await makeCached(gateway, "guest");
    const url = volumeUrl(gateway.portal, "guest");
    await qemuIo(url, "write -P 1 0 4k", "write -P 2 100M 3M", "flush");
    const first = await createSnapshot(gateway, arn);
    await completed(gateway, first);
    await qemuIo(url, "write -P 3 101M 4k", "write -z 102M 512k", "write -P 4 1000M 64k", "flush");
    const second = await createSnapshot(gateway, arn);
    await completed(gateway, second);
    const mib = (n: number) => (n * 1024 * 1024) / DIRECT_BLOCK;
    const found = await changedBlocks(client, first, second);
    assert.deepEqual(
      found.map(({ index, first: a, second: b }) => [index, a !== undefined, b !== undefined]),
      [
        [mib(101), true, true],
        [mib(102), true, false],
        [mib(1000), false, true],
      ],
    );
    const content = (await downloadBlocks(client, second)).get(mib(101));
    assert.equal(content?.[0], 3);
    assert.equal(content?.[4096], 2);
    const unrelated = gateway.boto.ebs("list_changed_blocks", {
      FirstSnapshotId: base,
      SecondSnapshotId: second,
    });
    await refused(unrelated, "ValidationException", 400, "UNRELATED_SNAPSHOTS");
    // A restored volume is of its source's lineage.
    const restored = await makeCached(gateway, "restored", GIB, { SnapshotId: first });
    await qemuIo(volumeUrl(gateway.portal, "restored"), "write -P 9 5M 4k", "flush");
    const third = await createSnapshot(gateway, restored);
    await completed(gateway, third);
    assert.deepEqual(
      (await changedBlocks(client, first, third)).map(({ index }) => index),
      [mib(5)],
    );
  });

  test("aws-cli: blocks listed, fetched to a file, and put from one", async () => {
    const { endpoint, accessKeyId, secretAccessKey } = gateway.botoSettings();
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: "us-east-1",
    };
    const cli = async (...args: string[]) =>
      JSON.parse(
        await runOk("/usr/bin/aws", ["--endpoint-url", endpoint, "--output", "json", "ebs", ...args], env),
      );
    const { Blocks } = await cli("list-snapshot-blocks", "--snapshot-id", base);
    assert.equal(Blocks.length, blocks.size);
    const [{ BlockIndex, BlockToken }] = Blocks;
    const file = join(folder, "block");
    const one = ["--block-index", String(BlockIndex)];
    const got = await cli(
      "get-snapshot-block",
      "--snapshot-id",
      base,
      ...one,
      "--block-token",
      BlockToken,
      file,
    );
    assert(readFileSync(file).equals(blocks.get(BlockIndex) ?? Buffer.alloc(0)));
    const { SnapshotId } = await cli("start-snapshot", "--volume-size", "1", "--tags", "Key=k,Value=v");
    const sums = ["--checksum", got.Checksum, "--checksum-algorithm", "SHA256"];
    const data = ["--block-data", file, "--data-length", String(DIRECT_BLOCK)];
    await cli("put-snapshot-block", "--snapshot-id", SnapshotId, "--block-index", "4", ...data, ...sums);
    const { Status } = await cli(
      "complete-snapshot",
      "--snapshot-id",
      SnapshotId,
      "--changed-blocks-count",
      "1",
    );
    assert.equal(Status, "pending");
    await completed(gateway, SnapshotId);
    assert.deepEqual([...(await downloadBlocks(client, SnapshotId)).keys()], [4]);
  });

  test("pages: their size, their tokens, and where they start", async () => {
    const many = new Map(
      Array.from({ length: 230 }, (_, i) => [i * 3, Buffer.alloc(DIRECT_BLOCK, 1 + (i % 250))]),
    );
    const id = await uploadBlocks(client, many);
    await completed(gateway, id);
    assert.deepEqual([...(await downloadBlocks(client, id)).keys()], [...many.keys()]);
    const list = (args: object) => gateway.boto.ebs("list_snapshot_blocks", { SnapshotId: id, ...args });
    const page = await list({ MaxResults: 100 });
    assert.equal(page.Blocks.length, 100);
    assert.deepEqual([page.VolumeSize, page.BlockSize], [1, DIRECT_BLOCK]);
    assert(new Date(page.ExpiryTime).getTime() > Date.now() + 6 * 24 * 3600_000);
    // The token wins over a start.
    const next = await list({ MaxResults: 100, NextToken: page.NextToken, StartingBlockIndex: 600 });
    assert.equal(next.Blocks[0].BlockIndex, 300);
    assert.equal((await list({ StartingBlockIndex: 600 })).Blocks[0].BlockIndex, 600);
    assert.equal((await list({ StartingBlockIndex: 601 })).Blocks[0].BlockIndex, 603);
    assert.equal((await list({})).NextToken, undefined);
    const other = gateway.boto.ebs("list_snapshot_blocks", { SnapshotId: base, NextToken: page.NextToken });
    await refused(other, "ValidationException", 400, "INVALID_PAGE_TOKEN");
    await refused(list({ NextToken: "AAAA" }), "ValidationException", 400, "INVALID_PAGE_TOKEN");
    await refused(
      list({ MaxResults: 10001 }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
      /maxResults/,
    );
    await refused(
      list({ StartingBlockIndex: LAST + 1 }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
    );
  });

  test("a snapshot under way: what it refuses, how it ends, and what a token repeats", async () => {
    const { boto } = gateway;
    const start = (args: object) => boto.ebs("start_snapshot", { VolumeSize: 1, ...args });
    const begun = await start({ ClientToken: "one", Description: "x", Timeout: 10 });
    assert.deepEqual([begun.Status, begun.VolumeSize, begun.BlockSize], ["pending", 1, DIRECT_BLOCK]);
    assert.equal(
      (await start({ ClientToken: "one", Description: "x", Timeout: 10 })).SnapshotId,
      begun.SnapshotId,
    );
    await refused(start({ ClientToken: "one", Description: "y" }), "ConflictException", 409);
    await refused(
      start({ ParentSnapshotId: "snap-00000000000000000" }),
      "ResourceNotFoundException",
      404,
      "SNAPSHOT_NOT_FOUND",
    );
    await refused(
      start({ ParentSnapshotId: begun.SnapshotId }),
      "ValidationException",
      400,
      "INVALID_SNAPSHOT_ID",
    );
    await refused(start({ VolumeSize: 65537 }), "ValidationException", 400, "INVALID_VOLUME_SIZE");
    await refused(start({ Timeout: 4321 }), "ValidationException", 400, "INVALID_PARAMETER_VALUE");
    await refused(
      start({ ParentSnapshotId: base, Encrypted: true }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
    );
    await refused(start({ Tags: [{ Key: "aws:x", Value: "" }] }), "ValidationException", 400, "INVALID_TAG");
    const kms = { KmsKeyArn: "arn:aws:kms:us-east-1:000000000000:key/x", Encrypted: true };
    await refused(start(kms), "ValidationException", 400, "INVALID_CUSTOMER_KEY");

    const SnapshotId = begun.SnapshotId as string;
    const content = block();
    const put = (over: object = {}, data = content) =>
      boto.ebs("put_snapshot_block", {
        ...{ SnapshotId, BlockIndex: 3, DataLength: DIRECT_BLOCK, ChecksumAlgorithm: "SHA256" },
        ...{
          BlockData: { $bytes: data.toString("base64") },
          Checksum: sha256(data).toString("base64"),
          ...over,
        },
      });
    // Debian's boto3 signs the body; newer ones leave it unsigned, as the SDK does.
    assert.equal((await put()).Checksum, sha256(content).toString("base64"));
    await refused(
      put({ Checksum: sha256(Buffer.alloc(1)).toString("base64") }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
      /checksum/,
    );
    await refused(put({ BlockIndex: LAST + 1 }), "ValidationException", 400, "INVALID_BLOCK");
    await refused(put({ DataLength: 10 }), "ValidationException", 400, "INVALID_BLOCK");
    await refused(
      put({ DataLength: 10 }, content.subarray(0, 10)),
      "ValidationException",
      400,
      "INVALID_BLOCK",
    );
    await refused(put({ ChecksumAlgorithm: "MD5" }), "ValidationException", 400, "INVALID_PARAMETER_VALUE");
    await refused(
      put({ SnapshotId: base }),
      "ValidationException",
      400,
      "INVALID_SNAPSHOT_ID",
      /takes no blocks/,
    );
    await refused(
      put({ SnapshotId: "snap-00000000000000000" }),
      "ResourceNotFoundException",
      404,
      "SNAPSHOT_NOT_FOUND",
    );
    await refused(
      boto.ebs("list_snapshot_blocks", { SnapshotId }),
      "ValidationException",
      400,
      "INVALID_SNAPSHOT_ID",
      /pending/,
    );

    const complete = (args: object) => boto.ebs("complete_snapshot", { SnapshotId, ...args });
    const sums = { ChecksumAlgorithm: "SHA256", ChecksumAggregationMethod: "LINEAR" };
    await refused(
      complete({ ChangedBlocksCount: 2 }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
      /1 blocks/,
    );
    await refused(
      complete({ ChangedBlocksCount: 1, Checksum: "AAAA", ...sums }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
    );
    await refused(
      complete({ ChangedBlocksCount: 1, Checksum: "AAAA" }),
      "ValidationException",
      400,
      "INVALID_PARAMETER_VALUE",
    );
    // The same index again replaces what was there.
    const later = block();
    await put({}, later);
    const Checksum = aggregate(new Map([[3, later]]));
    assert.match((await complete({ ChangedBlocksCount: 1, Checksum, ...sums })).Status, /pending|completed/);
    await refused(put(), "ValidationException", 400, "INVALID_SNAPSHOT_ID", /takes no blocks/);
    await completed(gateway, SnapshotId);
    assert.equal((await complete({ ChangedBlocksCount: 1 })).Status, "completed");
    assert.deepEqual(await downloadBlocks(client, SnapshotId), new Map([[3, later]]));
  });

  test("an impatient upload: many at a time, in any order, some twice at once, some broken and sent again", async () => {
    const { SnapshotId = "" } = await client.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    const sent = new Map(Array.from({ length: 24 }, (_, i) => [i * 7, block()]));
    const put = (BlockIndex: number, BlockData: Buffer, of = BlockData) =>
      client.send(
        new PutSnapshotBlockCommand({
          ...{ SnapshotId, BlockIndex, BlockData, DataLength: DIRECT_BLOCK },
          ...{ Checksum: sha256(of).toString("base64"), ChecksumAlgorithm: "SHA256" },
        }),
      );
    const puts = [...sent].flatMap(([index, content]) => [
      () => put(index, content),
      () => put(index, content),
      () => assert.rejects(put(index, block(), content), { Reason: "INVALID_PARAMETER_VALUE" }),
    ]);
    for (let i = puts.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [puts[i], puts[j]] = [puts[j] as (typeof puts)[0], puts[i] as (typeof puts)[0]];
    }
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let next = puts.pop(); next !== undefined; next = puts.pop()) await next();
      }),
    );
    const complete = (ChangedBlocksCount: number) =>
      client.send(
        new CompleteSnapshotCommand({
          ...{ SnapshotId, ChangedBlocksCount, Checksum: aggregate(sent) },
          ...{ ChecksumAlgorithm: "SHA256", ChecksumAggregationMethod: "LINEAR" },
        }),
      );
    for (const count of [0, sent.size - 1, 3 * sent.size])
      await assert.rejects(complete(count), { name: "ValidationException" });
    // Both ends of a completion that is asked for twice at once are the same.
    const ends = await Promise.all([complete(sent.size), complete(sent.size)]);
    for (const { Status } of ends) assert.match(Status ?? "", /pending|completed/);
    await completed(gateway, SnapshotId);
    assert.deepEqual(await downloadBlocks(client, SnapshotId), new Map([...sent].sort(([a], [b]) => a - b)));
  });

  test("what was acknowledged survives kill -9, before and after the completion; a deleted one leaves nothing", async () => {
    const { SnapshotId = "" } = await client.send(
      new StartSnapshotCommand({ VolumeSize: 1, ParentSnapshotId: base }),
    );
    const gone = await client.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    const sent = new Map([5, 6, 900].map((index) => [index, block()]));
    await sendBlocks(client, SnapshotId, sent);
    await sendBlocks(client, gone.SnapshotId ?? "", sent);
    await gateway.crash();
    await gateway.boto.ec2("delete_snapshot", { SnapshotId: gone.SnapshotId });
    assert.deepEqual(readdirSync(join(gateway.dataDir, "direct-snapshots")), [SnapshotId]);
    // The parent can go: what is made of it keeps what it needs.
    await gateway.boto.ec2("delete_snapshot", { SnapshotId: base });
    sent.set(7, block());
    await sendBlocks(client, SnapshotId, new Map([[7, sent.get(7) ?? block()]]));
    await client.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 4 }));
    await gateway.crash();
    await completed(gateway, SnapshotId);
    const expected = new Map([...new Map([...blocks, ...sent])].sort(([a], [b]) => a - b));
    assert.deepEqual(await downloadBlocks(client, SnapshotId), expected);
    await until("the spool is gone", async () =>
      readdirSync(join(gateway.dataDir, "direct-snapshots")).length === 0 ? true : undefined,
    );
  });
});
