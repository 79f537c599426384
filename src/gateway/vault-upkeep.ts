/**
 * What keeps the vault in order by itself: collection of garbage, verification, and the answers that collections of other
 * gateways wait for. One job at a time; how it goes, and how the last ones went, can be asked at any time.
 */

import type { Clock } from "../platform/clock.ts";
import { GatewayError } from "./errors.ts";
import type { CollectionReport, JobProgress, VaultKeeper, VerificationReport } from "./ports.ts";
import type { UpkeepMemory } from "./upkeep-memory.ts";
import type { VaultDescription } from "./vault-description.ts";

export type VaultJobKind = "CollectGarbage" | "Verify";

/** A job, as it stands or as it has ended. */
export interface VaultJob {
  readonly kind: VaultJobKind;
  readonly state: "running" | "done" | "failed";
  readonly startedAtMs: number;
  readonly endedAtMs?: number;
  readonly progress?: JobProgress;
  /** Why it has failed. */
  readonly reason?: string;
  readonly collection?: CollectionReport;
  readonly verification?: VerificationReport;
}

export interface VaultUpkeepOptions {
  readonly vault: VaultKeeper;
  readonly clock: Clock;
  /** Takes away what stands in the way of a collection, such as moments of volumes that are gone. */
  readonly beforeCollecting: () => Promise<void>;
  readonly onProblem: (message: string, error: unknown) => void;
  /** What was done before this start. */
  readonly memory: UpkeepMemory;
  /** Told of every job that has ended. Must not throw. */
  readonly onJobEnded?: (job: VaultJob) => void;
}

const SETTLE_EVERY_MS = 5 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
const EVERY_MS: Readonly<Record<VaultJobKind, number>> = { CollectGarbage: DAY_MS, Verify: 7 * DAY_MS };
/** No job begins sooner after a start, and none is tried again sooner that has failed or found another in its way. */
const PAUSE_MS = 60 * 60_000;
const VERIFY_PERCENT = 10;

const isDone = ({ state, endedAtMs, collection }: VaultJob): boolean =>
  state === "done" && endedAtMs !== undefined && collection?.state !== "looked";

export class VaultUpkeep {
  readonly #options: VaultUpkeepOptions;
  readonly #last = new Map<VaultJobKind, VaultJob>();
  /** The last of each kind that was done for good: without a failure, and not only as a look. */
  readonly #done = new Map<VaultJobKind, VaultJob>();
  readonly #timers = new Set<() => void>();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: VaultUpkeepOptions) {
    this.#options = options;
    for (const job of options.memory.read()) {
      this.#last.set(job.kind, job);
      if (isDone(job)) this.#done.set(job.kind, job);
    }
  }

  /** From now on everything is done when it is due. */
  start(): void {
    const { vault } = this.#options;
    this.#next(
      () => SETTLE_EVERY_MS,
      () => vault.settle(),
    );
    for (const kind of ["CollectGarbage", "Verify"] as const)
      this.#next(
        () => this.#untilDueMs(kind),
        () => this.#due(kind),
      );
  }

  /** How long it is until the job is due; at least the pause, and at most its interval, whatever the clock says. */
  #untilDueMs(kind: VaultJobKind): number {
    const everyMs = EVERY_MS[kind];
    const doneAtMs = this.#done.get(kind)?.endedAtMs ?? 0;
    return Math.max(PAUSE_MS, Math.min(everyMs, doneAtMs + everyMs - this.#options.clock.nowMs()));
  }

  /** How much there is in the vault. */
  describe(): Promise<VaultDescription> {
    return this.#options.vault.describeVault();
  }

  /** The last job of each kind, or the one that is running. */
  jobs(): VaultJob[] {
    return [...this.#last.values()];
  }

  /** The last job of the kind that was done for good, in this run of the gateway or before. */
  lastDone(kind: VaultJobKind): VaultJob | undefined {
    return this.#done.get(kind);
  }

  /**
   * Starts a collection; with `isDryRun` it only looks. Writers of `forget` are gone for good and not waited for. Throws a
   * GatewayError while a job is running.
   */
  collect(isDryRun: boolean, forget: readonly string[] = []): VaultJob {
    return this.#begin("CollectGarbage", async (onProgress) => {
      if (!isDryRun) await this.#options.beforeCollecting();
      return { collection: await this.#options.vault.collect(isDryRun, onProgress, forget) };
    });
  }

  /** Starts a verification that reads so many percent of the packs. Throws a GatewayError while a job is running. */
  verify(samplePercent: number): VaultJob {
    return this.#begin("Verify", async (onProgress) => {
      const verification = await this.#options.vault.verify(samplePercent, onProgress);
      for (const problem of verification.problems)
        this.#options.onProblem("the vault is damaged", new Error(problem));
      return { verification };
    });
  }

  /** Waits for nothing: a job that is running ends with the vault. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #begin(
    kind: VaultJobKind,
    run: (onProgress: (progress: JobProgress) => void) => Promise<Partial<VaultJob>>,
  ): VaultJob {
    if (this.#running !== undefined)
      throw new GatewayError("InvalidParameters", "Another job of the vault is running.");
    const { clock } = this.#options;
    const begun: VaultJob = { kind, state: "running", startedAtMs: clock.nowMs() };
    this.#last.set(kind, begun);
    const onProgress = (progress: JobProgress) => {
      this.#last.set(kind, { ...begun, progress });
    };
    const end = (how: Partial<VaultJob>) => {
      this.#running = undefined;
      const job: VaultJob = { ...begun, state: "done", endedAtMs: clock.nowMs(), ...how };
      this.#last.set(kind, job);
      // One that ended because the gateway does is not done, and begins anew.
      if (!this.#closed) this.#remember(job);
      this.#options.onJobEnded?.(job);
    };
    this.#running = run(onProgress).then(end, (error: unknown) => {
      end({ state: "failed", reason: error instanceof Error ? error.message : String(error) });
      if (!this.#closed) this.#options.onProblem(`a job of the vault has failed: ${kind}`, error);
    });
    return begun;
  }

  #remember(job: VaultJob): void {
    if (isDone(job)) this.#done.set(job.kind, job);
    const ended = [...this.#last.values()].filter(
      (each) => each.state !== "running" && each.collection?.state !== "looked" && !isDone(each),
    );
    try {
      // What is read last is the last of its kind.
      this.#options.memory.write([...this.#done.values(), ...ended]);
    } catch (error) {
      this.#options.onProblem("what the vault's upkeep has done can't be kept", error);
    }
  }

  async #due(kind: VaultJobKind): Promise<void> {
    // One that is in the way now comes first.
    if (this.#running !== undefined) return;
    if (kind === "Verify") this.verify(VERIFY_PERCENT);
    else this.collect(false);
    await this.#running;
  }

  /** Does it again and again, each time after as long as `afterMs` says then. */
  #next(afterMs: () => number, action: () => Promise<void>): void {
    const cancel = this.#options.clock.after(afterMs(), () => {
      this.#timers.delete(cancel);
      action()
        .catch((error: unknown) => this.#options.onProblem("the upkeep of the vault has to wait", error))
        .finally(() => {
          if (!this.#closed) this.#next(afterMs, action);
        });
    });
    this.#timers.add(cancel);
  }
}
