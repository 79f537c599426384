/**
 * Carries lifecycle policies out: makes what is due, and deletes what they don't keep of what they have made.
 *
 * As with schedules (schedules.ts), the wall clock decides, and it may jump: every few seconds each schedule is asked what
 * was due since the moment until which it is settled. Every snapshot names its run, and a volume has at most one of each
 * run, which the catalog holds everybody to: so a run that a crash has cut short goes on, and makes nothing twice. When
 * several moments have passed, one run stands for them, and the others are counted as missed and told of.
 *
 * What deletes is marked with the policy that made it; anything else is never touched, nor is what is locked.
 */
import { createHash } from "node:crypto";
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { GatewayRow, PolicyScheduleRow, SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import { GatewayError } from "./errors.ts";
import { instanceIdOf } from "./instance-ids.ts";
import type { Policies, PolicyView } from "./policies.ts";
import { hasAny, type PolicySchedule, type Retired, retire, tagsFor, timesOf } from "./policy-rules.ts";
import { dueAt, runOf, type ScheduleRun } from "./schedule.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Tags } from "./tags.ts";
import { isInUse } from "./volume-rows.ts";

export interface PolicyRunnerOptions {
  readonly catalog: Catalog;
  readonly policies: Policies;
  readonly snapshots: Snapshots;
  readonly tags: Tags;
  readonly clock: Clock;
  readonly onProblem: (message: string, error: unknown) => void;
}

/** What a schedule would do the next time. */
export interface SchedulePreview {
  readonly name: string;
  readonly nextRunAtMs: number | undefined;
  readonly lastRunAtMs: number | undefined;
  readonly missedRuns: number;
  readonly problem: string | undefined;
  /** Volumes of which there would be a snapshot: those of one group at one instant. */
  readonly groups: readonly (readonly VolumeRow[])[];
  /** What would be deleted after that, and what would be if it were not locked. */
  readonly retired: readonly Retired[];
}

const LOOK_EVERY_MS = 5_000;
const RETAIN_EVERY_MS = 60_000;
const RETRY_MS = 60_000;
const CLOSE_MS_MAX = 2_000;
/** A clock that goes back further than this was wrong before: what it had settled in the future is forgotten. */
const CLOCK_BACK_MS_MAX = 25 * 3600_000;
/** Deleted in one go; the rest comes with the next look. */
const DELETIONS_MAX = 500;

export class PolicyRunner {
  readonly #options: PolicyRunnerOptions;
  /** When a run that failed is tried again, and what is known not to be deletable now. */
  readonly #retryAtMs = new Map<string, number>();
  #retainAtMs = 0;
  #cancelTimer: () => void = () => {};
  #looking: Promise<void> = Promise.resolve();
  /** Deletions under way. */
  #retaining: Promise<void> | undefined;
  #stopped = false;

  constructor(options: PolicyRunnerOptions) {
    this.#options = options;
  }

  /** Looks now, and again and again. */
  start(): void {
    this.#looking = this.#look();
    this.#cancelTimer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.#looking.then(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  /** Ends soon, also where the bucket gives no answer to a deletion: the next start finishes that. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    const ended = Promise.all([this.#looking, this.#retaining]);
    await Promise.race([ended, delay(this.#options.clock, CLOSE_MS_MAX)]);
  }

  /** Does what is due now; resolves when it is done or has failed. */
  async look(): Promise<void> {
    await this.#look();
    await this.#retaining;
  }

  async #look(): Promise<void> {
    const { catalog, policies, clock, onProblem } = this.#options;
    try {
      if ((await catalog.policies.all()).length === 0) return;
      const enabled = (await policies.list([])).filter(({ row }) => row.enabled === 1);
      for (const policy of enabled) {
        for (const schedule of policy.rules.schedules) {
          if (this.#stopped) return;
          await this.#lookAt(policy, schedule);
        }
      }
      if (clock.monotonicMs() < this.#retainAtMs || this.#retaining !== undefined) return;
      this.#retainAtMs = clock.monotonicMs() + RETAIN_EVERY_MS;
      // Nobody waits for it: deletions need the bucket, and snapshots don't.
      this.#retaining = this.#retain(enabled)
        .catch((error: unknown) => onProblem("retention has to wait", error))
        .finally(() => {
          this.#retaining = undefined;
        });
    } catch (error) {
      onProblem("lifecycle policies can't be looked at", error);
    }
  }

  /** What the policy would do: nothing is done. */
  async preview(policy: PolicyView): Promise<SchedulePreview[]> {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const groups = (await this.#targets(policy)).map(({ volumes }) => volumes);
    const made = await this.#made(policy);
    return policy.rules.schedules.map((schedule): SchedulePreview => {
      const state = policy.schedules.find(({ name }) => name === schedule.name);
      const times = timesOf(schedule.when, nowMs);
      const nextRunAtMs =
        policy.row.enabled === 1 ? times.nextAfter(Math.max(nowMs, state?.settled_until ?? 0)) : undefined;
      const atMs = nextRunAtMs ?? nowMs;
      // The snapshots of that run are there then, and have come to the bucket.
      const coming = groups.flat().map((volume) => comingRow(volume, atMs));
      const own = made.filter(({ policy_schedule }) => policy_schedule === schedule.name);
      return {
        name: schedule.name,
        nextRunAtMs,
        lastRunAtMs: state?.last_run_at ?? undefined,
        missedRuns: state?.missed_runs ?? 0,
        problem: state?.problem ?? undefined,
        groups,
        retired: retire(schedule.keep, [...own, ...coming], atMs),
      };
    });
  }

  async #lookAt(policy: PolicyView, schedule: PolicySchedule): Promise<void> {
    const { catalog, clock, onProblem } = this.#options;
    const nowMs = clock.nowMs();
    const state = policy.schedules.find(({ name }) => name === schedule.name);
    if (state === undefined) return;
    const what = `${policy.row.id} (${schedule.name})`;
    const update = (change: Partial<PolicyScheduleRow>) =>
      catalog.policies.updateSchedule(policy.row.id, schedule.name, change);
    if (state.settled_until - nowMs > CLOCK_BACK_MS_MAX) {
      onProblem(`${what}: the clock was set back`, new Error("its runs begin again from now"));
      await update({ settled_until: nowMs });
      return;
    }
    const { dueAtMs, missed } = dueAt(timesOf(schedule.when, nowMs), state.settled_until, nowMs);
    if (dueAtMs === undefined) return;
    if (missed > 0) {
      onProblem(`${what} has missed ${missed} runs`, new Error("one run stands for them"));
      await update({ missed_runs: state.missed_runs + missed, settled_until: dueAtMs - 1 });
    }
    if ((this.#retryAtMs.get(what) ?? 0) > clock.monotonicMs()) return;
    const problem = await this.#run(policy, schedule, dueAtMs);
    if (problem === undefined) {
      this.#retryAtMs.delete(what);
      this.#retainAtMs = 0;
      await update({ settled_until: dueAtMs, last_run_at: nowMs, problem: null });
      return;
    }
    this.#retryAtMs.set(what, clock.monotonicMs() + RETRY_MS);
    if (problem === state.problem) return;
    onProblem(`${what} could not make all of its snapshots`, new Error(problem));
    await update({ problem });
  }

  /** Makes the snapshots of a run that are not there yet. Answers why not all could be made. */
  async #run(policy: PolicyView, schedule: PolicySchedule, dueAtMs: number): Promise<string | undefined> {
    const { snapshots, tags } = this.#options;
    const run: ScheduleRun = {
      id: runId(policy.row.id, schedule.name),
      dueAtMs,
      policy: { id: policy.row.id, schedule: schedule.name },
    };
    const groups = await this.#targets(policy);
    const done = await this.#options.catalog.volumesOfRun(runOf(run));
    const ofVolumes = await tags.ofVolumes();
    const problems: string[] = [];
    for (const { gateway, volumes } of groups) {
      const missing = volumes.filter(({ id }) => !done.has(id));
      if (this.#stopped) return "the gateway was stopped";
      if (missing.length === 0) continue;
      try {
        if (gateway.state !== "running") throw new GatewayError("GatewayNotConnected");
        const tagsOf = (id: VolumeRow["id"]): Tag[] => {
          const volume = { id, instanceId: instanceIdOf(gateway.id), tags: ofVolumes.get(id) ?? [] };
          return tagsFor(policy.row.id, schedule, volume, dueAtMs);
        };
        const description = `Created for policy: ${policy.row.id} schedule: ${schedule.name}`;
        const rows = await snapshots.createTogether(missing, description, tagsOf, run);
        if (schedule.sharedWith.length > 0) {
          const shared_with = JSON.stringify(schedule.sharedWith);
          for (const { id } of rows) await snapshots.change(id, () => ({ shared_with }));
        }
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        problems.push(`${missing.map(({ id }) => id).join(", ")}: ${reason}`);
      }
    }
    return problems.length === 0 ? undefined : problems.join("; ").slice(0, 500);
  }

  async #retain(policies: readonly PolicyView[]): Promise<void> {
    const { snapshots, clock, onProblem } = this.#options;
    let deletions = 0;
    for (const policy of policies) {
      const made = await this.#made(policy);
      for (const { name, keep } of policy.rules.schedules) {
        const own = made.filter(({ policy_schedule }) => policy_schedule === name);
        for (const { row, isLocked } of retire(keep, own, clock.nowMs())) {
          if (this.#stopped || deletions >= DELETIONS_MAX) return;
          if (isLocked) continue;
          deletions += 1;
          await snapshots.remove(row.id).catch((error: unknown) => {
            // One that another gateway has locked says so only now; one that is gone is what was wanted.
            const isFine =
              error instanceof GatewayError && ["SnapshotLocked", "SnapshotNotFound"].includes(error.code);
            if (!isFine)
              onProblem(`${row.id}, which ${policy.row.id} does not keep, can't be deleted now`, error);
          });
        }
      }
    }
  }

  /** What the policy has made and is still there. */
  async #made(policy: PolicyView): Promise<SnapshotRow[]> {
    const all = await this.#options.snapshots.list();
    return all.flatMap(({ row }) => (row.policy_id === policy.row.id ? [row] : []));
  }

  /** The volumes that are targets now, in groups of which each is cut at one instant. */
  async #targets({ rules }: PolicyView): Promise<{ gateway: GatewayRow; volumes: VolumeRow[] }[]> {
    const { catalog, tags } = this.#options;
    const ofVolumes = await tags.ofVolumes();
    const gateways = (await catalog.gateways()).filter(({ state }) => state !== "deleted");
    const volumes = (await catalog.volumes()).filter((row) => {
      return isInUse(row) && !hasAny(ofVolumes.get(row.id) ?? [], rules.excludedVolumeTags);
    });
    const of = (gateway: GatewayRow) => volumes.filter(({ gateway_id }) => gateway_id === gateway.id);
    if (rules.targets === "volumes") {
      return gateways.flatMap((gateway) =>
        of(gateway)
          .filter(({ id }) => hasAny(ofVolumes.get(id) ?? [], rules.targetTags))
          .map((volume) => ({ gateway, volumes: [volume] })),
      );
    }
    const groups: { gateway: GatewayRow; volumes: VolumeRow[] }[] = [];
    for (const gateway of gateways) {
      const own = of(gateway);
      if (own.length > 0 && hasAny(await catalog.tags.of(gateway.id), rules.targetTags))
        groups.push({ gateway, volumes: own });
    }
    return groups;
  }
}

/** Short, whatever the schedule's name. */
function runId(policyId: string, schedule: string): string {
  return `${policyId}.${createHash("sha256").update(schedule).digest("hex").slice(0, 16)}`;
}

function comingRow(volume: VolumeRow, atMs: number): SnapshotRow {
  return {
    id: "snap-next",
    volume_id: volume.id,
    state: "completed",
    started_at: atMs,
    lock_mode: null,
  } as SnapshotRow;
}
