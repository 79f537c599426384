/** An hour of metrics in memory: one value for each 10 s of each line, in rings of a fixed size. */

export const INTERVAL_MS = 10_000;
export const SAMPLES = 360;
/** Of these at most; what comes later has no history. Some 35 kB each. */
const RESOURCES_MAX = 1_000;

export class History {
  /** When the interval ended; 0: not there yet. */
  readonly #times = new Float64Array(SAMPLES);
  readonly #resources = new Map<string, Map<string, Float32Array>>();
  #next = 0;

  /** Begins the next interval; the oldest one is forgotten. */
  advance(atMs: number): void {
    const at = this.#next;
    this.#times[at] = atMs;
    this.#next = (at + 1) % SAMPLES;
    for (const lines of this.#resources.values()) for (const line of lines.values()) line[at] = Number.NaN;
  }

  /** Puts down a value of the interval that `advance` has begun. */
  set(resource: string, name: string, value: number | undefined): void {
    let lines = this.#resources.get(resource);
    if (lines === undefined) {
      if (this.#resources.size >= RESOURCES_MAX) return;
      lines = new Map();
      this.#resources.set(resource, lines);
    }
    let line = lines.get(name);
    if (line === undefined) {
      line = new Float32Array(SAMPLES).fill(Number.NaN);
      lines.set(name, line);
    }
    line[(this.#next + SAMPLES - 1) % SAMPLES] = value ?? Number.NaN;
  }

  /** Keeps these resources and forgets all others. */
  keep(resources: ReadonlySet<string>): void {
    for (const resource of this.#resources.keys())
      if (!resources.has(resource)) this.#resources.delete(resource);
  }

  /** When the intervals of (fromMs, toMs] ended, oldest first, with their places in the rings. */
  intervals(fromMs: number, toMs: number): { readonly atMs: number; readonly place: number }[] {
    const found = [];
    for (let i = 0; i < SAMPLES; i++) {
      const place = (this.#next + i) % SAMPLES;
      const atMs = this.#times[place] ?? 0;
      if (atMs > fromMs && atMs <= toMs) found.push({ atMs, place });
    }
    return found;
  }

  /** A line's ring, or undefined where nothing was put down. */
  line(resource: string, name: string): Float32Array | undefined {
    return this.#resources.get(resource)?.get(name);
  }
}

/** What several intervals are together: NaN stands for "nothing", and where there is nothing at all undefined. */
export function merged(
  line: Float32Array,
  places: readonly number[],
  how: "sum" | "mean" | "max",
): number | undefined {
  let count = 0;
  let sum = 0;
  let max = Number.NEGATIVE_INFINITY;
  for (const place of places) {
    const value = line[place] ?? Number.NaN;
    if (Number.isNaN(value)) continue;
    count += 1;
    sum += value;
    max = Math.max(max, value);
  }
  if (count === 0) return undefined;
  if (how === "sum") return sum;
  return how === "mean" ? sum / count : max;
}
