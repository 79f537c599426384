/** Charts of what the gateway measures; they go on by themselves. */
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import LineChart from "@cloudscape-design/components/line-chart";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { type ReactNode, useState } from "react";
import { type Measured, type MetricScope, useMetrics } from "../api/metrics.ts";
import { bytes, count, percent, time } from "./format.ts";
import { Problem } from "./problem.tsx";

interface Line {
  readonly metric: string;
  readonly title: string;
  /** Shown per second, of what was counted in a period. */
  readonly isRate?: boolean;
}

interface Chart {
  readonly title: string;
  readonly description: string;
  readonly format: (value: number) => string;
  /** The axis reaches at least so far. */
  readonly floor: number;
  /** The axis is marked in steps of 1024. */
  readonly isBinary?: boolean;
  readonly lines: readonly Line[];
}

const milliseconds = (value: number) =>
  value === 0 ? "0" : `${value < 10 ? Number(value.toPrecision(2)) : value.toFixed(0)} ms`;
const perSecond = (value: number) => `${count(Math.round(value))}/s`;
const bytesRate = (value: number) => `${bytes(value)}/s`;

const THROUGHPUT: Chart = {
  title: "Throughput",
  description: "What servers read and write.",
  format: bytesRate,
  floor: 4096,
  isBinary: true,
  lines: [
    { metric: "ReadBytes", title: "Read", isRate: true },
    { metric: "WriteBytes", title: "Written", isRate: true },
  ],
};
const IOPS: Chart = {
  title: "Operations",
  description: "Reads, writes and flushes per second.",
  format: perSecond,
  floor: 4,
  lines: [
    { metric: "ReadOperations", title: "Reads", isRate: true },
    { metric: "WriteOperations", title: "Writes", isRate: true },
    { metric: "FlushOperations", title: "Flushes", isRate: true },
  ],
};
const LATENCY: Chart = {
  title: "Latency",
  description: "Half of the operations are faster than p50, all but one in a hundred faster than p99.",
  format: milliseconds,
  floor: 1,
  lines: [
    { metric: "ReadTimeP50", title: "Read p50" },
    { metric: "ReadTimeP99", title: "Read p99" },
    { metric: "WriteTimeP50", title: "Write p50" },
    { metric: "WriteTimeP99", title: "Write p99" },
  ],
};
const BACKLOG: Chart = {
  title: "Not in the bucket yet",
  description: "What was written here and is still to be uploaded.",
  format: bytes,
  floor: 4096,
  isBinary: true,
  lines: [{ metric: "UnsavedBytes", title: "To be uploaded" }],
};
const CACHE: Chart = {
  title: "Cache hits",
  description: "Share of reads that needed no bucket.",
  format: (value) => percent(value),
  floor: 100,
  lines: [{ metric: "CacheHitPercent", title: "Hits" }],
};
const BUCKET: Chart = {
  title: "To and from the bucket",
  description: "Compressed and encrypted, as it goes over the line.",
  format: bytesRate,
  floor: 4096,
  isBinary: true,
  lines: [
    { metric: "CloudBytesUploaded", title: "Sent", isRate: true },
    { metric: "CloudBytesDownloaded", title: "Fetched", isRate: true },
  ],
};
const VAULT: Chart = {
  title: "Vault",
  description: "Bytes of all records in the bucket, looked at every hour.",
  format: bytes,
  floor: 4096,
  isBinary: true,
  lines: [{ metric: "VaultStoredBytes", title: "In the vault" }],
};

const CHARTS: Readonly<Record<"volume" | "stored volume" | "service" | "vault", readonly Chart[]>> = {
  volume: [THROUGHPUT, IOPS, LATENCY, BACKLOG, CACHE, BUCKET],
  "stored volume": [THROUGHPUT, IOPS, LATENCY, BACKLOG, BUCKET],
  service: [THROUGHPUT, BACKLOG],
  vault: [VAULT, BUCKET],
};

