/**
 * Metrics in Prometheus' text format (version 0.0.4): names and meanings come from the table, what has labels of its own
 * beside it (requests by operation) is spelled out here.
 */
import { LATENCY_BOUNDS_US } from "../platform/latency-histogram.ts";
import { type Metric, PREFIXES, type Scope } from "./metric.ts";
import { GATEWAY_METRICS, VOLUME_METRICS } from "./metric-table.ts";
import type { Sample } from "./sample.ts";
import { SERVICE_METRICS } from "./service-metrics.ts";

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string>>;
interface Histogram {
  readonly count: number;
  readonly totalUs: number;
  readonly latencies: readonly number[];
}

/** What is beside the table: name, type, help. */
export const FURTHER_FAMILIES = {
  sluicegate_build_info: ["gauge", "1, with the version of the gateway."],
  sluicegate_start_time_seconds: ["gauge", "When the gateway started, in seconds since the Unix epoch."],
  sluicegate_cpu_seconds_total: ["counter", "Processor time that the gateway has taken."],
  sluicegate_gateway_info: ["gauge", "1, with the name of the gateway."],
  sluicegate_volume_info: ["gauge", "1, with the kind of the volume."],
  sluicegate_store_request_seconds: [
    "histogram",
    "Time that requests to the bucket took, each attempt by itself, by operation.",
  ],
  sluicegate_store_failures_total: [
    "counter",
    "Requests to the bucket that got no answer or were refused, by operation.",
  ],
  sluicegate_store_bytes_total: ["counter", "Bytes of objects sent and fetched, by operation."],
  sluicegate_api_request_seconds: [
    "histogram",
    "Time that requests to the API took, by service and operation.",
  ],
  sluicegate_api_errors_total: [
    "counter",
    "Requests to the API that were answered with an error, by service, operation and whose fault it was.",
  ],
} as const;

class Writer {
  readonly #lines: string[] = [];

  family(name: string, type: string, help: string): void {
    this.#lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", " ")}`);
    this.#lines.push(`# TYPE ${name} ${type}`);
  }

  value(name: string, labels: Labels, value: number): void {
    this.#lines.push(`${name}${spell(labels)} ${value}`);
  }

  /** Every second bound: a factor of four between them keeps many volumes small to read. */
  histogram(name: string, labels: Labels, { count, totalUs, latencies }: Histogram): void {
    let below = 0;
    for (const [i, boundUs] of LATENCY_BOUNDS_US.entries()) {
      below += latencies[i] ?? 0;
      if (i % 2 === 0) this.value(`${name}_bucket`, { ...labels, le: String(boundUs / 1e6) }, below);
    }
    this.value(`${name}_bucket`, { ...labels, le: "+Inf" }, count);
    this.value(`${name}_sum`, labels, totalUs / 1e6);
    this.value(`${name}_count`, labels, count);
  }

  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

/** Everything that a sample holds; `before` is the one recorded before it. */
export function exposition(now: Sample, before: Sample | undefined): string {
  const writer = new Writer();
  put(writer, "Service", SERVICE_METRICS, [{ labels: {}, now: now.service, before: before?.service }]);
  put(
    writer,
    "Gateway",
    GATEWAY_METRICS,
    [...now.gateways].map(([id, gateway]) => ({
      ...{ labels: { gateway_id: id, gateway_name: gateway.name }, now: gateway },
      before: before?.gateways.get(id),
    })),
  );
  put(
    writer,
    "Volume",
    VOLUME_METRICS,
    [...now.volumes].map(([id, volume]) => ({
      ...{ labels: { gateway_id: volume.gatewayId, volume_id: id }, now: volume },
      before: before?.volumes.get(id),
    })),
  );
  putFurther(writer, now);
  return writer.text;
}

function put<Figures>(
  writer: Writer,
  scope: Scope,
  metrics: readonly Metric<Figures>[],
  all: readonly { readonly labels: Labels; readonly now: Figures; readonly before: Figures | undefined }[],
): void {
  for (const metric of metrics) {
    const name = `${PREFIXES[scope]}${metric.prometheus}`;
    writer.family(name, metric.type, metric.help);
    for (const { labels, now, before } of all) {
      if (metric.type === "histogram") {
        writer.histogram(name, labels, metric.read(now));
        continue;
      }
      const value = metric.type === "counter" ? metric.read(now) : metric.read(now, before);
      if (value !== undefined) writer.value(name, labels, value);
    }
  }
}

function putFurther(writer: Writer, { service, gateways, volumes }: Sample): void {
  const family = (name: keyof typeof FURTHER_FAMILIES) => {
    const [type, help] = FURTHER_FAMILIES[name];
    writer.family(name, type, help);
    return {
      value: (labels: Labels, value: number) => writer.value(name, labels, value),
      histogram: (labels: Labels, figures: Histogram) => writer.histogram(name, labels, figures),
    };
  };
  const { process } = service;
  family("sluicegate_build_info").value({ version: process.version }, 1);
  family("sluicegate_start_time_seconds").value({}, process.startedAtMs / 1000);
  family("sluicegate_cpu_seconds_total").value({}, process.cpuSeconds);
  const gatewayInfo = family("sluicegate_gateway_info");
  for (const [id, { name }] of gateways) gatewayInfo.value({ gateway_id: id, gateway_name: name }, 1);
  const volumeInfo = family("sluicegate_volume_info");
  for (const [id, { kind, gatewayId }] of volumes)
    volumeInfo.value({ gateway_id: gatewayId, volume_id: id, kind }, 1);
  const storeTimes = family("sluicegate_store_request_seconds");
  for (const each of service.requests) storeTimes.histogram({ operation: each.operation }, each);
  const storeFailures = family("sluicegate_store_failures_total");
  for (const { operation, failed } of service.requests) storeFailures.value({ operation }, failed);
  const storeBytes = family("sluicegate_store_bytes_total");
  for (const { operation, bytes } of service.requests) storeBytes.value({ operation }, bytes);
  const apiTimes = family("sluicegate_api_request_seconds");
  for (const { service: name, operation, requests, totalUs, latencies } of service.api)
    apiTimes.histogram({ service: name, operation }, { count: requests, totalUs, latencies });
  const apiErrors = family("sluicegate_api_errors_total");
  for (const { service: name, operation, clientErrors, serverErrors } of service.api) {
    apiErrors.value({ service: name, operation, fault: "client" }, clientErrors);
    apiErrors.value({ service: name, operation, fault: "server" }, serverErrors);
  }
}

/** `{name="value"}`; nothing where there are no labels. */
function spell(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
