/** ListActivity, DescribeHealth: what was done with the gateway, and how it does. */
import type { Activity } from "../../admin/activity-log.ts";
import type { AdminServices } from "../../admin/admin-services.ts";
import type { HealthStatus } from "../../admin/health.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

type All = Services & AdminServices;

interface ListInput {
  /** Seconds since the Unix epoch. */
  readonly StartTime?: number;
  readonly EndTime?: number;
  readonly Kind?: Activity["Kind"];
  /** The operation of a call, or the type of an event. */
  readonly Name?: string;
  readonly Result?: Activity["Result"];
  readonly AccessKeyId?: string;
  /** An ARN or an id, or a part of one. */
  readonly Resource?: string;
  readonly Limit?: number;
  readonly Marker?: string;
}

interface ListOutput {
  /** Newest first. A page may hold fewer than asked for, or none, and have another one behind it. */
  readonly Activities: readonly Activity[];
  readonly Marker?: string;
}

const LIMIT_DEFAULT = 100;

/** ListActivity: the audit log, newest first, page by page. */
export const listActivity: Operation<All, ListInput, ListOutput> = {
  name: "ListActivity",
  async handle({ activity }, input) {
    const { StartTime, EndTime, Kind, Name, Result, AccessKeyId, Resource, Limit, Marker } = input;
    if (Marker !== undefined && !/^[1-9]\d{0,15}$/.test(Marker))
      throw new GatewayError("InvalidParameters", "The Marker is not one of ours.");
    const { entries, before } = activity.list({
      ...(StartTime !== undefined && { fromMs: StartTime * 1000 }),
      ...(EndTime !== undefined && { toMs: EndTime * 1000 }),
      ...(Kind !== undefined && { kind: Kind }),
      ...(Name !== undefined && { name: Name }),
      ...(Result !== undefined && { result: Result }),
      ...(AccessKeyId !== undefined && { accessKeyId: AccessKeyId }),
      ...(Resource !== undefined && { resource: Resource }),
      ...(Marker !== undefined && { before: Number(Marker) }),
      limit: Limit ?? LIMIT_DEFAULT,
    });
    return { Activities: entries, ...(before !== undefined && { Marker: String(before) }) };
  },
};

interface HealthOutput {
  readonly Status: HealthStatus;
  readonly IsReady: boolean;
  readonly Checks: readonly {
    readonly Name: string;
    readonly Status: HealthStatus;
    readonly Message: string;
  }[];
  readonly Alarms: readonly {
    readonly Name: string;
    readonly Severity: string;
    readonly StartTime: number;
    readonly Message: string;
    readonly Resources: readonly string[];
  }[];
}

/** DescribeHealth: what is asked of every part at this moment, and the conditions that hold. */
export const describeHealth: Operation<All, object, HealthOutput> = {
  name: "DescribeHealth",
  async handle({ health }) {
    const { status, isReady, checks, alarms } = await health.report();
    return {
      Status: status,
      IsReady: isReady,
      Checks: checks.map((check) => ({ Name: check.name, Status: check.status, Message: check.message })),
      Alarms: alarms.map(({ name, severity, sinceMs, message, resources }) => ({
        ...{
          Name: name,
          Severity: severity,
          StartTime: sinceMs / 1000,
          Message: message,
          Resources: resources,
        },
      })),
    };
  },
};
