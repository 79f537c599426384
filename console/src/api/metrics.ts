/** What the gateway measures and has measured, in periods. */
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import { CALM_MS } from "./queries.ts";

export type MetricScope = "Service" | "Gateway" | "Volume";

export interface Measured {
  readonly times: readonly Date[];
  readonly periodSeconds: number;
  /** By metric; null where there was nothing to measure. */
  readonly values: ReadonlyMap<string, readonly (number | null)[]>;
}

interface Answer {
  readonly PeriodInSeconds: number;
  readonly Timestamps: readonly number[];
  readonly Resources: readonly {
    readonly ResourceARN?: string;
    readonly Metrics: readonly { readonly MetricName: string; readonly Values: readonly (number | null)[] }[];
  }[];
}

/** How volumes stand now, by their ARNs: seconds since the newest snapshot, and bytes that are not in the bucket yet. */
export function useVolumeStates(): ReadonlyMap<string, VolumeState> {
  const { own } = useClients();
  const found = useQuery({
    queryKey: ["volume-states"],
    refetchInterval: CALM_MS,
    queryFn: () =>
      own<Answer>("GetMetrics", {
        Scope: "Volume",
        MetricNames: ["TimeSinceLastSnapshot", "UnsavedBytes"],
        StartTime: Math.floor(Date.now() / 1000) - RECENT_SECONDS,
      }),
  }).data;
  return new Map(
    found?.Resources.map(({ ResourceARN = "", Metrics }) => {
      const last = (name: string) =>
        Metrics.find(({ MetricName }) => MetricName === name)?.Values.findLast((value) => value !== null) ??
        undefined;
      return [
        ResourceARN,
        { sinceSnapshotSeconds: last("TimeSinceLastSnapshot"), unsavedBytes: last("UnsavedBytes") },
      ];
    }),
  );
}

export interface VolumeState {
  readonly sinceSnapshotSeconds: number | undefined;
  readonly unsavedBytes: number | undefined;
}

/** Three of the gateway's samples. */
const RECENT_SECONDS = 40;
const HOUR_MINUTES = 60;
const DAY_MINUTES = 24 * HOUR_MINUTES;

/** Some hundred periods in a range; those of an hour or more go back for months, shorter ones for a day. */
function periodSeconds(minutes: number): number {
  if (minutes <= 15) return 10;
  if (minutes <= HOUR_MINUTES) return 30;
  if (minutes <= DAY_MINUTES) return 600;
  return minutes <= 7 * DAY_MINUTES ? 3600 : 12 * 3600;
}

/** Metrics of the service, or of one volume or gateway. */
export function useMetrics(
  scope: MetricScope,
  arn: string | undefined,
  names: readonly string[],
  minutes: number,
): UseQueryResult<Measured> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["metrics", scope, arn, names, minutes],
    refetchInterval: CALM_MS,
    placeholderData: keepPreviousData,
    queryFn: async () => {
      const answer = await own<Answer>("GetMetrics", {
        Scope: scope,
        ...(arn !== undefined && { ResourceARNs: [arn] }),
        MetricNames: names,
        StartTime: Math.floor(Date.now() / 1000) - minutes * 60,
        PeriodInSeconds: periodSeconds(minutes),
      });
      const metrics = answer.Resources[0]?.Metrics ?? [];
      return {
        times: answer.Timestamps.map((seconds) => new Date(seconds * 1000)),
        periodSeconds: answer.PeriodInSeconds,
        values: new Map(metrics.map(({ MetricName, Values }) => [MetricName, Values])),
      };
    },
  });
}
