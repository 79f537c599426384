/** The EBS direct operations, each called and looked at; and requests that each refuses, by their codes and reasons. */
import { strict as assert } from "node:assert";
import { aggregate, DIRECT_BLOCK, sha256 } from "../../clients/direct.ts";
import type { GatewayProcess } from "../../clients/gateway.ts";
import { completed } from "../volume-kit.ts";
import type { Call, Refusal } from "./scenario.ts";

const SUMS = { ChecksumAlgorithm: "SHA256", ChecksumAggregationMethod: "LINEAR" };

/** Two snapshots, the second a child of the first; answers their ids. */
export async function everyEbsOperation(
  gateway: GatewayProcess,
  call: Call,
  tag: string,
): Promise<readonly [string, string]> {
  const blocks = new Map([
    [0, Buffer.alloc(DIRECT_BLOCK, `${tag} zero`)],
    [5, Buffer.alloc(DIRECT_BLOCK, `${tag} five`)],
  ]);
  const upload = async (start: object, changed: ReadonlyMap<number, Buffer>) => {
    const begun = await call("StartSnapshot", { VolumeSize: 1, ...start });
    assert.deepEqual(
      [begun.Status, begun.VolumeSize, begun.BlockSize, begun.OwnerId],
      ["pending", 1, DIRECT_BLOCK, "000000000000"],
    );
    const { SnapshotId } = begun;
    for (const [BlockIndex, BlockData] of changed) {
      const Checksum = sha256(BlockData).toString("base64");
      const block = { SnapshotId, BlockIndex, BlockData, DataLength: DIRECT_BLOCK };
      const put = await call("PutSnapshotBlock", { ...block, Checksum, ChecksumAlgorithm: "SHA256" });
      assert.deepEqual([put.Checksum, put.ChecksumAlgorithm], [Checksum, "SHA256"]);
    }
    const ended = { SnapshotId, ChangedBlocksCount: changed.size, Checksum: aggregate(changed), ...SUMS };
    assert.match((await call("CompleteSnapshot", ended)).Status, /^(pending|completed)$/);
    await completed(gateway, SnapshotId);
    return SnapshotId as string;
  };
  const first = await upload({ Description: tag, Tags: [{ Key: "by", Value: tag }] }, blocks);
  const listed = await call("ListSnapshotBlocks", { SnapshotId: first });
  assert.deepEqual(
    listed.Blocks.map((one: { BlockIndex: number }) => one.BlockIndex),
    [0, 5],
  );
  assert.deepEqual([listed.VolumeSize, listed.BlockSize], [1, DIRECT_BLOCK]);
  for (const { BlockIndex, BlockToken } of listed.Blocks) {
    const got = await call("GetSnapshotBlock", { SnapshotId: first, BlockIndex, BlockToken });
    assert(got.BlockData.equals(blocks.get(BlockIndex)));
    // aws-cli 2 shows what stands in a header as text.
    assert.deepEqual([Number(got.DataLength), got.ChecksumAlgorithm], [DIRECT_BLOCK, "SHA256"]);
    assert.equal(got.Checksum, sha256(got.BlockData).toString("base64"));
  }
  const child = await upload(
    { ParentSnapshotId: first },
    new Map([[5, Buffer.alloc(DIRECT_BLOCK, `${tag} six`)]]),
  );
  const changes = { FirstSnapshotId: first, SecondSnapshotId: child };
  const { ChangedBlocks } = await call("ListChangedBlocks", changes);
  assert.deepEqual(
    ChangedBlocks.map((one: object) => Object.keys(one).sort()),
    [["BlockIndex", "FirstBlockToken", "SecondBlockToken"]],
  );
  assert.equal(ChangedBlocks[0].BlockIndex, 5);
  return [first, child];
}

/** What is there: a completed snapshot, one of another lineage, and one that takes blocks and has none. */
export interface EbsStage {
  readonly snapshot: string;
  readonly stranger: string;
  readonly open: string;
  /** Of another request of StartSnapshot. */
  readonly usedToken: string;
}

