/** The Storage Gateway operations of volume gateways; the router answers NotSupported for the others it knows. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import { attachVolume, detachVolume } from "./attachments.ts";
import {
  deleteBandwidthRateLimit,
  describeBandwidthRateLimit,
  describeBandwidthRateLimitSchedule,
  updateBandwidthRateLimit,
  updateBandwidthRateLimitSchedule,
} from "./bandwidth.ts";
import { deleteChapCredentials, describeChapCredentials, updateChapCredentials } from "./chap.ts";
import { createCachediSCSIVolume } from "./create-cached-iscsi-volume.ts";
import { createSnapshot } from "./create-snapshot.ts";
import { createStorediSCSIVolume } from "./create-stored-iscsi-volume.ts";
import { describeGatewayInformation } from "./describe-gateway-information.ts";
import { describeCache, describeUploadBuffer, describeWorkingStorage } from "./describe-storage.ts";
import { describeCachediSCSIVolumes, describeStorediSCSIVolumes } from "./describe-volumes.ts";
import { addCache, addUploadBuffer, addWorkingStorage, listLocalDisks } from "./disks.ts";
import {
  activateGateway,
  deleteGateway,
  shutdownGateway,
  startGateway,
  updateGatewayInformation,
  updateGatewaySoftwareNow,
} from "./gateways.ts";
import { listGateways } from "./list-gateways.ts";
import {
  describeAvailabilityMonitorTest,
  setLocalConsolePassword,
  startAvailabilityMonitorTest,
} from "./local-console.ts";
import { describeMaintenanceStartTime, updateMaintenanceStartTime } from "./maintenance.ts";
import { createSnapshotFromVolumeRecoveryPoint, listVolumeRecoveryPoints } from "./recovery-points.ts";
import { resetCache } from "./reset-cache.ts";
import {
  deleteSnapshotSchedule,
  describeSnapshotSchedule,
  updateSnapshotSchedule,
} from "./snapshot-schedule.ts";
import { addTagsToResource, listTagsForResource, removeTagsFromResource } from "./tags.ts";
import { deleteVolume, listVolumeInitiators, listVolumes } from "./volumes.ts";

export const storageGatewayOperations: OperationTable<Services> = [
  activateGateway,
  addCache,
  addTagsToResource,
  addUploadBuffer,
  addWorkingStorage,
  attachVolume,
  createCachediSCSIVolume,
  createSnapshot,
  createSnapshotFromVolumeRecoveryPoint,
  createStorediSCSIVolume,
  deleteBandwidthRateLimit,
  deleteChapCredentials,
  deleteGateway,
  deleteSnapshotSchedule,
  deleteVolume,
  describeAvailabilityMonitorTest,
  describeBandwidthRateLimit,
  describeBandwidthRateLimitSchedule,
  describeCache,
  describeCachediSCSIVolumes,
  describeChapCredentials,
  describeGatewayInformation,
  describeMaintenanceStartTime,
  describeSnapshotSchedule,
  describeStorediSCSIVolumes,
  describeUploadBuffer,
  describeWorkingStorage,
  detachVolume,
  listGateways,
  listLocalDisks,
  listTagsForResource,
  listVolumeInitiators,
  listVolumeRecoveryPoints,
  listVolumes,
  removeTagsFromResource,
  resetCache,
  setLocalConsolePassword,
  shutdownGateway,
  startAvailabilityMonitorTest,
  startGateway,
  updateBandwidthRateLimit,
  updateBandwidthRateLimitSchedule,
  updateChapCredentials,
  updateGatewayInformation,
  updateGatewaySoftwareNow,
  updateMaintenanceStartTime,
  updateSnapshotSchedule,
];
