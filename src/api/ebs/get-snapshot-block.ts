import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface Input {
  readonly SnapshotId: string;
  readonly BlockIndex: number;
  readonly BlockToken: string;
}

/** GetSnapshotBlock: a block's content, against the token that a list gave for it. */
export const getSnapshotBlock: Operation<Services, Input, object> = {
  name: "GetSnapshotBlock",
  async handle({ directReads }, { SnapshotId, BlockIndex, BlockToken }) {
    const { content, sum } = await directReads.get(SnapshotId, BlockIndex, BlockToken);
    return { DataLength: content.length, BlockData: content, Checksum: sum, ChecksumAlgorithm: "SHA256" };
  },
};
