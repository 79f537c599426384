import { DeviceError } from "../platform/device-error.ts";

/** A volume that was made has nothing here any more: a folder that was lost, or is not mounted. */
export function ownFilesGone(folder: string): DeviceError {
  return new DeviceError(
    "notReady",
    `the volume's own files are gone from ${folder}: bring them back, or delete the volume and restore it`,
  );
}
