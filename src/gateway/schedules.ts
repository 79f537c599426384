/**
 * Snapshots that make themselves.
 *
 * The wall clock decides, and it may jump; so nothing is waited for: every few seconds each schedule is asked what was
 * due since the moment until which it is settled. That moment is written in the same transaction as the snapshot, so a
 * crash neither loses a run nor repeats one. When several moments have passed (the gateway was off, or the clock was
 * set on) one snapshot stands for them, and the others are counted as missed. A run that can't be made is tried again
 * until the next one is due; then it counts as missed too. A clock that is set back makes nothing twice.
 */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { GatewayRow, ScheduleRow, VolumeRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { GatewayError, invalid } from "./errors.ts";
import {
  defaultDescription,
  defaultSchedule,
  dueAt,
  emptySchedule,
  recurrenceOf,
  tagsOf,
  volumeScheduleId,
} from "./schedule.ts";
import type { Snapshots } from "./snapshots.ts";
import { isInUse } from "./volume-rows.ts";

export interface SchedulesOptions {
  readonly catalog: Catalog;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly random: Random;
  readonly onProblem: (message: string, error: unknown) => void;
}

/** A schedule of a volume's own kind, beyond the one of AWS's API. */
export interface WantedSchedule {
  readonly name: string;
  readonly cron: string;
  readonly timezone?: string;
  readonly description: string;
  readonly tags: readonly Tag[];
  readonly isEnabled: boolean;
}

const LOOK_EVERY_MS = 5_000;
const RETRY_MS = 60_000;
/** A clock that goes back further than this was wrong before: what it had settled in the future is forgotten. */
const CLOCK_BACK_MS_MAX = 25 * 3600_000;
const OWN_SCHEDULES_MAX = 20;
const ID_BYTES = 8;

export class Schedules {
  readonly #options: SchedulesOptions;
  /** When a run that failed is tried again, by schedule. */
  readonly #retryAtMs = new Map<string, number>();
  #cancelTimer: () => void = () => {};
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /** Looks now, and again and again. Stored volumes from before there were schedules get theirs. */
  async start(): Promise<void> {
    const { catalog, clock } = this.#options;
    const there = new Set((await catalog.schedules.all()).map(({ id }) => id));
    const gateways = new Map((await catalog.gateways()).map((row) => [row.id, row]));
    for (const volume of await catalog.volumes()) {
      const gateway = gateways.get(volume.gateway_id);
      if (volume.kind !== "stored" || gateway === undefined || there.has(volumeScheduleId(volume))) continue;
      await catalog.schedules.put(defaultSchedule(volume, gateway, clock.nowMs()));
    }
    this.#again();
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    await this.#looking;
  }

  /** The one schedule that AWS's API knows of the volume, or undefined. */
  ofVolume(volume: VolumeRow): Promise<ScheduleRow | undefined> {
    return this.#options.catalog.schedules.get(volumeScheduleId(volume));
  }

  /** Sets it: from now on, whatever was due by the schedule before. */
  async setVolume(
    volume: VolumeRow,
    startHour: number,
    recurrenceHours: number,
    more: { readonly description?: string; readonly tags?: readonly Tag[] },
  ): Promise<void> {
    const { clock } = this.#options;
    const before = await this.ofVolume(volume);
    await this.#put({
      ...(before ?? emptySchedule(volumeScheduleId(volume), volume, "volume", clock.nowMs())),
      start_hour: startHour,
      recurrence_hours: recurrenceHours,
      description: more.description ?? before?.description ?? defaultDescription(volume),
      tags: more.tags === undefined ? (before?.tags ?? "[]") : JSON.stringify(more.tags),
      settled_until: clock.nowMs(),
      missed_runs: 0,
      problem: null,
    });
  }

  /** Throws SnapshotScheduleNotFound where the volume has none. */
  async removeVolume(volume: VolumeRow): Promise<void> {
    if (!(await this.#options.catalog.schedules.remove(volumeScheduleId(volume)))) {
      throw new GatewayError("SnapshotScheduleNotFound");
    }
  }

  /** All schedules of a volume, with what comes next of each. */
  async list(
    volume: VolumeRow,
  ): Promise<{ readonly row: ScheduleRow; readonly nextRunAtMs: number | undefined }[]> {
    const { catalog, clock } = this.#options;
    const zone = (await catalog.gateway(volume.gateway_id))?.timezone ?? "GMT";
    const nowMs = clock.nowMs();
    return (await catalog.schedules.of(volume.id)).map((row) => {
      const next =
        row.enabled === 1
          ? recurrenceOf(row, zone, nowMs).nextAfter(Math.max(nowMs, row.settled_until))
          : undefined;
      return { row, nextRunAtMs: next };
    });
  }

  /** Makes a schedule besides, or replaces the one of that id. Throws InvalidSchedule for a bad expression. */
  async putOwn(volume: VolumeRow, id: string | undefined, wanted: WantedSchedule): Promise<ScheduleRow> {
    const { catalog, clock, random } = this.#options;
    const nowMs = clock.nowMs();
    const own = (await catalog.schedules.of(volume.id)).filter(({ kind }) => kind === "own");
    const before = id === undefined ? undefined : own.find((row) => row.id === id);
    if (id !== undefined && before === undefined) throw new GatewayError("SnapshotScheduleNotFound");
    if (before === undefined && own.length >= OWN_SCHEDULES_MAX) {
      throw invalid(`A volume has at most ${OWN_SCHEDULES_MAX} schedules of its own.`);
    }
    const row: ScheduleRow = {
      ...(before ?? emptySchedule(`sched-${random.bytes(ID_BYTES).toString("hex")}`, volume, "own", nowMs)),
      name: wanted.name,
      cron: wanted.cron,
      timezone: wanted.timezone ?? null,
      description: wanted.description,
      tags: JSON.stringify(wanted.tags),
      enabled: wanted.isEnabled ? 1 : 0,
      settled_until: nowMs,
      missed_runs: 0,
      problem: null,
    };
    recurrenceOf(row, (await catalog.gateway(volume.gateway_id))?.timezone ?? "GMT", nowMs);
    await this.#put(row);
    return row;
  }

  /** Throws SnapshotScheduleNotFound where the volume has no such schedule of its own. */
  async removeOwn(volume: VolumeRow, id: string): Promise<void> {
    const { schedules } = this.#options.catalog;
    const row = await schedules.get(id);
    if (row?.volume_id !== volume.id || row.kind !== "own")
      throw new GatewayError("SnapshotScheduleNotFound");
    await schedules.remove(id);
  }

  /** Makes what is due now; resolves when all of it is made or has failed. */
  async look(): Promise<void> {
    const { catalog, onProblem } = this.#options;
    try {
      const gateways = new Map((await catalog.gateways()).map((row) => [row.id as string, row]));
      const volumes = new Map((await catalog.volumes()).map((row) => [row.id as string, row]));
      for (const row of await catalog.schedules.all()) {
        const volume = volumes.get(row.volume_id);
        const gateway = gateways.get(volume?.gateway_id ?? "");
        if (this.#stopped || volume === undefined || gateway === undefined || row.enabled === 0) continue;
        await this.#lookAt(row, volume, gateway);
      }
    } catch (error) {
      onProblem("schedules can't be looked at", error);
    }
  }

  async #lookAt(row: ScheduleRow, volume: VolumeRow, gateway: GatewayRow): Promise<void> {
    const { catalog, clock, onProblem } = this.#options;
    const nowMs = clock.nowMs();
    if (row.settled_until - nowMs > CLOCK_BACK_MS_MAX) {
      onProblem(`${row.id}: the clock was set back`, new Error("its runs begin again from now"));
      await catalog.schedules.update(row.id, { settled_until: nowMs });
      return;
    }
    const { dueAtMs, missed } = dueAt(recurrenceOf(row, gateway.timezone, nowMs), row.settled_until, nowMs);
    if (dueAtMs === undefined) return;
    if (missed > 0) {
      // What comes first is settled before: from here on only one moment is open.
      const missed_runs = row.missed_runs + missed;
      onProblem(`${row.id} has missed ${missed} runs`, new Error("one snapshot stands for them"));
      await catalog.schedules.update(row.id, { missed_runs, settled_until: dueAtMs - 1 });
    }
    if ((this.#retryAtMs.get(row.id) ?? 0) > clock.monotonicMs()) return;
    await this.#run(row, dueAtMs, volume, gateway);
  }

  async #run(row: ScheduleRow, dueAtMs: number, volume: VolumeRow, gateway: GatewayRow): Promise<void> {
    const { catalog, clock, snapshots, onProblem } = this.#options;
    try {
      if (gateway.state !== "running") throw new GatewayError("GatewayNotConnected");
      if (!isInUse(volume)) throw new GatewayError("VolumeNotReady", `It is ${volume.attachment}.`);
      await snapshots.createTogether([volume], row.description, tagsOf(row), {
        id: row.id,
        dueAtMs,
      });
      this.#retryAtMs.delete(row.id);
    } catch (error) {
      this.#retryAtMs.set(row.id, clock.monotonicMs() + RETRY_MS);
      const problem = error instanceof Error ? error.message : String(error);
      if (problem === row.problem) return;
      onProblem(`${row.id} could not make its snapshot of ${volume.id}`, error);
      await catalog.schedules.update(row.id, { problem });
    }
  }

  async #put(row: ScheduleRow): Promise<void> {
    await this.#options.catalog.schedules.put(row);
    this.#retryAtMs.delete(row.id);
  }

  #again(): void {
    this.#looking = this.look();
    this.#cancelTimer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.#looking.then(() => {
        if (!this.#stopped) this.#again();
      });
    });
  }
}
