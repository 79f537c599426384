/**
 * Every metric there is, once: its name in CloudWatch's spelling (namespace AWS/StorageGateway where AWS has it), its
 * name for Prometheus, its unit, and where its value comes from. The history, `/metrics`, and the reference in the
 * documentation are all made of this table and the one in service-metrics.ts.
 */
import { cloudMetrics, ioMetrics } from "./io-metrics.ts";
import type { GaugeMetric, Metric, Unit } from "./metric.ts";
import { type GatewaySample, percent, secondsSince, type VolumeSample } from "./sample.ts";

/** How far a volume's newest moment in the bucket is behind: 0 while everything is there. */
function recoveryPointLag(volume: VolumeSample): number | undefined {
  if (volume.unsavedBytes === 0) return 0;
  return volume.recoveryPointAtMs === undefined
    ? undefined
    : secondsSince(volume.atMs, volume.recoveryPointAtMs);
}

export const VOLUME_METRICS: readonly Metric<VolumeSample>[] = [
  ...ioMetrics<VolumeSample>((volume) => volume, "the volume"),
  ...cloudMetrics<VolumeSample>("the volume"),
  {
    type: "gauge",
    name: "HealthNotification",
    prometheus: "healthy",
    unit: "Count",
    merge: "mean",
    help: "1 while the volume serves, 0 after it has stopped.",
    read: ({ healthy }) => (healthy ? 1 : 0),
  },
  {
    type: "gauge",
    name: "TimeSinceLastRecoveryPoint",
    prometheus: "time_since_last_recovery_point_seconds",
    unit: "Seconds",
    merge: "max",
    help: "Age of the volume's newest moment in the bucket; 0 while all that was written is there, absent before the first.",
    read: recoveryPointLag,
  },
  {
    type: "gauge",
    name: "TimeSinceLastSnapshot",
    prometheus: "time_since_last_snapshot_seconds",
    unit: "Seconds",
    merge: "max",
    help: "Age of the newest completed snapshot of the volume; absent where there is none.",
    read: ({ atMs, snapshots }) =>
      snapshots.newestAtMs === undefined ? undefined : secondsSince(atMs, snapshots.newestAtMs),
  },
  {
    type: "gauge",
    name: "PendingSnapshots",
    prometheus: "pending_snapshots",
    unit: "Count",
    merge: "max",
    help: "Snapshots of the volume whose upload has not ended.",
    read: ({ snapshots }) => snapshots.pending,
  },
  {
    type: "gauge",
    name: "VolumeSize",
    prometheus: "size_bytes",
    unit: "Bytes",
    merge: "max",
    help: "Size of the volume as initiators see it.",
    read: ({ sizeBytes }) => sizeBytes,
  },
  {
    type: "gauge",
    name: "VolumeUsed",
    prometheus: "used_bytes",
    unit: "Bytes",
    merge: "max",
    help: "Bytes of the volume's blocks that hold something.",
    read: ({ usedBytes }) => usedBytes,
  },
  {
    type: "gauge",
    name: "RestoreProgressPercent",
    prometheus: "restore_progress_percent",
    unit: "Percent",
    merge: "max",
    help: "How far a restored volume has been brought to its disk; absent where nothing is to be brought.",
    read: ({ restoreProgress }) => (restoreProgress === undefined ? undefined : 100 * restoreProgress),
  },
  {
    type: "gauge",
    name: "Initiators",
    prometheus: "initiators",
    unit: "Count",
    merge: "max",
    help: "Initiators that are logged in to the volume.",
    read: ({ initiators }) => initiators,
  },
];

const gatewayGauge = (
  name: string,
  prometheus: string,
  unit: Unit,
  help: string,
  read: (gateway: GatewaySample) => number | undefined,
): GaugeMetric<GatewaySample> => ({
  type: "gauge",
  name,
  prometheus,
  unit,
  merge: "max",
  help,
  read,
});

export const GATEWAY_METRICS: readonly Metric<GatewaySample>[] = [
  ...ioMetrics<GatewaySample>(({ totals }) => totals, "the gateway's volumes"),
  ...cloudMetrics<GatewaySample>("the gateway"),
  gatewayGauge(
    "TotalCacheSize",
    "total_cache_size_bytes",
    "Bytes",
    "Size of the gateway's cache.",
    (g) => g.cacheAllocatedBytes,
  ),
  gatewayGauge(
    "CacheUsed",
    "cache_used_bytes",
    "Bytes",
    "Bytes of the cache that hold something.",
    (g) => g.cacheUsedBytes,
  ),
  gatewayGauge(
    "CachePercentUsed",
    "cache_percent_used",
    "Percent",
    "Share of the cache that holds something; absent without a cache.",
    (g) => percent(g.cacheUsedBytes, g.cacheAllocatedBytes),
  ),
  gatewayGauge(
    "CachePercentDirty",
    "cache_percent_dirty",
    "Percent",
    "Share of the cache that is not in the bucket yet; absent without a cache.",
    (g) => percent(g.cacheDirtyBytes, g.cacheAllocatedBytes),
  ),
  gatewayGauge(
    "UploadBufferUsed",
    "upload_buffer_used_bytes",
    "Bytes",
    "Bytes in use of the gateway's upload buffer.",
    (g) => g.uploadBufferUsedBytes,
  ),
  gatewayGauge(
    "UploadBufferFree",
    "upload_buffer_free_bytes",
    "Bytes",
    "Bytes free in the gateway's upload buffer.",
    (g) => g.uploadBufferAllocatedBytes - g.uploadBufferUsedBytes,
  ),
  gatewayGauge(
    "UploadBufferPercentUsed",
    "upload_buffer_percent_used",
    "Percent",
    "Share of the upload buffer in use; absent without one.",
    (g) => percent(g.uploadBufferUsedBytes, g.uploadBufferAllocatedBytes),
  ),
  gatewayGauge(
    "TimeSinceLastRecoveryPoint",
    "time_since_last_recovery_point_seconds",
    "Seconds",
    "Age of the newest moment in the bucket of the volume that is the furthest behind.",
    (g) =>
      g.totals.oldestRecoveryPointAtMs === undefined
        ? 0
        : secondsSince(g.atMs, g.totals.oldestRecoveryPointAtMs),
  ),
];
