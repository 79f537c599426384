import { StoreError } from "../objects/object-store.ts";

/**
 * - `notFound`: an object that should be there is not.
 * - `corrupt`: bytes that are not what was written: a tag, a name or a structure is wrong.
 * - `fenced`: another gateway has become the volume's writer.
 * - `unavailable`: the bucket gives no answer now; another try may succeed.
 * - `wrongKey`: the key file does not open this vault.
 * - `unknownFormat`: written by a version that this one does not know.
 */
export type VaultErrorKind = "notFound" | "corrupt" | "fenced" | "unavailable" | "wrongKey" | "unknownFormat";

/** An error of the vault. A reader that gets one has got no data. */
export class VaultError extends Error {
  override readonly name = "VaultError";
  readonly kind: VaultErrorKind;

  constructor(kind: VaultErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** A store's error as the vault's: what may pass stays `unavailable`. */
export function fromStoreError(error: unknown, what: string): VaultError {
  if (error instanceof VaultError) return error;
  const message = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  if (error instanceof StoreError && error.kind === "notFound") {
    return new VaultError("notFound", message, { cause: error });
  }
  // Denied and invalid answers may end too (a rotated credential, a mended proxy): they are worth waiting for.
  return new VaultError("unavailable", message, { cause: error });
}
