/**
 * The error codes of the Storage Gateway API (`StorageGatewayError.errorCode`) that this gateway answers, with the
 * message texts that clients match on. Terraform compares the texts, so they are part of the contract.
 */
export const GATEWAY_ERRORS = {
  ActivationKeyExpired: "The specified activation key has expired.",
  ActivationKeyInvalid: "The specified activation key is invalid.",
  ActivationKeyNotFound: "The specified activation key was not found.",
  BandwidthThrottleScheduleNotFound: "The specified bandwidth throttle was not found.",
  DiskAlreadyAllocated: "The specified disk is already allocated.",
  DiskDoesNotExist: "The specified disk does not exist.",
  DiskSizeGreaterThanVolumeMaxSize: "The specified disk size is greater than the maximum volume size.",
  DiskSizeLessThanVolumeSize: "The specified disk size is less than the volume size.",
  DiskSizeNotGigAligned: "The specified disk is not gigabyte-aligned.",
  GatewayInternalError: "A gateway internal error occurred.",
  GatewayNotConnected: "The specified gateway is not connected.",
  GatewayNotFound: "The specified gateway was not found.",
  InitiatorInvalid: "The specified initiator is invalid.",
  InitiatorNotFound: "The specified initiator was not found.",
  InternalError: "An internal error occurred.",
  InvalidParameters: "The specified request contains invalid parameters.",
  InvalidSchedule: "The specified schedule is invalid.",
  MaximumVolumeCountExceeded: "The maximum volume count was exceeded.",
  NetworkConfigurationChanged: "The gateway network configuration has changed.",
  NoDisksAvailable: "The gateway has no disk for this.",
  NotSupported: "The specified operation is not supported.",
  RegionInvalid: "The specified region is invalid.",
  ServiceUnavailable: "The service is unavailable now: the bucket gives no answer. Please try again.",
  SnapshotDeleted: "The specified snapshot was deleted.",
  SnapshotIdInvalid: "The specified snapshot is invalid.",
  SnapshotInProgress: "The specified snapshot is in progress.",
  SnapshotLocked: "The specified snapshot is locked.",
  SnapshotNotLocked: "The specified snapshot is not locked.",
  SnapshotNotFound: "The specified snapshot was not found.",
  SnapshotScheduleNotFound: "The specified snapshot schedule was not found.",
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

/** A client token that stands for another request than this one. */
export class ClientTokenError extends GatewayError {
  constructor() {
    super("InvalidParameters", "The ClientToken was used for another request.");
  }
}

const CAUSES_MAX = 8;

/** Whether an error comes of the bucket's giving no answer: the same request may succeed when it is back. */
export function isUnavailable(error: unknown): boolean {
  let each: unknown = error;
  for (let depth = 0; depth < CAUSES_MAX && typeof each === "object" && each !== null; depth++) {
    if ((each as { kind?: unknown }).kind === "unavailable") return true;
    each = (each as { cause?: unknown }).cause;
  }
  return false;
}

/** The error of a request with a bad parameter. */
export function invalid(detail: string): GatewayError {
  return new GatewayError("InvalidParameters", detail);
}
