/** Everything that metrics are made of, as it was at one moment. */
import type {
  BackupFigures,
  CloudBytes,
  GatewayFigures,
  IoFigures,
  VolumeFigures,
} from "../gateway/measurements.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";

/** A volume's snapshots. */
export interface SnapshotFigures {
  readonly completed: number;
  readonly pending: number;
  readonly failed: number;
  /** The moment that the newest completed one is of. */
  readonly newestAtMs?: number;
}

export interface VolumeSample extends VolumeFigures {
  readonly atMs: number;
  readonly cloud: CloudBytes;
  readonly snapshots: SnapshotFigures;
}

/** A gateway with what its volumes add up to. */
export interface GatewaySample extends GatewayFigures {
  readonly atMs: number;
  readonly name: string;
  readonly cloud: CloudBytes;
  readonly totals: Totals;
}

/** What volumes add up to. */
export interface Totals extends Counted {
  readonly queuedWrites: number;
  readonly unsavedBytes: number;
  readonly volumes: number;
  readonly unhealthyVolumes: number;
  readonly initiators: number;
  readonly snapshots: Omit<SnapshotFigures, "newestAtMs">;
  /** Of the volume that is the furthest behind, among those with something that is not in the bucket. */
  readonly oldestRecoveryPointAtMs?: number;
}

/** The upkeep of the vault, as of its last jobs. */
export interface VaultFigures {
  readonly packs?: number;
  readonly packBytes?: number;
  /** Bytes of all records, as the local index had them within the last hour. */
  readonly storedBytes?: number;
  readonly collectedAtMs?: number;
  readonly collectionFailed?: boolean;
  readonly freedBytes: number;
  readonly verifiedAtMs?: number;
  readonly verificationFailed?: boolean;
  readonly damagedObjects?: number;
}

/** Requests to one operation of the API. */
export interface ApiFigures {
  readonly service: string;
  readonly operation: string;
  readonly requests: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
  readonly totalUs: number;
  readonly latencies: readonly number[];
}

export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly startedAtMs: number;
  readonly version: string;
}

export interface ServiceSample {
  readonly atMs: number;
  readonly totals: Totals;
  readonly cloud: CloudBytes;
  readonly requests: BackupFigures["requests"];
  readonly store: BackupFigures["store"];
  readonly dataWorkerUtilization: number;
  readonly backupWorkerUtilization: number;
  readonly vault: VaultFigures;
  readonly api: readonly ApiFigures[];
  readonly process: ProcessFigures;
}

export interface Sample {
  readonly atMs: number;
  readonly service: ServiceSample;
  readonly gateways: ReadonlyMap<GatewayId, GatewaySample>;
  readonly volumes: ReadonlyMap<VolumeId, VolumeSample>;
}

/** Adds up how volumes stand; what they have counted is added up by a `Tally`, as volumes come and go. */
export function totalsOf(volumes: readonly VolumeSample[], counted: Counted): Totals {
  const sum = (of: (volume: VolumeSample) => number) => volumes.reduce((total, each) => total + of(each), 0);
  const behind = volumes.filter(({ unsavedBytes }) => unsavedBytes > 0);
  const moments = behind.flatMap(({ recoveryPointAtMs }) => recoveryPointAtMs ?? []);
  return {
    ...counted,
    queuedWrites: sum(({ queuedWrites }) => queuedWrites),
    unsavedBytes: sum(({ unsavedBytes }) => unsavedBytes),
    volumes: volumes.length,
    unhealthyVolumes: sum(({ healthy }) => (healthy ? 0 : 1)),
    initiators: sum(({ initiators }) => initiators),
    snapshots: {
      completed: sum(({ snapshots }) => snapshots.completed),
      pending: sum(({ snapshots }) => snapshots.pending),
      failed: sum(({ snapshots }) => snapshots.failed),
    },
    ...(moments.length > 0 && { oldestRecoveryPointAtMs: Math.min(...moments) }),
  };
}

/** What many volumes have counted together. */
export interface Counted {
  readonly reads: IoFigures;
  readonly writes: IoFigures;
  readonly flushes: IoFigures;
  readonly failedIos: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly cloud: CloudBytes;
}

const NOTHING: IoFigures = { count: 0, bytes: 0, totalUs: 0, latencies: [] };

/** Adds `more` to what was counted. */
export function addCounted(sum: Counted | undefined, more: Counted): Counted {
  if (sum === undefined) return more;
  return {
    reads: addIo(sum.reads, more.reads),
    writes: addIo(sum.writes, more.writes),
    flushes: addIo(sum.flushes, more.flushes),
    failedIos: sum.failedIos + more.failedIos,
    cacheHits: sum.cacheHits + more.cacheHits,
    cacheMisses: sum.cacheMisses + more.cacheMisses,
    cloud: {
      uploaded: sum.cloud.uploaded + more.cloud.uploaded,
      downloaded: sum.cloud.downloaded + more.cloud.downloaded,
    },
  };
}

export const NOTHING_COUNTED: Counted = {
  ...{ reads: NOTHING, writes: NOTHING, flushes: NOTHING },
  ...{ failedIos: 0, cacheHits: 0, cacheMisses: 0, cloud: { uploaded: 0, downloaded: 0 } },
};

/** What a volume has counted since it was last seen. */
export function countedSince(now: VolumeSample, before: VolumeSample | undefined): Counted {
  const since = (of: (volume: VolumeSample) => number) =>
    before === undefined || of(before) > of(now) ? of(now) : of(now) - of(before);
  return {
    reads: ioSince(now.reads, before?.reads),
    writes: ioSince(now.writes, before?.writes),
    flushes: ioSince(now.flushes, before?.flushes),
    failedIos: since(({ failedIos }) => failedIos),
    cacheHits: since(({ cacheHits }) => cacheHits),
    cacheMisses: since(({ cacheMisses }) => cacheMisses),
    cloud: {
      uploaded: since(({ cloud }) => cloud.uploaded),
      downloaded: since(({ cloud }) => cloud.downloaded),
    },
  };
}

function addIo(a: IoFigures, b: IoFigures): IoFigures {
  const classes = Math.max(a.latencies.length, b.latencies.length);
  return {
    count: a.count + b.count,
    bytes: a.bytes + b.bytes,
    totalUs: a.totalUs + b.totalUs,
    latencies: Array.from({ length: classes }, (_, i) => (a.latencies[i] ?? 0) + (b.latencies[i] ?? 0)),
  };
}

/** What was counted between two samples; everything where the process has begun again in between. */
export function ioSince(now: IoFigures, before: IoFigures | undefined): IoFigures {
  if (before === undefined || before.count > now.count) return now;
  return {
    count: now.count - before.count,
    bytes: now.bytes - before.bytes,
    totalUs: now.totalUs - before.totalUs,
    latencies: now.latencies.map((count, i) => count - (before.latencies[i] ?? 0)),
  };
}

/** `part` in percent of `whole`; undefined where there is nothing. */
export function percent(part: number, whole: number): number | undefined {
  return whole > 0 ? (100 * part) / whole : undefined;
}

export function secondsSince(atMs: number, momentMs: number): number {
  return Math.max(0, atMs - momentMs) / 1000;
}
