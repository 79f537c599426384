/** The EC2 operations that are built; the router answers UnsupportedOperation for the others it knows. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { describeSnapshots } from "./describe-snapshots.ts";
import { describeAvailabilityZones, describeRegions } from "./regions.ts";
import {
  describeSnapshotAttribute,
  modifySnapshotAttribute,
  resetSnapshotAttribute,
} from "./snapshot-attributes.ts";
import { describeLockedSnapshots, lockSnapshot, unlockSnapshot } from "./snapshot-locks.ts";
import { copySnapshot, createSnapshot, createSnapshots, deleteSnapshot } from "./snapshots.ts";
import { createTags, deleteTags, describeTags } from "./tags.ts";
import { describeVolumesModifications, modifyVolume } from "./volume-modifications.ts";
import { createVolume, deleteVolume, describeVolumes } from "./volumes.ts";

export const ec2Operations: OperationTable<Services> = [
  copySnapshot,
  createSnapshot,
  createSnapshots,
  createTags,
  createVolume,
  deleteSnapshot,
  deleteTags,
  deleteVolume,
  describeAvailabilityZones,
  describeLockedSnapshots,
  describeRegions,
  describeSnapshotAttribute,
  describeSnapshots,
  describeTags,
  describeVolumes,
  describeVolumesModifications,
  lockSnapshot,
  modifySnapshotAttribute,
  modifyVolume,
  resetSnapshotAttribute,
  unlockSnapshot,
];
