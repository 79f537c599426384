/**
 * The bucket, as small as the vault can do with. One contract test (object-store.contract.ts) runs against every
 * implementation; retrying, limiting, measuring and fault injection are wrappers of the same interface.
 *
 * Keys are relative to the store's prefix: printable ASCII, `/` between parts, no leading `/`, no `.` or `..` part.
 */
export interface ObjectStore {
  /** For messages: `s3://bucket/prefix` or `file:///dir`; never holds a secret. */
  readonly name: string;

  /**
   * Stores `body` durably under `key`. All or nothing: no reader ever sees a part of it.
   * With `ifAbsent`, an existing object is left alone and the answer is "exists"; exactly one of several racing
   * writers gets "created". Without it an existing object is replaced.
   * After a time-out it is unknown whether the object was stored: see `StoreError.ambiguous`.
   */
  put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists">;

  /** The whole object, or exactly `range` of it. Rejects with a StoreError of kind "notFound" if there is none. */
  get(key: string, range?: ByteRange): Promise<Buffer>;

  /** The object's size, or undefined if there is none. */
  head(key: string): Promise<ObjectInfo | undefined>;

  /** All objects whose key starts with `prefix`, in the order of their keys. Complete, or it rejects. */
  list(prefix: string): AsyncIterable<ObjectInfo>;

  /** Removes the objects. One that is not there is no error. */
  delete(keys: readonly string[]): Promise<void>;

  /** Ends idle connections. */
  close(): Promise<void>;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
}

/** `lengthBytes` from `offsetBytes` on; a range past the end is an error, not a short answer. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
}

/**
 * - `notFound`: no such object (or bucket).
 * - `denied`: credentials or rights are missing.
 * - `unavailable`: no answer, or one that says "later": worth another try.
 * - `invalid`: the request or the answer is wrong; another try gives the same.
 * - `unsupported`: the server does not know what is asked of it.
 */
export type StoreErrorKind = "notFound" | "denied" | "unavailable" | "invalid" | "unsupported";

/** An error of an object store. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly kind: StoreErrorKind;
  /** A put that failed this way may all the same have been stored, now or later. */
  readonly ambiguous: boolean;

  constructor(
    kind: StoreErrorKind,
    message: string,
    options?: ErrorOptions & { readonly ambiguous?: boolean },
  ) {
    super(message, options);
    this.kind = kind;
    this.ambiguous = options?.ambiguous ?? false;
  }

  /** Whether trying again can help. */
  get retryable(): boolean {
    return this.kind === "unavailable";
  }
}
