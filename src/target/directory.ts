import type { BlockDevice } from "../scsi/block-device.ts";
import type { AtomicJournal } from "../scsi/logical-unit.ts";
import type { UnitStore } from "../scsi/unit-state-file.ts";

/** What never changes about a logical unit, whatever restarts: INQUIRY and VPD pages are made of it. */
export interface LogicalUnitIdentity {
  /** Unit serial number (VPD page 80h), printable ASCII, at most 32 characters. */
  readonly serialNumber: string;
  /** NAA locally assigned designator (VPD page 83h): 64 bits whose top four are 3h. */
  readonly naa: bigint;
  /** T10 vendor identification, at most 8 printable ASCII characters. */
  readonly vendor: string;
  /** Product identification, at most 16 printable ASCII characters. */
  readonly product: string;
  /** Product revision level, at most 4 printable ASCII characters. */
  readonly revision: string;
}

/** What one initiator proves itself with, and what the target proves itself to it with. Never logged. */
export interface ChapCredential {
  /** Whole iSCSI name, compared without regard to case (RFC 3722 folds names). */
  readonly initiatorName: string;
  readonly secretToAuthenticateInitiator: string;
  /** What answers the initiator's own challenge; without it, such a challenge fails the login. */
  readonly secretToAuthenticateTarget?: string;
}

/** One iSCSI target: a name and the device that is its LUN 0. */
export interface TargetEntry {
  /** Whole iSCSI name, `iqn.1997-05.com.amazon:NAME`. */
  readonly targetName: string;
  readonly device: BlockDevice;
  readonly identity: LogicalUnitIdentity;
  /** Where reservations that are to outlive a restart are kept; without one, none does. */
  readonly store?: UnitStore;
  /** What makes atomic writes survive a crash as a whole, or not at all. */
  readonly journal?: AtomicJournal;
  /** It was there before this process was: initiators are told that it was powered on again. */
  readonly isPoweredOnAgain?: boolean;
  /** Who may log in; absent or empty: every initiator, without a proof. */
  readonly credentials?: readonly ChapCredential[];
}

/**
 * Whether the target admits an initiator, and by which credential it has to prove itself (undefined: by none).
 */
export function admission(
  entry: TargetEntry,
  initiatorName: string,
): { readonly isAdmitted: boolean; readonly credential: ChapCredential | undefined } {
  const credentials = entry.credentials ?? [];
  if (credentials.length === 0) return { isAdmitted: true, credential: undefined };
  const wanted = initiatorName.toLowerCase();
  const credential = credentials.find((each) => each.initiatorName.toLowerCase() === wanted);
  return { isAdmitted: credential !== undefined, credential };
}

/**
 * Everything the target layer knows of the rest of the gateway: names, and what stands behind them.
 * It is asked at every login and every SendTargets, so that volumes may come and go while it runs.
 */
export interface TargetDirectory {
  /** All targets that discovery may show. */
  list(): Iterable<TargetEntry>;
  /** The target of that name, compared without regard to case (RFC 3722 folds names), or undefined. */
  find(targetName: string): TargetEntry | undefined;
  /** Why the target of that name, which there is, can't be served now; undefined: there is none such. */
  unavailable?(targetName: string): string | undefined;
}
