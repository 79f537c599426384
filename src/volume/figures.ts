/** How a volume stands at one moment, as numbers: for metrics. */
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { CachedVolume } from "./cached-volume.ts";
import type { EngineVolume } from "./engine-volume.ts";

export interface VolumeState {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** Of blocks that were written and are not in the bucket yet. */
  readonly unsavedBytes: number;
  readonly pendingCuts: number;
  readonly recoveryPointAtMs?: number;
  readonly restoreProgress?: number;
  readonly healthy: boolean;
  /** Why it has stopped. */
  readonly reason?: string;
}

export function stateOf(gatewayId: GatewayId, kind: "stored" | "cached", volume: EngineVolume): VolumeState {
  const cacheUse = volume instanceof CachedVolume ? volume.cacheUse : { hits: 0, misses: 0 };
  const { recoveryPoint, restoreProgress } = volume;
  return {
    volumeId: volume.volumeId,
    gatewayId,
    kind,
    sizeBytes: volume.sizeBytes,
    usedBytes: volume.usedBytes,
    cacheHits: cacheUse.hits,
    cacheMisses: cacheUse.misses,
    unsavedBytes: volume.unsavedBytes,
    pendingCuts: volume.closedEpochs,
    ...(recoveryPoint !== undefined && { recoveryPointAtMs: recoveryPoint.cutAtMs }),
    ...(restoreProgress !== undefined && { restoreProgress }),
    healthy: volume.failure === undefined && !volume.stopping,
    ...(volume.failure !== undefined && { reason: volume.failure }),
  };
}
