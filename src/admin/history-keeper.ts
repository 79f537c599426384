/**
 * Carries the hour of history in memory over restarts and on into months: each minute of it becomes a row of the long
 * history, each hour of rows one row more, and after a start the last hour comes back, a minute at a time.
 */
import { type History, INTERVAL_MS, merged, SAMPLES } from "./history.ts";
import { type DatedRow, KEPT_MS, type LongHistory, type Row, TIER_MS, type Tier } from "./long-history.ts";

/** How the intervals of a line become one. */
export type Merge = "sum" | "mean" | "max";

export interface KeptResource {
  readonly id: string;
  readonly lines: readonly { readonly name: string; readonly merge: Merge }[];
}

/** Of these at most; others have the hour in memory only. Some 900 kB each. */
const RESOURCES_MAX = 200;
const INTERVALS_A_MINUTE = TIER_MS.minute / INTERVAL_MS;

export class HistoryKeeper {
  readonly #history: History;
  readonly #long: LongHistory;
  readonly #onProblem: (message: string, error: unknown) => void;
  /** Up to where minutes, and hours, are rows. */
  #minuteMs = 0;
  #hourMs = 0;

  constructor(history: History, long: LongHistory, onProblem: (message: string, error: unknown) => void) {
    this.#history = history;
    this.#long = long;
    this.#onProblem = onProblem;
  }

  /** After a start: brings the last hour back into memory. */
  restore(nowMs: number, mergeOf: (name: string) => Merge): void {
    this.#minuteMs = floorTo(nowMs, "minute");
    this.#hourMs = this.#long.newestMs("hour") ?? 0;
    const hourAgoMs = nowMs - SAMPLES * INTERVAL_MS;
    const byMinute = Map.groupBy(this.#long.rows("minute", hourAgoMs, nowMs), ({ atMs }) => atMs);
    for (const [atMs, rows] of byMinute) {
      for (let i = INTERVALS_A_MINUTE - 1; i >= 0; i--) {
        this.#history.advance(atMs - i * INTERVAL_MS);
        for (const row of rows) this.#bringBack(row, mergeOf);
      }
    }
  }

  #bringBack({ resource, names, values }: DatedRow, mergeOf: (name: string) => Merge): void {
    for (const [i, name] of names.entries()) {
      const value = values[i] ?? Number.NaN;
      // What was added in a minute is spread over its intervals: nobody knows any more when it came.
      const share = mergeOf(name) === "sum" ? value / INTERVALS_A_MINUTE : value;
      this.#history.set(resource, name, Number.isNaN(share) ? undefined : share);
    }
  }

  /** After each sample: what minutes and hours have ended since become rows. */
  keep(atMs: number, resources: readonly KeptResource[]): void {
    const minuteMs = floorTo(atMs, "minute");
    if (minuteMs <= this.#minuteMs) return;
    this.#minuteMs = minuteMs;
    const kept = resources.slice(0, RESOURCES_MAX);
    try {
      const places = this.#history.intervals(minuteMs - TIER_MS.minute, minuteMs).map(({ place }) => place);
      if (places.length > 0) this.#long.add("minute", minuteMs, this.#minuteRows(kept, places));
      this.#keepHours(minuteMs, kept);
    } catch (error) {
      this.#onProblem("the history of metrics can't be kept", error);
    }
  }

  /** What was kept of a line: when each minute or hour ended, and what it was; oldest first. */
  query(tier: Tier, resource: string, fromMs: number, toMs: number): DatedRow[] {
    return this.#long.rows(tier, fromMs, toMs, resource);
  }

  /** Up to when there are rows of a tier. */
  keptUntilMs(tier: Tier): number {
    return this.#long.newestMs(tier) ?? 0;
  }

  close(): void {
    this.#long.close();
  }

  #minuteRows(resources: readonly KeptResource[], places: readonly number[]): Row[] {
    return resources.map(({ id, lines }) => {
      const values = new Float32Array(lines.length);
      for (const [i, { name, merge }] of lines.entries()) {
        const line = this.#history.line(id, name);
        values[i] = (line && merged(line, places, merge)) ?? Number.NaN;
      }
      return { resource: id, names: lines.map(({ name }) => name), values };
    });
  }

  /** The hours that have ended and are no rows yet: also those in which the gateway was stopped. */
  #keepHours(minuteMs: number, resources: readonly KeptResource[]): void {
    const hourMs = floorTo(minuteMs, "hour");
    if (hourMs <= this.#hourMs) return;
    const lines = new Map(resources.map((resource) => [resource.id, resource.lines]));
    const rows = this.#long.rows("minute", Math.max(this.#hourMs, minuteMs - KEPT_MS.minute), hourMs);
    const byHour = Map.groupBy(rows, ({ atMs }) => Math.ceil(atMs / TIER_MS.hour) * TIER_MS.hour);
    for (const [atMs, ofHour] of byHour) {
      const byResource = Map.groupBy(ofHour, ({ resource }) => resource);
      const hour = [...byResource].flatMap(([id, some]) => {
        const known = lines.get(id);
        return known === undefined ? [] : [mergedRows(id, known, some)];
      });
      this.#long.add("hour", atMs, hour);
    }
    this.#hourMs = hourMs;
  }
}

/** Rows of one resource as one. */
function mergedRows(resource: string, lines: KeptResource["lines"], rows: readonly Row[]): Row {
  const places = rows.map((_, i) => i);
  const values = lines.map(({ name, merge }) => merged(lineOf(rows, name), places, merge) ?? Number.NaN);
  return { resource, names: lines.map(({ name }) => name), values: new Float32Array(values) };
}

/** A line's values in rows, whatever each of them has. */
export function lineOf(rows: readonly Row[], name: string): Float32Array {
  return Float32Array.from(rows, ({ names, values }) => {
    const at = names.indexOf(name);
    return at < 0 ? Number.NaN : (values[at] ?? Number.NaN);
  });
}

function floorTo(atMs: number, tier: Tier): number {
  return Math.floor(atMs / TIER_MS[tier]) * TIER_MS[tier];
}
