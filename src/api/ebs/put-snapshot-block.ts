/** PutSnapshotBlock and CompleteSnapshot. */
import { DirectError } from "../../gateway/direct-error.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface Block {
  readonly SnapshotId: string;
  readonly BlockIndex: number;
  readonly BlockData: Buffer;
  readonly DataLength: number;
  readonly Progress?: number;
  readonly Checksum: string;
  readonly ChecksumAlgorithm: string;
}

/** One block of a started snapshot; when it is answered, it survives a crash. */
export const putSnapshotBlock: Operation<Services, Block, object> = {
  name: "PutSnapshotBlock",
  async handle({ directUploads }, { SnapshotId, BlockIndex, BlockData, DataLength, Checksum, Progress }) {
    if (DataLength !== BlockData.length)
      throw new DirectError(
        "validation",
        "The data is not as long as x-amz-Data-Length says.",
        "INVALID_BLOCK",
      );
    await directUploads.put(SnapshotId, {
      index: BlockIndex,
      sum: Checksum,
      content: BlockData,
      progressPercent: Progress,
    });
    return { Checksum, ChecksumAlgorithm: "SHA256" };
  },
};

interface Completion {
  readonly SnapshotId: string;
  readonly ChangedBlocksCount: number;
  readonly Checksum?: string;
  readonly ChecksumAlgorithm?: string;
  readonly ChecksumAggregationMethod?: string;
}

/** The end of a started snapshot: it takes no more blocks, and becomes `completed` when it is in the bucket. */
export const completeSnapshot: Operation<Services, Completion, object> = {
  name: "CompleteSnapshot",
  async handle({ directUploads }, input) {
    const { SnapshotId, ChangedBlocksCount, Checksum, ChecksumAlgorithm, ChecksumAggregationMethod } = input;
    const parts = [Checksum, ChecksumAlgorithm, ChecksumAggregationMethod].filter(
      (part) => part !== undefined,
    );
    if (parts.length !== 0 && parts.length !== 3)
      throw new DirectError(
        "validation",
        "A checksum needs its algorithm and its aggregation method.",
        "INVALID_PARAMETER_VALUE",
      );
    return { Status: await directUploads.complete(SnapshotId, ChangedBlocksCount, Checksum) };
  },
};
