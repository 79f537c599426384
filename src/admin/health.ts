/** Whether the gateway serves, as far as it can know at this moment: asked, not remembered. */
import type { MeasuredPlane } from "../gateway/measurements.ts";
import type { Clock } from "../platform/clock.ts";
import type { Alarm } from "./alarms.ts";
import { within } from "./deadline.ts";

export type HealthStatus = "ok" | "warning" | "failing";

export interface HealthCheck {
  readonly name: string;
  readonly status: HealthStatus;
  readonly message: string;
}

export interface HealthReport {
  /** The worst of the checks. */
  readonly status: HealthStatus;
  /** Whether initiators and API clients are served; a bucket that is away does not change that. */
  readonly isReady: boolean;
  readonly checks: readonly HealthCheck[];
  readonly alarms: readonly Alarm[];
}

export interface HealthOptions {
  readonly plane: MeasuredPlane;
  /** Rejects where the catalog can't be read. */
  readonly askCatalog: () => Promise<unknown>;
  readonly alarms: () => readonly Alarm[];
  /** The share of the data folder's file system that is free, 0 to 1. */
  readonly freeShare: () => Promise<number>;
  readonly clock: Clock;
}

const ANSWER_MS_MAX = 5_000;
const FRESH_MS = 1_000;
const FREE_SHARE_LOW = 0.05;

export class Health {
  readonly #options: HealthOptions;
  #isClosing = false;
  #last: Promise<HealthReport> | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** From now on it is not ready: the gateway is being stopped. */
  closing(): void {
    this.#isClosing = true;
  }

  /** At most a second old, so that asking often costs nothing. */
  report(): Promise<HealthReport> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#last === undefined || nowMs - this.#askedAtMs >= FRESH_MS) {
      this.#askedAtMs = nowMs;
      this.#last = this.#ask();
    }
    return this.#last;
  }

  async #ask(): Promise<HealthReport> {
    const { plane, askCatalog, alarms, freeShare, clock } = this.#options;
    const asked = <T>(
      name: string,
      ask: () => Promise<T>,
      judge: (answer: T) => Omit<HealthCheck, "name">,
    ): Promise<HealthCheck> =>
      within(clock, ANSWER_MS_MAX, name, ask()).then(
        (answer) => ({ name, ...judge(answer) }),
        (error: unknown): HealthCheck => ({
          ...{ name, status: "failing" },
          message: error instanceof Error ? error.message : String(error),
        }),
      );
    const serves = (message: string) => (): Omit<HealthCheck, "name"> => ({ status: "ok", message });
    const [data, backup, bucket, catalog, disk] = await Promise.all([
      asked(
        "data-worker",
        () => plane.dataFigures(),
        ({ volumes }) => {
          const stopped = volumes.filter(({ healthy }) => !healthy).map(({ volumeId }) => volumeId);
          if (stopped.length === 0) return { status: "ok", message: `${volumes.length} volumes are served` };
          return { status: "warning", message: `stopped: ${stopped.join(", ")}` };
        },
      ),
      asked("backup-worker", () => plane.backupFigures(), serves("it answers")),
      asked(
        "bucket",
        () => plane.askStore(),
        (store) => {
          if (store.state === "reachable") return { status: "ok", message: "it answers" };
          if (store.state === "unknown") return { status: "warning", message: "it has not been asked yet" };
          const since = new Date(store.sinceMs).toISOString();
          return { status: "warning", message: `no answer since ${since}: ${store.reason ?? "unknown"}` };
        },
      ),
      asked("catalog", askCatalog, serves("it answers")),
      asked("data-folder", freeShare, (share) => ({
        status: share < FREE_SHARE_LOW ? "warning" : "ok",
        message: `${Math.round(100 * share)} % of its file system are free`,
      })),
    ]);
    // Volumes are served without the bucket, for as long as buffers and caches have room.
    const store: HealthCheck = bucket.status === "failing" ? { ...bucket, status: "warning" } : bucket;
    const checks = [data, backup, store, catalog, disk];
    const isReady = !this.#isClosing && [data, backup, catalog].every(({ status }) => status !== "failing");
    const active = alarms();
    const statuses = [...checks.map(({ status }) => status), ...active.map(statusOf)];
    const status = (["failing", "warning"] as const).find((each) => statuses.includes(each)) ?? "ok";
    return { status, isReady, checks, alarms: active };
  }
}

function statusOf({ severity }: Alarm): HealthStatus {
  return severity === "error" ? "failing" : "warning";
}
