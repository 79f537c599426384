/** What a metric is: how it is named, read, and turned into lines of a history. */
import type { IoFigures } from "../gateway/measurements.ts";
import { ioSince } from "./sample.ts";

/** Units in CloudWatch's words. */
export type Unit = "Bytes" | "Count" | "Milliseconds" | "Percent" | "Seconds";

interface Named {
  /** In GetMetrics. */
  readonly name: string;
  /** In /metrics, behind `sluicegate_volume_`, `sluicegate_gateway_` or `sluicegate_`. */
  readonly prometheus: string;
  readonly unit: Unit;
  readonly help: string;
}

/** Only grows. Its history holds what was added in each interval. */
export interface CounterMetric<Figures> extends Named {
  readonly type: "counter";
  read(now: Figures): number;
}

/** Goes up and down. `before`: the sample one interval ago, for what is a share of what happened since. */
export interface GaugeMetric<Figures> extends Named {
  readonly type: "gauge";
  /** How the values of several intervals become one. */
  readonly merge: "mean" | "max";
  read(now: Figures, before: Figures | undefined): number | undefined;
}

/**
 * Counted I/O with latencies. Its history holds, for a metric named X: X (the mean), XP50, XP99, XP999, in milliseconds,
 * and the number of them under `countName`.
 */
export interface LatencyMetric<Figures> extends Named {
  readonly type: "histogram";
  readonly countName: string;
  read(now: Figures): IoFigures;
}

export type Metric<Figures> = CounterMetric<Figures> | GaugeMetric<Figures> | LatencyMetric<Figures>;

/** What a metric with a table of its own is measured of. */
export type Scope = "Volume" | "Gateway" | "Service";

export const PREFIXES: Readonly<Record<Scope, string>> = {
  Volume: "sluicegate_volume_",
  Gateway: "sluicegate_gateway_",
  Service: "sluicegate_",
};

/** One line of a history. */
export interface Series<Figures> {
  readonly name: string;
  readonly unit: Unit;
  readonly merge: "sum" | "mean" | "max";
  /** The value of the interval between two samples. */
  value(now: Figures, before: Figures | undefined): number | undefined;
}

/** The lines that a metric makes in a history. `quantile`: platform/latency-histogram.ts. */
export function seriesOf<Figures>(
  metric: Metric<Figures>,
  quantile: (counts: ArrayLike<number>, share: number) => number | undefined,
): Series<Figures>[] {
  const { name, unit } = metric;
  if (metric.type === "gauge") return [{ name, unit, merge: metric.merge, value: metric.read }];
  if (metric.type === "counter") {
    const value = (now: Figures, before: Figures | undefined) => {
      const was = before === undefined ? 0 : metric.read(before);
      const is = metric.read(now);
      return is >= was ? is - was : is;
    };
    return [{ name, unit, merge: "sum", value }];
  }
  const since = (now: Figures, before: Figures | undefined) =>
    ioSince(metric.read(now), before === undefined ? undefined : metric.read(before));
  const ms = (us: number | undefined) => (us === undefined ? undefined : us / 1000);
  const share = (suffix: string, part: number): Series<Figures> => ({
    name: `${name}${suffix}`,
    unit,
    merge: "max",
    value: (now, before) => ms(quantile(since(now, before).latencies, part)),
  });
  return [
    {
      name,
      unit,
      merge: "mean",
      value(now, before) {
        const { count, totalUs } = since(now, before);
        return count > 0 ? ms(totalUs / count) : undefined;
      },
    },
    share("P50", 0.5),
    share("P99", 0.99),
    share("P999", 0.999),
    { name: metric.countName, unit: "Count", merge: "sum", value: (now, before) => since(now, before).count },
  ];
}
