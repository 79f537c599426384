/**
 * The error codes of the Storage Gateway API that this gateway answers (`StorageGatewayError.errorCode`), with the
 * message texts that clients match on. Terraform compares the texts, so they are part of the contract.
 */
export const GATEWAY_ERRORS = {
  DiskAlreadyAllocated: "The specified disk is already allocated.",
  DiskDoesNotExist: "The specified disk does not exist.",
  DiskSizeGreaterThanVolumeMaxSize: "The specified disk size is greater than the maximum volume size.",
  DiskSizeLessThanVolumeSize: "The specified disk size is less than the volume size.",
  DiskSizeNotGigAligned: "The specified disk is not gigabyte-aligned.",
  GatewayInternalError: "A gateway internal error occurred.",
  GatewayNotConnected: "The specified gateway is not connected.",
  GatewayNotFound: "The specified gateway was not found.",
  InternalError: "An internal error occurred.",
  InvalidParameters: "The specified request contains invalid parameters.",
  LocalStorageLimitExceeded: "The local storage limit was exceeded.",
  MaximumVolumeCountExceeded: "The maximum volume count was exceeded.",
  NotSupported: "The specified operation is not supported.",
  SnapshotIdInvalid: "The specified snapshot is invalid.",
  SnapshotInProgress: "The specified snapshot is in progress.",
  SnapshotLocked: "The specified snapshot is locked.",
  SnapshotNotFound: "The specified snapshot was not found.",
  StagingAreaFull: "The staging area is full.",
  StorageFailure: "The local storage has failed.",
  TargetAlreadyExists: "The specified target already exists.",
  TargetInvalid: "The specified target is invalid.",
  TargetNotFound: "The specified target was not found.",
  UnsupportedOperationForGatewayType: "This operation is not valid for the specified gateway.",
  VolumeIdInvalid: "The specified volume is invalid.",
  VolumeInUse: "The specified volume is already in use.",
  VolumeNotFound: "The specified volume was not found.",
  VolumeNotReady: "The specified volume is not ready.",
} as const;

export type GatewayErrorCode = keyof typeof GATEWAY_ERRORS;

/**
 * A request that the domain refuses, or can't carry out. The wire layer turns it into
 * InvalidGatewayRequestException (or InternalServerError for the internal codes) in one place.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: GatewayErrorCode;

  /** `detail` is appended to the code's fixed text: clients match the beginning. */
  constructor(code: GatewayErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? GATEWAY_ERRORS[code] : `${GATEWAY_ERRORS[code]} ${detail}`, options);
    this.code = code;
  }
}
