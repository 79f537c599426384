import { GatewayError } from "../../gateway/errors.ts";

/** Everything is encrypted under the vault's key; keys of a KMS for single volumes are not built. */
export function refuseKms(input: {
  readonly KMSEncrypted?: boolean | undefined;
  readonly KMSKey?: string | undefined;
}): void {
  if (input.KMSKey !== undefined || input.KMSEncrypted === true) {
    throw new GatewayError(
      "NotSupported",
      "Volumes are encrypted under the vault's key, not under KMS keys.",
    );
  }
}
