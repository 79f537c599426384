/** What comes about in the gateway and somebody may want to know. */
export const EVENT_TYPES = [
  "GatewayStarted",
  "SnapshotCompleted",
  "SnapshotFailed",
  "UploadBufferHigh",
  "UploadBufferNormal",
  "CacheDirtyHigh",
  "CacheDirtyNormal",
  "StoreUnreachable",
  "StoreReachable",
  "VolumeStopped",
  "VerificationPassed",
  "VerificationFailed",
  "CollectionDone",
  "CollectionFailed",
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

export interface GatewayEvent {
  readonly type: EventType;
  readonly severity: "info" | "warning" | "error";
  readonly atMs: number;
  /** One sentence for a person. */
  readonly message: string;
  /** Ids and ARNs that it is about. */
  readonly resources: readonly string[];
}
