/** The Storage Gateway operations that are built; the router answers NotSupported for the others it knows. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { createCachediSCSIVolume } from "./create-cached-iscsi-volume.ts";
import { createSnapshot } from "./create-snapshot.ts";
import { createStorediSCSIVolume } from "./create-stored-iscsi-volume.ts";
import { describeGatewayInformation } from "./describe-gateway-information.ts";
import { describeCache, describeUploadBuffer, describeWorkingStorage } from "./describe-storage.ts";
import { describeCachediSCSIVolumes, describeStorediSCSIVolumes } from "./describe-volumes.ts";
import { addCache, addUploadBuffer, addWorkingStorage, listLocalDisks } from "./disks.ts";
import { listGateways } from "./list-gateways.ts";
import { createSnapshotFromVolumeRecoveryPoint, listVolumeRecoveryPoints } from "./recovery-points.ts";
import { resetCache } from "./reset-cache.ts";
import { addTagsToResource, listTagsForResource, removeTagsFromResource } from "./tags.ts";
import { deleteVolume, listVolumeInitiators, listVolumes } from "./volumes.ts";

export const storageGatewayOperations: OperationTable<Services> = [
  addCache,
  addTagsToResource,
  addUploadBuffer,
  addWorkingStorage,
  createCachediSCSIVolume,
  createSnapshot,
  createSnapshotFromVolumeRecoveryPoint,
  createStorediSCSIVolume,
  deleteVolume,
  describeCache,
  describeCachediSCSIVolumes,
  describeGatewayInformation,
  describeStorediSCSIVolumes,
  describeUploadBuffer,
  describeWorkingStorage,
  listGateways,
  listLocalDisks,
  listTagsForResource,
  listVolumeInitiators,
  listVolumeRecoveryPoints,
  listVolumes,
  removeTagsFromResource,
  resetCache,
];
