/** Takes samples of everything that is measured, keeps an hour of them, and answers what they were. */
import type { BackupFigures, DataFigures, MeasuredPlane } from "../gateway/measurements.ts";
import type { Clock } from "../platform/clock.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { latencyQuantile } from "../platform/latency-histogram.ts";
import { within } from "./deadline.ts";
import { History, INTERVAL_MS, merged } from "./history.ts";
import { HistoryKeeper, lineOf, type Merge } from "./history-keeper.ts";
import { type DatedRow, type LongHistory, TIER_MS, type Tier } from "./long-history.ts";
import { type Scope, type Series, seriesOf, type Unit } from "./metric.ts";
import { GATEWAY_METRICS, VOLUME_METRICS } from "./metric-table.ts";
import {
  type ApiFigures,
  type GatewaySample,
  type ProcessFigures,
  type Sample,
  type SnapshotFigures,
  totalsOf,
  type VaultFigures,
  type VolumeSample,
} from "./sample.ts";
import { SERVICE_METRICS } from "./service-metrics.ts";
import { Tally } from "./tally.ts";

export interface MetricsOptions {
  readonly plane: MeasuredPlane;
  /** The gateways by name, and the snapshots of each volume. */
  readonly catalogFigures: () => Promise<{
    readonly gatewayNames: ReadonlyMap<GatewayId, string>;
    readonly snapshots: ReadonlyMap<VolumeId, SnapshotFigures>;
  }>;
  readonly vaultFigures: () => VaultFigures;
  readonly apiFigures: () => readonly ApiFigures[];
  readonly processFigures: () => ProcessFigures;
  readonly clock: Clock;
  /** Where it is kept for longer, and over restarts; without it there is an hour. `close` closes it. */
  readonly long?: LongHistory;
  readonly onProblem: (message: string, error: unknown) => void;
  /** Told of every sample that goes into the history. */
  readonly onSample?: (sample: Sample) => void;
}

/** Which lines of the history are wanted. */
export interface MetricsQuery {
  readonly scope: Scope;
  /** Of gateways or volumes; all of them without it. */
  readonly ids?: readonly string[];
  /** All lines without it. */
  readonly names?: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
  /** A multiple of `INTERVAL_MS`. */
  readonly periodMs: number;
}

export interface MetricsAnswer {
  /** When each period ended. */
  readonly timesMs: readonly number[];
  readonly resources: readonly {
    readonly id: string;
    readonly lines: readonly {
      readonly name: string;
      readonly unit: Unit;
      /** One for each time; null where nothing was measured. */
      readonly values: readonly (number | null)[];
    }[];
  }[];
}

/** An answer of a worker that takes longer is not waited for. */
const FIGURES_MS_MAX = 5_000;
/** A sample younger than this answers `/metrics` too. */
const FRESH_MS = 1_000;

function periodEnd(atMs: number, periodMs: number): number {
  return Math.ceil(atMs / periodMs) * periodMs;
}

/** The id of the whole service in the history. */
export const SERVICE_ID = "service";

const SERIES: Readonly<Record<Scope, readonly Series<never>[]>> = {
  Volume: VOLUME_METRICS.flatMap((metric) => seriesOf(metric, latencyQuantile)),
  Gateway: GATEWAY_METRICS.flatMap((metric) => seriesOf(metric, latencyQuantile)),
  Service: SERVICE_METRICS.flatMap((metric) => seriesOf(metric, latencyQuantile)),
};

/** How intervals become one, by the line: of one name it is the same in all scopes. */
const MERGES: ReadonlyMap<string, Merge> = new Map(
  Object.values(SERIES).flatMap((all) => all.map(({ name, merge }) => [name, merge] as const)),
);

