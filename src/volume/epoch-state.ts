/** What is known of an epoch after its cut. */
import type { SnapshotId } from "../platform/ids.ts";
import type { DirtyMap } from "./dirty-map.ts";
import type { RecoveryPoint } from "./epoch-log.ts";

/** An epoch that was cut and has not reached the bucket yet. */
export interface ClosedEpoch {
  readonly epoch: number;
  readonly cutAtMs: number;
  /** The volume's size at the cut: it may have grown since. */
  readonly sizeBytes: number;
  readonly snapshotId?: SnapshotId;
  readonly dirty: DirtyMap;
  /** Its data and dirty map would survive a loss of power. */
  durable: boolean;
}

/** How an epoch stands. */
export type EpochState =
  | { readonly state: "pending" }
  | ({ readonly state: "uploaded" } & RecoveryPoint)
  | { readonly state: "failed"; readonly reason: string }
  | { readonly state: "unknown" };

/** A cut was asked for that can't be made now. */
export class CutRefused extends Error {
  override readonly name = "CutRefused";
}
