/** GetMetrics, ListMetrics: the last hour of every metric, for charts. */
import type { AdminServices } from "../../admin/admin-services.ts";
import { INTERVAL_MS } from "../../admin/history.ts";
import type { Scope, Unit } from "../../admin/metric.ts";
import { linesOf, SERVICE_ID } from "../../admin/metrics.ts";
import { gatewayArn, parseGatewayArn, parseVolumeArn, volumeArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

type All = Services & AdminServices;

interface Input {
  readonly Scope: Scope;
  /** ARNs of gateways or volumes; all of them without it. */
  readonly ResourceARNs?: readonly string[];
  /** All of the scope without it. */
  readonly MetricNames?: readonly string[];
  /** Seconds since the Unix epoch; without them the last hour. Months back for a period of an hour or more. */
  readonly StartTime?: number;
  readonly EndTime?: number;
  /** A multiple of 10. */
  readonly PeriodInSeconds?: number;
}

interface Output {
  readonly Scope: Scope;
  readonly PeriodInSeconds: number;
  /** When each period ended: seconds since the Unix epoch, oldest first. */
  readonly Timestamps: readonly number[];
  readonly Resources: readonly {
    /** Absent for the whole service. */
    readonly ResourceARN?: string;
    readonly Metrics: readonly {
      readonly MetricName: string;
      readonly Unit: Unit;
      /** One for each timestamp; null where there was nothing to measure. */
      readonly Values: readonly (number | null)[];
    }[];
  }[];
}

const HOUR_MS = 3600_000;
const VALUES_MAX = 500_000;
const RESOURCES_MAX = 100;

/** GetMetrics: what was measured, period by period, of the service, of gateways or of volumes. */
export const getMetrics: Operation<All, Input, Output> = {
  name: "GetMetrics",
  async handle({ clock, metrics, realm, volumes }, input) {
    const { Scope, MetricNames, PeriodInSeconds = INTERVAL_MS / 1000 } = input;
    const periodMs = PeriodInSeconds * 1000;
    if (periodMs % INTERVAL_MS !== 0)
      throw new GatewayError("InvalidParameters", "PeriodInSeconds has to be a multiple of 10.");
    const known = new Set(linesOf(Scope).map(({ name }) => name));
    const strange = MetricNames?.find((name) => !known.has(name));
    if (strange !== undefined)
      throw new GatewayError("InvalidParameters", `There is no metric ${strange} of scope ${Scope}.`);
    const ids = idsOf(input, realm) ?? metrics.ids(Scope).slice(0, RESOURCES_MAX);
    const nowMs = clock.nowMs();
    const toMs = input.EndTime === undefined ? Number.POSITIVE_INFINITY : input.EndTime * 1000;
    const fromMs = input.StartTime === undefined ? nowMs - HOUR_MS : input.StartTime * 1000;
    const lines = MetricNames?.length ?? known.size;
    if ((ids.length * lines * Math.max(0, Math.min(toMs, nowMs) - fromMs)) / periodMs > VALUES_MAX)
      throw new GatewayError("InvalidParameters", "Ask for fewer resources or metrics, or a longer period.");
    const { timesMs, resources } = metrics.query({
      ...{ scope: Scope, ids, fromMs, toMs, periodMs },
      ...(MetricNames !== undefined && { names: MetricNames }),
    });
    const gatewayOf = new Map(
      Scope === "Volume" ? (await volumes.list()).map((row) => [row.id as string, row.gateway_id]) : [],
    );
    const arnOf = (id: string): { ResourceARN?: string } => {
      if (id === SERVICE_ID) return {};
      if (Scope === "Gateway") return { ResourceARN: gatewayArn(realm, id as never) };
      const gatewayId = gatewayOf.get(id);
      return gatewayId === undefined ? {} : { ResourceARN: volumeArn(realm, gatewayId, id as never) };
    };
    return {
      ...{ Scope, PeriodInSeconds, Timestamps: timesMs.map((ms) => ms / 1000) },
      Resources: resources.map((resource) => ({
        ...arnOf(resource.id),
        Metrics: resource.lines.map(({ name, unit, values }) => ({
          ...{ MetricName: name, Unit: unit, Values: values },
        })),
      })),
    };
  },
};

function idsOf({ Scope, ResourceARNs }: Input, realm: Services["realm"]): string[] | undefined {
  if (Scope === "Service") return [SERVICE_ID];
  return ResourceARNs?.map((arn) => {
    const id = Scope === "Gateway" ? parseGatewayArn(realm, arn) : parseVolumeArn(realm, arn)?.volumeId;
    if (id === undefined)
      throw new GatewayError("InvalidParameters", `${arn} is not the ARN of a ${Scope.toLowerCase()}.`);
    return id;
  });
}

interface ListOutput {
  readonly Metrics: readonly { readonly Scope: Scope; readonly MetricName: string; readonly Unit: Unit }[];
}

/** ListMetrics: the names that GetMetrics takes. */
export const listMetrics: Operation<All, object, ListOutput> = {
  name: "ListMetrics",
  async handle() {
    const scopes: readonly Scope[] = ["Service", "Gateway", "Volume"];
    return {
      Metrics: scopes.flatMap((scope) =>
        linesOf(scope).map(({ name, unit }) => ({ Scope: scope, MetricName: name, Unit: unit })),
      ),
    };
  },
};
