/**
 * What the data plane has counted and how it stands: the port that metrics are made of. Counters only grow while the
 * process runs; they begin at 0 with it.
 */
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import type { StorageUsage } from "./ports.ts";

/** One kind of I/O. Latencies are those of the volume: from the command's data being here to its being served. */
export interface IoFigures {
  readonly count: number;
  readonly bytes: number;
  readonly totalUs: number;
  /** By class: platform/latency-histogram.ts. */
  readonly latencies: readonly number[];
}

export interface VolumeFigures {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly reads: IoFigures;
  readonly writes: IoFigures;
  readonly flushes: IoFigures;
  readonly unmappedBytes: number;
  readonly failedIos: number;
  /** Writes that are not acknowledged yet: for a slot, a fetch, or the disk. */
  readonly queuedWrites: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** Of blocks that were written and are not in the bucket yet. */
  readonly unsavedBytes: number;
  /** Cuts whose upload has not ended. */
  readonly pendingCuts: number;
  /** The moment of the newest root in the bucket; absent where there is none. */
  readonly recoveryPointAtMs?: number;
  /** 0 to 1 while a restored volume is being brought over. */
  readonly restoreProgress?: number;
  readonly initiators: number;
  /** Whether it serves. */
  readonly healthy: boolean;
  /** Why it does not. */
  readonly reason?: string;
}

export interface GatewayFigures extends StorageUsage {
  readonly gatewayId: GatewayId;
}

export interface DataFigures {
  readonly volumes: readonly VolumeFigures[];
  readonly gateways: readonly GatewayFigures[];
  /** The part of its time that the data worker was at work since the last time this was asked, 0 to 1. */
  readonly utilization: number;
}

/** Bytes to and from the bucket. */
export interface CloudBytes {
  readonly uploaded: number;
  readonly downloaded: number;
}

export const STORE_OPERATIONS = ["put", "get", "head", "list", "delete"] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];

/** Requests of one kind to the bucket; each attempt counts. */
export interface StoreRequestFigures {
  readonly operation: StoreOperation;
  readonly count: number;
  readonly failed: number;
  readonly bytes: number;
  readonly totalUs: number;
  readonly latencies: readonly number[];
}

/** Whether the bucket answers, as of the last request to it or the last probe. */
export interface StoreHealth {
  readonly state: "unknown" | "reachable" | "unreachable";
  readonly sinceMs: number;
  /** Why it is not reachable. */
  readonly reason?: string;
}

export interface BackupFigures {
  readonly volumes: readonly (CloudBytes & { readonly volumeId: VolumeId })[];
  readonly gateways: readonly (CloudBytes & { readonly gatewayId: GatewayId })[];
  readonly requests: readonly StoreRequestFigures[];
  readonly store: StoreHealth;
  readonly utilization: number;
}

/** The data plane, as metrics and health see it. Rejects where a worker is gone. */
export interface MeasuredPlane {
  dataFigures(): Promise<DataFigures>;
  backupFigures(): Promise<BackupFigures>;
  /** Asks the bucket for something, unless it has answered within the last seconds. */
  askStore(): Promise<StoreHealth>;
}
