/**
 * What the bucket is told of this gateway's catalog (invariant 8): its gateways and volumes, with their ids, names and
 * tags, so that another machine can bring them back. Snapshots have records of their own there.
 */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { ChapRow, GatewayRow, PolicyRow, ScheduleRow, VolumeRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import type { CatalogStore } from "./ports.ts";

export type CopiedGateway = GatewayRow & { readonly tags: readonly Tag[] };
/** Who may log in, and the schedules: absent in copies from before there were any. */
export type CopiedVolume = VolumeRow & {
  readonly tags: readonly Tag[];
  readonly chap?: readonly ChapRow[];
  readonly schedules?: readonly CopiedSchedule[];
};
/** What was asked for: how its runs went changes too often. */
export type CopiedSchedule = Omit<
  ScheduleRow,
  "settled_until" | "last_run_at" | "last_snapshot_id" | "missed_runs" | "problem"
>;

export type CopiedPolicy = PolicyRow & { readonly tags: readonly Tag[] };

export interface CatalogCopy {
  readonly savedAtMs: number;
  /** Missing in copies from before there were policies. */
  readonly policies?: readonly CopiedPolicy[];
  readonly gateways: readonly CopiedGateway[];
  readonly volumes: readonly CopiedVolume[];
}

export interface CatalogCopierOptions {
  readonly catalog: Catalog;
  readonly store: CatalogStore;
  readonly clock: Clock;
  readonly onProblem: (message: string, error: unknown) => void;
}

/** Changes that come together are told together. */
const SETTLE_MS = 500;
const RETRY_MS = 10_000;

export class CatalogCopier {
  readonly #options: CatalogCopierOptions;
  readonly #queue = new SerialQueue();
  #saved = "";
  #isChanged = false;
  #stopped = false;
  #running: Promise<void> | undefined;
  #wake: () => void = () => {};

  constructor(options: CatalogCopierOptions) {
    this.#options = options;
  }

  /** Tells the bucket what there is now, and whatever changes from now on. */
  start(): void {
    this.#options.catalog.watch(() => this.#changed());
    this.#changed();
  }

  /** Resolves when the bucket knows what there is now. */
  now(): Promise<void> {
    return this.#save();
  }

  /** Tells what has changed last, unless the bucket can't take it now: the next start does it then. */
  async close(): Promise<void> {
    this.#options.catalog.watch(() => {});
    this.#stopped = true;
    this.#wake();
    await this.#running;
  }

  #changed(): void {
    this.#isChanged = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    let pauseMs = SETTLE_MS;
    let isReported = false;
    while (this.#isChanged) {
      if (!this.#stopped) await this.#pause(pauseMs);
      this.#isChanged = false;
      try {
        await this.#save();
        pauseMs = SETTLE_MS;
        isReported = false;
      } catch (error) {
        if (!isReported) this.#options.onProblem("the catalog can't be copied to the bucket now", error);
        isReported = true;
        if (this.#stopped) return;
        this.#isChanged = true;
        pauseMs = RETRY_MS;
      }
    }
  }

  /** Ends early when the copier is closed. */
  async #pause(ms: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([delay(this.#options.clock, ms), closed]);
  }

  #save(): Promise<void> {
    return this.#queue.run(() => this.#saveNow());
  }

  async #saveNow(): Promise<void> {
    const { catalog, store, clock } = this.#options;
    const [gateways, volumes, allTags, chap, schedules, policies] = await Promise.all([
      catalog.gateways(),
      catalog.volumes(),
      catalog.tags.besideSnapshots(),
      catalog.chap.all(),
      catalog.schedules.all(),
      catalog.policies.all(),
    ]);
    const tags = Map.groupBy(allTags, ({ resource_id }) => resource_id);
    const tagsOf = (id: string) => (tags.get(id) ?? []).map(({ key, value }) => ({ key, value }));
    const chapOf = Map.groupBy(chap, ({ volume_id }) => volume_id);
    const schedulesOf = Map.groupBy(schedules, ({ volume_id }) => volume_id);
    const copy = {
      policies: policies.map((row) => ({ ...row, tags: tagsOf(row.id) })),
      gateways: gateways.map((row) => ({ ...row, tags: tagsOf(row.id) })),
      volumes: volumes
        .filter(({ state }) => state !== "deleting")
        .map((row) => ({
          ...row,
          tags: tagsOf(row.id),
          chap: chapOf.get(row.id) ?? [],
          schedules: (schedulesOf.get(row.id) ?? []).map(asked),
        })),
    };
    const text = JSON.stringify(copy);
    if (text === this.#saved) return;
    await store.putCatalog({ savedAtMs: clock.nowMs(), ...copy } satisfies CatalogCopy);
    this.#saved = text;
  }
}

function asked(row: ScheduleRow): CopiedSchedule {
  const {
    settled_until: _s,
    last_run_at: _l,
    last_snapshot_id: _i,
    missed_runs: _m,
    problem: _p,
    ...rest
  } = row;
  return rest;
}

/** Reads a copy out of the bucket; undefined where it is none that is known here. */
export function readCatalogCopy(value: unknown): CatalogCopy | undefined {
  const { savedAtMs, gateways, volumes, policies = [] } = (value ?? {}) as Partial<CatalogCopy>;
  const good =
    typeof savedAtMs === "number" &&
    Array.isArray(policies) &&
    policies.every((each) => areTexts([each?.id, each?.details, each?.rules])) &&
    Array.isArray(gateways) &&
    gateways.every((each) => areTexts([each?.id, each?.name, each?.kind, each?.timezone])) &&
    Array.isArray(volumes) &&
    volumes.every(
      (each) =>
        areTexts([each?.id, each?.gateway_id, each?.kind, each?.target_name]) &&
        Number.isSafeInteger(each.size_bytes),
    );
  return good ? { savedAtMs, gateways, volumes, policies } : undefined;
}

function areTexts(values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}
