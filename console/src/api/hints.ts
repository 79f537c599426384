/** What to do about an error, by the code that the API gives it. Errors that say it themselves have none. */
const HINTS: Readonly<Record<string, string>> = {
  GatewayNotConnected: "It is shut down: start it under “Gateways and disks” first.",
  SnapshotLocked: "Unlock it first, or wait until the lock ends.",
  SnapshotInProgress: "Wait until it is completed.",
  "InvalidSnapshot.NotFound": "Somebody else may have deleted it meanwhile: the list shows what there is.",
  VolumeInUse: "Log the servers that use it out first.",
  VolumeNotFound: "Somebody else may have deleted it meanwhile: the list shows what there is.",
  VolumeNotReady: "Its status says why; try again when it is available.",
  NoDisksAvailable: "Add a disk under “Gateways and disks” first.",
  DiskAlreadyAllocated: "Choose another disk, or make a new one.",
  DiskDoesNotExist: "Choose another disk, or make a new one.",
  DiskSizeLessThanVolumeSize: "Choose a disk that is at least as large as the volume.",
  MaximumVolumeCountExceeded: "Delete or detach volumes of this gateway, or make the volume on another one.",
  TargetAlreadyExists: "Choose another name.",
  StorageFailure: "The overview shows how the disks and the bucket are; “sluicegate doctor” looks closer.",
  GatewayInternalError: "Try again; if it comes back, the gateway’s log says why.",
  InternalError: "Try again; if it comes back, the gateway’s log says why.",
  InternalServerError: "Try again; if it comes back, the gateway’s log says why.",
  InternalFailure: "Try again; if it comes back, the gateway’s log says why.",
  AccessDeniedException: "This key may only look: sign in with an administrator’s.",
  UnauthorizedOperation: "This key may only look: sign in with an administrator’s.",
  ThrottlingException: "Wait a moment, and try again.",
};

export function hintOf(code: string | undefined): string | undefined {
  return code === undefined ? undefined : HINTS[code];
}
