/** A client of the EBS direct API, as backup programs are: blocks in parallel, checksums on everything, zeros left out. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import {
  CompleteSnapshotCommand,
  EBSClient,
  GetSnapshotBlockCommand,
  ListChangedBlocksCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
  type StartSnapshotRequest,
} from "@aws-sdk/client-ebs";
import type { BotoSettings } from "./boto.ts";

export const DIRECT_BLOCK = 512 * 1024;
const AT_A_TIME = 8;

export function directClient({ endpoint, accessKeyId, secretAccessKey }: BotoSettings): EBSClient {
  return new EBSClient({ endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } });
}

export function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

/** Starts a snapshot, sends the blocks, and completes it with the aggregate of their checksums. Answers its id. */
export async function uploadBlocks(
  client: EBSClient,
  blocks: ReadonlyMap<number, Buffer>,
  start: Partial<StartSnapshotRequest> = {},
): Promise<string> {
  const { SnapshotId } = await client.send(new StartSnapshotCommand({ VolumeSize: 1, ...start }));
  assert(SnapshotId !== undefined);
  await sendBlocks(client, SnapshotId, blocks);
  const { Status } = await client.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount: blocks.size,
      Checksum: aggregate(blocks),
      ChecksumAlgorithm: "SHA256",
      ChecksumAggregationMethod: "LINEAR",
    }),
  );
  assert(Status === "pending" || Status === "completed");
  return SnapshotId;
}

export async function sendBlocks(
  client: EBSClient,
  SnapshotId: string,
  blocks: ReadonlyMap<number, Buffer>,
): Promise<void> {
  await inParallel([...blocks], async ([BlockIndex, BlockData]) => {
    const Checksum = sha256(BlockData).toString("base64");
    const answer = await client.send(
      new PutSnapshotBlockCommand({
        ...{ SnapshotId, BlockIndex, BlockData, DataLength: BlockData.length },
        ...{ Checksum, ChecksumAlgorithm: "SHA256", Progress: 50 },
      }),
    );
    assert.equal(answer.Checksum, Checksum);
  });
}

/** The LINEAR aggregate of the blocks' checksums, in Base64. */
export function aggregate(blocks: ReadonlyMap<number, Buffer>): string {
  const sums = [...blocks].sort(([a], [b]) => a - b).map(([, content]) => sha256(content));
  return sha256(Buffer.concat(sums)).toString("base64");
}

/** All blocks that the snapshot has, each checked against its checksum. */
export async function downloadBlocks(
  client: EBSClient,
  SnapshotId: string,
  MaxResults = 100,
): Promise<Map<number, Buffer>> {
  const listed: { BlockIndex?: number | undefined; BlockToken?: string | undefined }[] = [];
  let NextToken: string | undefined;
  do {
    const page = await client.send(new ListSnapshotBlocksCommand({ SnapshotId, MaxResults, NextToken }));
    assert.equal(page.BlockSize, DIRECT_BLOCK);
    listed.push(...(page.Blocks ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  const blocks = new Map<number, Buffer>();
  await inParallel(listed, async ({ BlockIndex, BlockToken }) => {
    assert(BlockIndex !== undefined && BlockToken !== undefined);
    blocks.set(BlockIndex, await getBlock(client, SnapshotId, BlockIndex, BlockToken));
  });
  return new Map([...blocks].sort(([a], [b]) => a - b));
}

export async function getBlock(
  client: EBSClient,
  SnapshotId: string,
  BlockIndex: number,
  BlockToken: string,
): Promise<Buffer> {
  const answer = await client.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
  const content = Buffer.from((await answer.BlockData?.transformToByteArray()) ?? []);
  assert.equal(content.length, answer.DataLength);
  assert.equal(answer.ChecksumAlgorithm, "SHA256");
  assert.equal(sha256(content).toString("base64"), answer.Checksum);
  return content;
}

/** The blocks that differ, and in which of the two snapshots each is. */
export async function changedBlocks(
  client: EBSClient,
  FirstSnapshotId: string | undefined,
  SecondSnapshotId: string,
): Promise<{ index: number; first: string | undefined; second: string | undefined }[]> {
  const found: { index: number; first: string | undefined; second: string | undefined }[] = [];
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new ListChangedBlocksCommand({ FirstSnapshotId, SecondSnapshotId, NextToken, MaxResults: 100 }),
    );
    for (const { BlockIndex = -1, FirstBlockToken, SecondBlockToken } of page.ChangedBlocks ?? [])
      found.push({ index: BlockIndex, first: FirstBlockToken, second: SecondBlockToken });
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return found;
}

async function inParallel<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const work = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await action(item);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
}
