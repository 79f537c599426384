import { StoreError } from "../objects/object-store.ts";

/**
 * - `notFound`: an object that should be there is not.
 * - `corrupt`: bytes that are not what was written: a tag, a name or a structure is wrong.
 * - `fenced`: another gateway has become the volume's writer.
 * - `unavailable`: the bucket gives no answer now; another try may succeed.
 * - `rejected`: the bucket refuses the request itself, as it would refuse it again.
 * - `wrongKey`: the key file does not open this vault.
 * - `wrongVault`: the store holds another vault than the one that was expected, or something else.
 * - `inUse`: something that stays can't do without what was to be deleted.
 * - `unknownFormat`: written by a version that this one does not know.
 */
export type VaultErrorKind =
  | "notFound"
  | "corrupt"
  | "fenced"
  | "unavailable"
  | "rejected"
  | "wrongKey"
  | "wrongVault"
  | "inUse"
  | "unknownFormat";

/** An error of the vault. A reader that gets one has got no data. */
export class VaultError extends Error {
  override readonly name = "VaultError";
  readonly kind: VaultErrorKind;

  constructor(kind: VaultErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

const KIND_OF = {
  notFound: "notFound",
  unavailable: "unavailable",
  // Credentials are rotated and rights are given back: worth waiting for.
  denied: "unavailable",
  invalid: "rejected",
  unsupported: "rejected",
} as const;

/** A store's error as the vault's. Anything else is a fault of ours and stays what it is. */
export function fromStoreError(error: unknown, what: string): unknown {
  if (!(error instanceof StoreError)) return error;
  return new VaultError(KIND_OF[error.kind], `${what}: ${error.message}`, { cause: error });
}
