/** The metrics of the whole service: see metric-table.ts. */
import { cloudMetrics, ioMetrics } from "./io-metrics.ts";
import type { GaugeMetric, Metric, Unit } from "./metric.ts";
import { type ServiceSample, secondsSince } from "./sample.ts";

const serviceGauge = (
  name: string,
  prometheus: string,
  unit: Unit,
  help: string,
  read: (service: ServiceSample, before: ServiceSample | undefined) => number | undefined,
  merge: "mean" | "max" = "max",
): GaugeMetric<ServiceSample> => ({
  type: "gauge",
  name,
  prometheus,
  unit,
  merge,
  help,
  read,
});

const requests = (service: ServiceSample, of: (each: ServiceSample["requests"][number]) => number) =>
  service.requests.reduce((sum, each) => sum + of(each), 0);

export const SERVICE_METRICS: readonly Metric<ServiceSample>[] = [
  ...ioMetrics<ServiceSample>(({ totals }) => totals, "all volumes"),
  ...cloudMetrics<ServiceSample>("all volumes"),
  serviceGauge("Volumes", "volumes", "Count", "Volumes that are open.", ({ totals }) => totals.volumes),
  serviceGauge(
    "UnhealthyVolumes",
    "unhealthy_volumes",
    "Count",
    "Volumes that have stopped.",
    ({ totals }) => totals.unhealthyVolumes,
  ),
  serviceGauge(
    "Initiators",
    "initiators",
    "Count",
    "Initiators that are logged in.",
    ({ totals }) => totals.initiators,
  ),
  serviceGauge(
    "CompletedSnapshots",
    "completed_snapshots",
    "Count",
    "Snapshots of the volumes there are.",
    ({ totals }) => totals.snapshots.completed,
  ),
  serviceGauge(
    "PendingSnapshots",
    "pending_snapshots",
    "Count",
    "Snapshots whose upload has not ended.",
    ({ totals }) => totals.snapshots.pending,
  ),
  serviceGauge(
    "FailedSnapshots",
    "failed_snapshots",
    "Count",
    "Snapshots that ended in error and were not deleted.",
    ({ totals }) => totals.snapshots.failed,
  ),
  serviceGauge(
    "StoreReachable",
    "store_reachable",
    "Count",
    "1 while the bucket answers, 0 while it does not; absent before the first request.",
    ({ store }) => (store.state === "unknown" ? undefined : store.state === "reachable" ? 1 : 0),
  ),
  {
    type: "counter",
    name: "StoreRequests",
    prometheus: "store_requests_all_total",
    unit: "Count",
    help: "Requests to the bucket, of all kinds.",
    read: (service) => requests(service, ({ count }) => count),
  },
  {
    type: "counter",
    name: "StoreFailures",
    prometheus: "store_failures_all_total",
    unit: "Count",
    help: "Requests to the bucket that got no answer or were refused, of all kinds.",
    read: (service) => requests(service, ({ failed }) => failed),
  },
  serviceGauge(
    "CloudDownloadLatency",
    "cloud_download_latency_milliseconds",
    "Milliseconds",
    "Mean time of the GET requests of the last 10 s; absent while there is none.",
    (now, before) => {
      const get = ({ requests: all }: ServiceSample) => all.find(({ operation }) => operation === "get");
      const [after, was] = [get(now), before && get(before)];
      if (after === undefined) return undefined;
      const count = after.count - (was?.count ?? 0);
      return count > 0 ? (after.totalUs - (was?.totalUs ?? 0)) / count / 1000 : undefined;
    },
    "mean",
  ),
  serviceGauge(
    "VaultPacks",
    "vault_packs",
    "Count",
    "Packs in the vault, as the last collection or verification found them.",
    ({ vault }) => vault.packs,
  ),
  serviceGauge(
    "VaultBytes",
    "vault_bytes",
    "Bytes",
    "Bytes of the packs in the vault, as the last collection found them.",
    ({ vault }) => vault.packBytes,
  ),
  serviceGauge(
    "VaultStoredBytes",
    "vault_stored_bytes",
    "Bytes",
    "Bytes of all records in the vault, as the local index has them; looked at every hour.",
    ({ vault }) => vault.storedBytes,
  ),
  {
    type: "counter",
    name: "VaultFreedBytes",
    prometheus: "vault_freed_bytes_total",
    unit: "Bytes",
    help: "Bytes that collections of garbage have given back since the start.",
    read: ({ vault }) => vault.freedBytes,
  },
  serviceGauge(
    "TimeSinceLastCollection",
    "vault_time_since_last_collection_seconds",
    "Seconds",
    "Age of the last collection of garbage that ended well; absent where there was none since the start.",
    ({ atMs, vault }) =>
      vault.collectedAtMs === undefined ? undefined : secondsSince(atMs, vault.collectedAtMs),
  ),
  serviceGauge(
    "CollectionFailed",
    "vault_collection_failed",
    "Count",
    "1 where the last collection of garbage has failed.",
    ({ vault }) => (vault.collectionFailed === undefined ? undefined : Number(vault.collectionFailed)),
  ),
  serviceGauge(
    "TimeSinceLastVerification",
    "vault_time_since_last_verification_seconds",
    "Seconds",
    "Age of the last verification that ran to its end; absent where there was none since the start.",
    ({ atMs, vault }) =>
      vault.verifiedAtMs === undefined ? undefined : secondsSince(atMs, vault.verifiedAtMs),
  ),
  serviceGauge(
    "VerificationFailed",
    "vault_verification_failed",
    "Count",
    "1 where the last verification could not run to its end.",
    ({ vault }) => (vault.verificationFailed === undefined ? undefined : Number(vault.verificationFailed)),
  ),
  serviceGauge(
    "DamagedObjects",
    "vault_problems",
    "Count",
    "Problems that the last verification has found.",
    ({ vault }) => vault.damagedObjects,
  ),
  {
    type: "counter",
    name: "ApiRequests",
    prometheus: "api_requests_all_total",
    unit: "Count",
    help: "Requests to the API, of all operations.",
    read: ({ api }) => api.reduce((sum, each) => sum + each.requests, 0),
  },
  serviceGauge(
    "DataWorkerPercent",
    "data_worker_percent",
    "Percent",
    "Share of its time that the thread that serves I/O was at work.",
    (now) => 100 * now.dataWorkerUtilization,
    "mean",
  ),
  serviceGauge(
    "BackupWorkerPercent",
    "backup_worker_percent",
    "Percent",
    "Share of its time that the thread that talks to the bucket was at work.",
    (now) => 100 * now.backupWorkerUtilization,
    "mean",
  ),
  serviceGauge(
    "UserCpuPercent",
    "cpu_percent",
    "Percent",
    "Processor time that the gateway took in the last 10 s, in percent of one processor.",
    (now, before) => {
      if (before === undefined || now.atMs <= before.atMs) return undefined;
      return (100 * (now.process.cpuSeconds - before.process.cpuSeconds)) / ((now.atMs - before.atMs) / 1000);
    },
    "mean",
  ),
  serviceGauge(
    "MemUsedBytes",
    "memory_resident_bytes",
    "Bytes",
    "Memory that the gateway holds.",
    (now) => now.process.residentBytes,
  ),
];
