/** This gateway's own operations, beside AWS's. */
import type { AdminServices } from "../../admin/admin-services.ts";
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import {
  createAccessKey,
  createSession,
  deleteAccessKey,
  listAccessKeys,
  rotateAccessKey,
} from "./access-keys.ts";
import { describeHealth, listActivity } from "./activity.ts";
import { createLocalDisk } from "./create-local-disk.ts";
import { createSnapshots } from "./create-snapshots.ts";
import { listMatchingSnapshots } from "./list-matching-snapshots.ts";
import { describeVault, listSnapshots } from "./list-snapshots.ts";
import { getMetrics, listMetrics } from "./metrics.ts";
import { describePolicyPreview } from "./preview-policy.ts";
import {
  createSnapshotFromRecoveryPoint,
  describeRecoveryPoints,
  listRecoveryPoints,
  updateRecoveryPoints,
} from "./recovery-points.ts";
import { resizeVolume } from "./resize-volume.ts";
import { deleteSnapshotSchedule, listSnapshotSchedules, putSnapshotSchedule } from "./schedules.ts";
import { describeSnapshotDifference, describeSnapshotSizes } from "./snapshot-sizes.ts";
import { adoptSnapshots, describeVaultJobs, startVaultJob } from "./vault-jobs.ts";

export const sluicegateOperations: OperationTable<Services & AdminServices> = [
  adoptSnapshots,
  createAccessKey,
  createLocalDisk,
  createSession,
  createSnapshotFromRecoveryPoint,
  createSnapshots,
  deleteAccessKey,
  deleteSnapshotSchedule,
  describeHealth,
  describePolicyPreview,
  describeRecoveryPoints,
  describeSnapshotDifference,
  describeSnapshotSizes,
  describeVault,
  describeVaultJobs,
  getMetrics,
  listAccessKeys,
  listActivity,
  listMetrics,
  listRecoveryPoints,
  listMatchingSnapshots,
  listSnapshotSchedules,
  listSnapshots,
  putSnapshotSchedule,
  resizeVolume,
  rotateAccessKey,
  startVaultJob,
  updateRecoveryPoints,
];