/** The lines that a scope has. */
export function linesOf(scope: Scope): readonly { readonly name: string; readonly unit: Unit }[] {
  return SERIES[scope];
}

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #history = new History();
  readonly #keeper: HistoryKeeper | undefined;
  readonly #tally = new Tally();
  #last: Sample | undefined;
  /** The sample before the last one of the history. */
  #before: Sample | undefined;
  #recorded: Sample | undefined;
  #running: Promise<Sample> | undefined;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: MetricsOptions) {
    this.#options = options;
    if (options.long !== undefined)
      this.#keeper = new HistoryKeeper(this.#history, options.long, options.onProblem);
  }

  /** From now on a sample is taken every 10 s; resolves when the first one has been. */
  async start(): Promise<void> {
    this.#keeper?.restore(this.#options.clock.nowMs(), (name) => MERGES.get(name) ?? "mean");
    await this.#tick();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#keeper?.close();
  }

  /** A sample that is at most a second old, and the one that was recorded before it. Rejects where a worker gives none. */
  async current(): Promise<{ readonly now: Sample; readonly before: Sample | undefined }> {
    const last = this.#last;
    const isFresh = last !== undefined && this.#options.clock.nowMs() - last.atMs < FRESH_MS;
    const now = isFresh ? last : await this.#sample();
    return { now, before: now === this.#recorded ? this.#before : this.#recorded };
  }

  /**
   * What was measured, period by period. A period of a minute or more is also answered of before this start, one of an hour
   * or more of the last months.
   */
  query(query: MetricsQuery): MetricsAnswer {
    const wanted = query.names === undefined ? undefined : new Set(query.names);
    const lines = (SERIES[query.scope] as readonly Series<unknown>[]).filter(
      ({ name }) => wanted?.has(name) ?? true,
    );
    const keptMs = this.#keptRange(query);
    const found = (query.ids ?? this.ids(query.scope)).map((id) => ({
      id,
      points: this.#points(id, query, keptMs),
    }));
    const ends = new Set<number>();
    for (const { points } of found)
      for (const { atMs } of points.dated) ends.add(periodEnd(atMs, query.periodMs));
    const timesMs = [...ends].sort((a, b) => a - b);
    return {
      timesMs,
      resources: found.map(({ id, points }) => {
        const places = Map.groupBy(points.dated.keys(), (i) =>
          periodEnd(points.dated[i]?.atMs ?? 0, query.periodMs),
        );
        return {
          id,
          lines: lines.map(({ name, unit, merge }) => {
            const line = points.line(name);
            return {
              name,
              unit,
              values: timesMs.map((at) => merged(line, places.get(at) ?? [], merge) ?? null),
            };
          }),
        };
      }),
    };
  }

  /** How much of a query the long history answers: up to when its rows go. */
  #keptRange({ periodMs }: MetricsQuery): { readonly tier: Tier; readonly untilMs: number }[] {
    const keeper = this.#keeper;
    if (keeper === undefined || periodMs < TIER_MS.minute) return [];
    const minutes = { tier: "minute" as const, untilMs: keeper.keptUntilMs("minute") };
    if (periodMs < TIER_MS.hour) return [minutes];
    return [{ tier: "hour" as const, untilMs: keeper.keptUntilMs("hour") }, minutes];
  }

  /** What there is of a resource in a range, from the coarsest and oldest to what is in memory. */
  #points(
    id: string,
    { fromMs, toMs }: MetricsQuery,
    kept: readonly { readonly tier: Tier; readonly untilMs: number }[],
  ): { readonly dated: readonly { readonly atMs: number }[]; line(name: string): Float32Array } {
    let sinceMs = fromMs;
    const rows: DatedRow[] = [];
    for (const { tier, untilMs } of kept) {
      rows.push(...(this.#keeper?.query(tier, id, sinceMs, Math.min(untilMs, toMs)) ?? []));
      sinceMs = Math.max(sinceMs, untilMs);
    }
    const recent = this.#history.intervals(sinceMs, toMs);
    return {
      dated: [...rows, ...recent],
      line: (name) => {
        const ring = this.#history.line(id, name);
        return Float32Array.from([
          ...lineOf(rows, name),
          ...recent.map(({ place }) => ring?.[place] ?? Number.NaN),
        ]);
      },
    };
  }

  /** What there is to be asked for. */
  ids(scope: Scope): string[] {
    if (scope === "Service") return [SERVICE_ID];
    return [...((scope === "Volume" ? this.#last?.volumes : this.#last?.gateways)?.keys() ?? [])];
  }

  async #tick(): Promise<void> {
    const beganMs = this.#options.clock.monotonicMs();
    try {
      this.#record(await this.#sample());
    } catch (error) {
      if (!this.#closed) this.#options.onProblem("no metrics this time", error);
    }
    if (this.#closed) return;
    const tookMs = this.#options.clock.monotonicMs() - beganMs;
    this.#cancel = this.#options.clock.after(Math.max(0, INTERVAL_MS - tookMs), () => void this.#tick());
  }

  #record(sample: Sample): void {
    const before = this.#recorded;
    this.#before = before;
    this.#recorded = sample;
    this.#history.advance(sample.atMs);
    const put = <Figures>(scope: Scope, id: string, now: Figures, was: Figures | undefined) => {
      for (const series of SERIES[scope] as readonly Series<Figures>[])
        this.#history.set(id, series.name, series.value(now, was));
    };
    put("Service", SERVICE_ID, sample.service, before?.service);
    for (const [id, gateway] of sample.gateways) put("Gateway", id, gateway, before?.gateways.get(id));
    for (const [id, volume] of sample.volumes) put("Volume", id, volume, before?.volumes.get(id));
    this.#history.keep(new Set<string>([SERVICE_ID, ...sample.gateways.keys(), ...sample.volumes.keys()]));
    const kept = (scope: Scope, ids: Iterable<string>) =>
      [...ids].map((id) => ({ id, lines: SERIES[scope] }));
    this.#keeper?.keep(sample.atMs, [
      ...kept("Service", [SERVICE_ID]),
      ...kept("Gateway", sample.gateways.keys()),
      ...kept("Volume", sample.volumes.keys()),
    ]);
    this.#options.onSample?.(sample);
  }

  #sample(): Promise<Sample> {
    this.#running ??= this.#take().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #take(): Promise<Sample> {
    const { plane, clock, catalogFigures } = this.#options;
    const [data, backup, catalog] = await Promise.all([
      within(clock, FIGURES_MS_MAX, "the data worker", plane.dataFigures()),
      within(clock, FIGURES_MS_MAX, "the backup worker", plane.backupFigures()),
      within(clock, FIGURES_MS_MAX, "the catalog", catalogFigures()),
    ]);
    this.#last = this.#compose(data, backup, catalog.gatewayNames, catalog.snapshots);
    return this.#last;
  }

  #compose(
    data: DataFigures,
    backup: BackupFigures,
    gatewayNames: ReadonlyMap<GatewayId, string>,
    snapshots: ReadonlyMap<VolumeId, SnapshotFigures>,
  ): Sample {
    const { clock, vaultFigures, apiFigures, processFigures } = this.#options;
    const atMs = clock.nowMs();
    const cloudOf = new Map(backup.volumes.map(({ volumeId, ...cloud }) => [volumeId, cloud]));
    const volumes = new Map<VolumeId, VolumeSample>();
    for (const figures of data.volumes) {
      const { volumeId } = figures;
      volumes.set(volumeId, {
        ...figures,
        atMs,
        cloud: cloudOf.get(volumeId) ?? { uploaded: 0, downloaded: 0 },
        snapshots: snapshots.get(volumeId) ?? { completed: 0, pending: 0, failed: 0 },
      });
    }
    this.#tally.take(volumes);
    const gateways = new Map<GatewayId, GatewaySample>();
    for (const figures of data.gateways) {
      const { gatewayId } = figures;
      const name = gatewayNames.get(gatewayId);
      if (name === undefined) continue;
      const own = [...volumes.values()].filter((volume) => volume.gatewayId === gatewayId);
      const totals = totalsOf(own, this.#tally.gateway(gatewayId));
      gateways.set(gatewayId, { ...figures, atMs, name, cloud: totals.cloud, totals });
    }
    const totals = totalsOf([...volumes.values()], this.#tally.service);
    const service = {
      ...{ atMs, totals, cloud: totals.cloud, requests: backup.requests, store: backup.store },
      ...{ dataWorkerUtilization: data.utilization, backupWorkerUtilization: backup.utilization },
      ...{ vault: vaultFigures(), api: apiFigures(), process: processFigures() },
    };
    return { atMs, service, gateways, volumes };
  }
}