const RANGES = [
  { id: "5", text: "5 minutes" },
  { id: "15", text: "15 minutes" },
  { id: "60", text: "1 hour" },
  { id: "1440", text: "1 day" },
  { id: "10080", text: "7 days" },
  { id: "129600", text: "90 days" },
];
const DAY_MINUTES = 1440;

export function Charts(props: {
  what: keyof typeof CHARTS;
  scope: MetricScope;
  arn?: string;
  minutes?: string;
}): ReactNode {
  const charts = CHARTS[props.what];
  const [minutes, setMinutes] = useState(props.minutes ?? "15");
  const names = charts.flatMap(({ lines }) => lines.map(({ metric }) => metric));
  const measured = useMetrics(props.scope, props.arn, names, Number(minutes));
  if (measured.error !== null && measured.data === undefined) {
    return <Problem what="The charts" error={measured.error} retry={measured.refetch} />;
  }
  return (
    <SpaceBetween size="m">
      <SegmentedControl
        label="Range"
        selectedId={minutes}
        options={RANGES}
        onChange={({ detail }) => setMinutes(detail.selectedId)}
      />
      <div className="charts">
        {charts.map((chart) => (
          <OneChart key={chart.title} chart={chart} measured={measured.data} minutes={Number(minutes)} />
        ))}
      </div>
    </SpaceBetween>
  );
}

const HEIGHT_PX = 180;
const PERCENT_MAX = 100;
const HEADROOM = 1.1;
const TIMES_APART_MS = 60_000;

function OneChart(props: { chart: Chart; measured: Measured | undefined; minutes: number }): ReactNode {
  const { chart, measured, minutes } = props;
  const lines = chart.lines.map((line) => ({ title: line.title, points: pointsOf(line, measured) }));
  const highest = Math.max(chart.floor, ...lines.flatMap(({ points }) => points.map(({ y }) => y)));
  // Round marks: the axis counts in the unit that it shows.
  const unit = chart.isBinary === true ? 1024 ** Math.floor(Math.log2(highest) / 10) : 1;
  const format = (value: number) => chart.format(value * unit);
  const series = lines
    .filter(({ points }) => points.length > 0)
    .map(({ title, points }) => ({
      title,
      type: "line" as const,
      valueFormatter: format,
      data: points.map(({ x, y }) => ({ x, y: y / unit })),
    }));
  const last = measured?.times.at(-1) ?? new Date();
  const top = chart.floor === PERCENT_MAX ? PERCENT_MAX : (highest / unit) * HEADROOM;
  return (
    <Container
      fitHeight
      header={
        <Header variant="h3" description={chart.description}>
          {chart.title}
        </Header>
      }
    >
      <LineChart
        series={series}
        height={HEIGHT_PX}
        hideFilter
        xScaleType="time"
        xDomain={[new Date(last.getTime() - minutes * TIMES_APART_MS), last]}
        yDomain={[0, top]}
        ariaLabel={chart.title}
        statusType={measured === undefined ? "loading" : "finished"}
        loadingText="Loading"
        i18nStrings={{
          // Within a day the hour, beyond it the day.
          xTickFormatter: (date) =>
            minutes > DAY_MINUTES ? time(date).slice(5, 10) : time(date).slice(11, 16),
          yTickFormatter: format,
        }}
        empty={
          <Box textAlign="center" color="text-body-secondary">
            Nothing was measured in this time.
          </Box>
        }
      />
    </Container>
  );
}

function pointsOf(line: Line, measured: Measured | undefined): { x: Date; y: number }[] {
  if (measured === undefined) return [];
  const values = measured.values.get(line.metric) ?? [];
  const points = measured.times.flatMap((x, i) => {
    const value = values[i];
    if (value === null || value === undefined) return [];
    return [{ x, y: line.isRate === true ? value / measured.periodSeconds : value }];
  });
  const [only] = points;
  if (only === undefined || points.length > 1) return points;
  // One point is no line: it stands for its whole period.
  return [{ ...only, x: new Date(only.x.getTime() - measured.periodSeconds * 1000) }, only];
}
