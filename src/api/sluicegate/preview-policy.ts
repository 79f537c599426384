import { volumeArn } from "../../gateway/arn.ts";
import { GatewayError } from "../../gateway/errors.ts";
import { PolicyError, type PolicyView } from "../../gateway/policies.ts";
import type { SchedulePreview } from "../../gateway/policy-runner.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

/**
 * DescribePolicyPreview: what a lifecycle policy, or each of them, would do the next time, schedule by schedule: which
 * volumes it would make snapshots of (those of one entry at one instant), and which of its snapshots it would delete then.
 * Nothing is done.
 */
export const describePolicyPreview: Operation<Services, { readonly PolicyId?: string }, object> = {
  name: "DescribePolicyPreview",
  async handle({ policies, policyRunner, realm }, { PolicyId }) {
    const views = await policies.list(PolicyId === undefined ? [] : [PolicyId]).catch((error: unknown) => {
      if (error instanceof PolicyError) throw new GatewayError("InvalidParameters", error.message);
      throw error;
    });
    const previews = views.map(async (policy) => {
      const schedules = await policyRunner.preview(policy);
      return { ...headOf(policy), Schedules: schedules.map((schedule) => scheduleShape(realm, schedule)) };
    });
    return { Policies: await Promise.all(previews) };
  },
};

function headOf({ row }: PolicyView): object {
  const State = row.enabled === 1 ? "ENABLED" : "DISABLED";
  return { PolicyId: row.id, Description: row.description, State };
}

function scheduleShape(realm: Services["realm"], schedule: SchedulePreview): object {
  const { name, nextRunAtMs, lastRunAtMs, missedRuns, problem, groups, retired } = schedule;
  return {
    Name: name,
    MissedRuns: missedRuns,
    ...(nextRunAtMs !== undefined && { NextRunTime: nextRunAtMs / 1000 }),
    ...(lastRunAtMs !== undefined && { LastRunTime: lastRunAtMs / 1000 }),
    ...(problem !== undefined && { Problem: problem }),
    Creates: groups.map((volumes) => ({
      VolumeARNs: volumes.map(({ gateway_id, id }) => volumeArn(realm, gateway_id, id)),
    })),
    Deletes: retired.map(({ row, reason, isLocked }) => ({
      SnapshotId: row.id,
      VolumeId: row.volume_id,
      StartTime: row.started_at / 1000,
      Reason: reason,
      KeptByLock: isLocked,
    })),
  };
}
