/** What the EBS direct API refuses, and why: kinds are its exceptions, reasons its own. */
export type DirectErrorKind = "validation" | "notFound" | "conflict" | "tooMany" | "quota";

export type DirectErrorReason =
  | "INVALID_PAGE_TOKEN"
  | "INVALID_BLOCK_TOKEN"
  | "INVALID_SNAPSHOT_ID"
  | "UNRELATED_SNAPSHOTS"
  | "INVALID_BLOCK"
  | "INVALID_CUSTOMER_KEY"
  | "INVALID_PARAMETER_VALUE"
  | "INVALID_VOLUME_SIZE"
  | "SNAPSHOT_NOT_FOUND"
  | "DEPENDENCY_SERVICE_QUOTA_EXCEEDED";

export class DirectError extends Error {
  override readonly name = "DirectError";
  readonly kind: DirectErrorKind;
  readonly reason: DirectErrorReason | undefined;

  constructor(kind: DirectErrorKind, message: string, reason?: DirectErrorReason) {
    super(message);
    this.kind = kind;
    this.reason = reason;
  }
}
