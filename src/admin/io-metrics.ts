/** Metrics that volumes, gateways and the whole service have alike. */
import type { IoFigures } from "../gateway/measurements.ts";
import type { CounterMetric, Metric, Unit } from "./metric.ts";

interface Io {
  readonly reads: IoFigures;
  readonly writes: IoFigures;
  readonly flushes: IoFigures;
  readonly failedIos: number;
  readonly queuedWrites: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly unsavedBytes: number;
}

/** What all three scopes have: of one volume, of a gateway's volumes, of all volumes. */
export function ioMetrics<Figures>(of: (figures: Figures) => Io, whose: string): Metric<Figures>[] {
  const counter = (
    name: string,
    prometheus: string,
    unit: Unit,
    help: string,
    read: (io: Io) => number,
  ): CounterMetric<Figures> => ({
    type: "counter",
    name,
    prometheus,
    unit,
    help: `${help} ${whose}.`,
    read: (now) => read(of(now)),
  });
  return [
    counter(
      "ReadBytes",
      "read_bytes_total",
      "Bytes",
      "Bytes that initiators read from",
      (io) => io.reads.bytes,
    ),
    counter(
      "WriteBytes",
      "write_bytes_total",
      "Bytes",
      "Bytes that initiators wrote to",
      (io) => io.writes.bytes,
    ),
    {
      type: "histogram",
      name: "ReadTime",
      countName: "ReadOperations",
      prometheus: "read_time_seconds",
      unit: "Milliseconds",
      help: `Time that reads took to be served by ${whose}.`,
      read: (now) => of(now).reads,
    },
    {
      type: "histogram",
      name: "WriteTime",
      countName: "WriteOperations",
      prometheus: "write_time_seconds",
      unit: "Milliseconds",
      help: `Time that writes took to be taken by ${whose}.`,
      read: (now) => of(now).writes,
    },
    {
      type: "histogram",
      name: "FlushTime",
      countName: "FlushOperations",
      prometheus: "flush_time_seconds",
      unit: "Milliseconds",
      help: `Time that flushes took until everything before them was durable on ${whose}.`,
      read: (now) => of(now).flushes,
    },
    counter(
      "FailedOperations",
      "failed_operations_total",
      "Count",
      "Reads, writes and flushes that failed on",
      (io) => io.failedIos,
    ),
    {
      type: "gauge",
      name: "QueuedWrites",
      prometheus: "queued_writes",
      unit: "Count",
      merge: "max",
      help: `Writes that wait to be acknowledged by ${whose}.`,
      read: (now) => of(now).queuedWrites,
    },
    counter("CacheHits", "cache_hits_total", "Count", "Reads served from the cache of", (io) => io.cacheHits),
    counter(
      "CacheMisses",
      "cache_misses_total",
      "Count",
      "Reads that had to ask the bucket for",
      (io) => io.cacheMisses,
    ),
    {
      type: "gauge",
      name: "CacheHitPercent",
      prometheus: "cache_hit_percent",
      unit: "Percent",
      merge: "mean",
      help: `Share of the reads of the last 10 s that the cache served, of ${whose}; absent while nothing is read.`,
      read(now, before) {
        const was = before === undefined ? undefined : of(before);
        const hits = of(now).cacheHits - (was?.cacheHits ?? 0);
        const all = hits + of(now).cacheMisses - (was?.cacheMisses ?? 0);
        return all > 0 ? (100 * hits) / all : undefined;
      },
    },
    {
      type: "gauge",
      name: "UnsavedBytes",
      prometheus: "unsaved_bytes",
      unit: "Bytes",
      merge: "max",
      help: `Bytes of blocks that were written and are not in the bucket yet, of ${whose}.`,
      read: (now) => of(now).unsavedBytes,
    },
  ];
}

export function cloudMetrics<Figures extends { readonly cloud: { uploaded: number; downloaded: number } }>(
  whose: string,
): Metric<Figures>[] {
  return [
    {
      type: "counter",
      name: "CloudBytesUploaded",
      prometheus: "cloud_uploaded_bytes_total",
      unit: "Bytes",
      help: `Bytes of packs, compressed and encrypted, sent to the bucket for ${whose}.`,
      read: ({ cloud }) => cloud.uploaded,
    },
    {
      type: "counter",
      name: "CloudBytesDownloaded",
      prometheus: "cloud_downloaded_bytes_total",
      unit: "Bytes",
      help: `Bytes fetched from the bucket for ${whose}.`,
      read: ({ cloud }) => cloud.downloaded,
    },
  ];
}
