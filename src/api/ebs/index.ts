/** The operations of the EBS direct API. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { getSnapshotBlock } from "./get-snapshot-block.ts";
import { listChangedBlocks, listSnapshotBlocks } from "./list-blocks.ts";
import { completeSnapshot, putSnapshotBlock } from "./put-snapshot-block.ts";
import { startSnapshot } from "./start-snapshot.ts";

export const ebsOperations: OperationTable<Services> = [
  completeSnapshot,
  getSnapshotBlock,
  listChangedBlocks,
  listSnapshotBlocks,
  putSnapshotBlock,
  startSnapshot,
];
