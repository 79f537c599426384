/** This gateway's own operations, beside AWS's. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { createSnapshots } from "./create-snapshots.ts";
import {
  createSnapshotFromRecoveryPoint,
  listRecoveryPoints,
  updateRecoveryPoints,
} from "./recovery-points.ts";
import { resizeVolume } from "./resize-volume.ts";
import { adoptSnapshots, describeVaultJobs, startVaultJob } from "./vault-jobs.ts";

export const sluicegateOperations: OperationTable<Services> = [
  adoptSnapshots,
  createSnapshotFromRecoveryPoint,
  createSnapshots,
  describeVaultJobs,
  listRecoveryPoints,
  resizeVolume,
  startVaultJob,
  updateRecoveryPoints,
];
