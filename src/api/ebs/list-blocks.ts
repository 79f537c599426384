/** ListSnapshotBlocks and ListChangedBlocks. */

import type { BlockPage } from "../../gateway/direct-reads.ts";
import { DIRECT_BLOCK_BYTES } from "../../gateway/direct-spool.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface PageInput {
  readonly NextToken?: string;
  readonly MaxResults?: number;
  readonly StartingBlockIndex?: number;
}

/** The blocks that a snapshot has, with tokens to get them by. Blocks of zeros are not among them. */
export const listSnapshotBlocks: Operation<Services, PageInput & { readonly SnapshotId: string }, object> = {
  name: "ListSnapshotBlocks",
  async handle({ directReads }, input) {
    const page = await directReads.list(input.SnapshotId, pageOf(input));
    return {
      ...shapeOf(page),
      Blocks: page.blocks.map(({ index, token }) => ({ BlockIndex: index, BlockToken: token })),
    };
  },
};

/** The blocks in which two snapshots of one lineage differ. A block that one of them does not have has no token of it. */
export const listChangedBlocks: Operation<
  Services,
  PageInput & { readonly FirstSnapshotId?: string; readonly SecondSnapshotId: string },
  object
> = {
  name: "ListChangedBlocks",
  async handle({ directReads }, input) {
    const page = await directReads.listChanged(input.FirstSnapshotId, input.SecondSnapshotId, pageOf(input));
    return {
      ...shapeOf(page),
      ChangedBlocks: page.blocks.map(({ index, firstToken, token }) => ({
        BlockIndex: index,
        FirstBlockToken: firstToken,
        SecondBlockToken: token,
      })),
    };
  },
};

function pageOf({ NextToken, MaxResults, StartingBlockIndex }: PageInput) {
  return { pageToken: NextToken, maxResults: MaxResults, startingBlockIndex: StartingBlockIndex };
}

function shapeOf({ expiresAtMs, volumeSizeGib, nextToken }: BlockPage): object {
  return {
    ExpiryTime: new Date(expiresAtMs),
    VolumeSize: volumeSizeGib,
    BlockSize: DIRECT_BLOCK_BYTES,
    NextToken: nextToken,
  };
}
