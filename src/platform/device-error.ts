/**
 * Why a block device could not do what it was asked.
 *
 * - `mediumError`: these bytes can't be read or written; others may (sense key MEDIUM ERROR).
 * - `notReady`: the device is stopped, not there yet, or its data can't be reached now (NOT READY).
 * - `busy`: try again a little later (status BUSY).
 * - `hardwareError`: the device has failed as a whole and stays failed (HARDWARE ERROR).
 * - `writeProtected`: it takes no writes (DATA PROTECT).
 * - `noSpace`: there is no room for what the write needs; reads go on (SPACE ALLOCATION FAILED WRITE PROTECT).
 */
export type DeviceErrorKind =
  | "mediumError"
  | "notReady"
  | "busy"
  | "hardwareError"
  | "writeProtected"
  | "noSpace";

/** An error of a block device. The SCSI layer turns `kind` into a status and sense data, in one place. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
  readonly kind: DeviceErrorKind;

  constructor(kind: DeviceErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