export function ebsRefusals({ snapshot, stranger, open, usedToken }: EbsStage): Refusal[] {
  const none = "snap-00000000000000000";
  const [v, notFound] = ["ValidationException", "ResourceNotFoundException (SNAPSHOT_NOT_FOUND)"];
  const bad = { SnapshotId: `${v} (INVALID_SNAPSHOT_ID)`, parameter: `${v} (INVALID_PARAMETER_VALUE)` };
  const content = "x".repeat(DIRECT_BLOCK);
  const put = {
    ...{ SnapshotId: open, BlockIndex: 0, BlockData: content, DataLength: DIRECT_BLOCK },
    ...{ Checksum: sha256(Buffer.from(content)).toString("base64"), ChecksumAlgorithm: "SHA256" },
  };
  const kms = { KmsKeyArn: "arn:aws:kms:us-east-1:000000000000:key/k", Encrypted: true };
  const token = { BlockToken: "AAAA", BlockIndex: 0 };
  const start = { VolumeSize: 1 };
  return [
    ["StartSnapshot", { VolumeSize: 65_537 }, `${v} (INVALID_VOLUME_SIZE)`],
    ["StartSnapshot", { ...start, ParentSnapshotId: none }, notFound, 404],
    ["StartSnapshot", { ...start, ParentSnapshotId: open }, bad.SnapshotId],
    ["StartSnapshot", { ...start, ParentSnapshotId: snapshot, Encrypted: true }, bad.parameter],
    ["StartSnapshot", { ...start, Tags: [{ Key: "aws:k", Value: "v" }] }, `${v} (INVALID_TAG)`],
    ["StartSnapshot", { ...start, ...kms }, `${v} (INVALID_CUSTOMER_KEY)`],
    ["StartSnapshot", { ...start, ClientToken: usedToken, Description: "another" }, "ConflictException", 409],
    ["PutSnapshotBlock", { ...put, SnapshotId: none }, notFound, 404],
    ["PutSnapshotBlock", { ...put, SnapshotId: snapshot }, bad.SnapshotId],
    ["PutSnapshotBlock", { ...put, BlockIndex: 2048 }, `${v} (INVALID_BLOCK)`],
    ["PutSnapshotBlock", { ...put, DataLength: 512 }, `${v} (INVALID_BLOCK)`],
    ["PutSnapshotBlock", { ...put, BlockData: "x", DataLength: 1 }, `${v} (INVALID_BLOCK)`],
    ["PutSnapshotBlock", { ...put, Checksum: "AAAA" }, bad.parameter],
    ["CompleteSnapshot", { SnapshotId: none, ChangedBlocksCount: 0 }, notFound, 404],
    ["CompleteSnapshot", { SnapshotId: open, ChangedBlocksCount: 1 }, bad.parameter],
    ["CompleteSnapshot", { SnapshotId: open, ChangedBlocksCount: 0, Checksum: "AAAA" }, bad.parameter],
    [
      "CompleteSnapshot",
      { SnapshotId: open, ChangedBlocksCount: 0, Checksum: "AAAA", ...SUMS },
      bad.parameter,
    ],
    ["CompleteSnapshot", { SnapshotId: snapshot, ChangedBlocksCount: 0 }, bad.SnapshotId],
    ["ListSnapshotBlocks", { SnapshotId: none }, notFound, 404],
    ["ListSnapshotBlocks", { SnapshotId: open }, bad.SnapshotId],
    ["ListSnapshotBlocks", { SnapshotId: snapshot, NextToken: "AAAA" }, `${v} (INVALID_PAGE_TOKEN)`],
    ["ListSnapshotBlocks", { SnapshotId: snapshot, StartingBlockIndex: 4096 }, bad.parameter],
    ["ListChangedBlocks", { SecondSnapshotId: none }, notFound, 404],
    ["ListChangedBlocks", { FirstSnapshotId: none, SecondSnapshotId: snapshot }, notFound, 404],
    ["ListChangedBlocks", { SecondSnapshotId: open }, bad.SnapshotId],
    ["ListChangedBlocks", { SecondSnapshotId: snapshot, NextToken: "AAAA" }, `${v} (INVALID_PAGE_TOKEN)`],
    [
      "ListChangedBlocks",
      { FirstSnapshotId: stranger, SecondSnapshotId: snapshot },
      `${v} (UNRELATED_SNAPSHOTS)`,
    ],
    ["GetSnapshotBlock", { SnapshotId: none, ...token }, notFound, 404],
    ["GetSnapshotBlock", { SnapshotId: open, ...token }, bad.SnapshotId],
    ["GetSnapshotBlock", { SnapshotId: snapshot, ...token }, `${v} (INVALID_BLOCK_TOKEN)`],
  ];
}
