/** The EC2 operations that are built; the router answers UnsupportedOperation for the others it knows. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { describeSnapshots } from "./describe-snapshots.ts";
import { createSnapshot, deleteSnapshot } from "./snapshots.ts";
import { createTags, deleteTags, describeTags } from "./tags.ts";

export const ec2Operations: OperationTable<Services> = [
  createSnapshot,
  createTags,
  deleteSnapshot,
  deleteTags,
  describeSnapshots,
  describeTags,
];
