/** StartVaultJob, DescribeVaultJobs: the upkeep of the vault, and how it goes. */
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { VaultJob } from "../../gateway/vault-upkeep.ts";
import type { Operation } from "../operation.ts";

interface StartInput {
  readonly Kind: VaultJob["kind"];
  /** Of a collection: it only looks. */
  readonly DryRun?: boolean;
  /** Of a verification: how many percent of the packs are read; all of them without it. */
  readonly SamplePercent?: number;
  /** Of a collection: writers that are gone for good, and are not waited for. */
  readonly ForgetWriters?: readonly string[];
}

interface JobShape {
  readonly Kind: VaultJob["kind"];
  readonly State: VaultJob["state"];
  readonly StartTime: number;
  readonly EndTime?: number;
  readonly Progress?: { readonly Phase: string; readonly Done: number; readonly Total: number };
  readonly Reason?: string;
  readonly Collection?: VaultJob["collection"];
  readonly Verification?: VaultJob["verification"];
  /** The last of its kind that was done for good, where this one was not: it failed, only looked, or is running. */
  readonly LastDone?: JobShape;
}

/** StartVaultJob: begins a collection of garbage or a verification; only one of both can run. */
export const startVaultJob: Operation<Services, StartInput, JobShape> = {
  name: "StartVaultJob",
  async handle({ upkeep }, { Kind, DryRun, SamplePercent, ForgetWriters }) {
    if (Kind === "CollectGarbage" ? SamplePercent !== undefined : DryRun !== undefined)
      throw new GatewayError(
        "InvalidParameters",
        "DryRun is for a collection, SamplePercent for a verification.",
      );
    return shapeOf(
      Kind === "Verify"
        ? upkeep.verify(SamplePercent ?? 100)
        : upkeep.collect(DryRun === true, ForgetWriters),
    );
  },
};

/** AdoptSnapshots: takes in snapshots that were put into the vault beside the gateway. */
export const adoptSnapshots: Operation<Services, object, object> = {
  name: "AdoptSnapshots",
  async handle({ snapshots }) {
    await snapshots.adopt();
    return {};
  },
};

/** DescribeVaultJobs: the last job of each kind, before this start of the gateway too, or the one that is running. */
export const describeVaultJobs: Operation<Services, object, { readonly Jobs: readonly JobShape[] }> = {
  name: "DescribeVaultJobs",
  async handle({ upkeep }) {
    return {
      Jobs: upkeep.jobs().map((job) => {
        const done = upkeep.lastDone(job.kind);
        return { ...shapeOf(job), ...(done !== undefined && done !== job && { LastDone: shapeOf(done) }) };
      }),
    };
  },
};

function shapeOf(job: VaultJob): JobShape {
  const { kind, state, startedAtMs, endedAtMs, progress, reason, collection, verification } = job;
  return {
    Kind: kind,
    State: state,
    StartTime: startedAtMs / 1000,
    ...(endedAtMs !== undefined && { EndTime: endedAtMs / 1000 }),
    ...(progress && { Progress: { Phase: progress.phase, Done: progress.done, Total: progress.total } }),
    ...(reason !== undefined && { Reason: reason }),
    ...(collection && { Collection: collection }),
    ...(verification && { Verification: verification }),
  };
}
