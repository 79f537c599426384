/** This gateway's own operations, beside AWS's. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import {
  createAccessKey,
  createSession,
  deleteAccessKey,
  listAccessKeys,
  rotateAccessKey,
} from "./access-keys.ts";
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
  createAccessKey,
  createSession,
  createSnapshotFromRecoveryPoint,
  createSnapshots,
  deleteAccessKey,
  describeVaultJobs,
  listAccessKeys,
  listRecoveryPoints,
  rotateAccessKey,
  resizeVolume,
  startVaultJob,
  updateRecoveryPoints,
];
