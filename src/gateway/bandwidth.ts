/**
 * Limits on what gateways send to the bucket and fetch from it: weekly schedules, of which a single limit is the
 * simplest. What holds now is told to the uploader whenever it changes.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { GatewayError, invalid } from "./errors.ts";
import { type BandwidthInterval, changedSettings, readSettings } from "./gateway-settings.ts";
import type { BandwidthControl, BandwidthLimits } from "./ports.ts";
import { wallTime } from "./time-zone.ts";

/** Bits per second, each way; no limit where there is none. */
export interface RateLimits {
  readonly uploadBitsPerSecond?: number;
  readonly downloadBitsPerSecond?: number;
}

export type BandwidthType = "UPLOAD" | "DOWNLOAD" | "ALL";

export interface BandwidthOptions {
  readonly catalog: Catalog;
  readonly control: BandwidthControl;
  readonly clock: Clock;
  readonly onProblem: (message: string, error: unknown) => void;
}

const INTERVALS_MAX = 20;
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
/** Wall clocks jump: what holds now is looked up so often, not computed ahead. */
const LOOK_EVERY_MS = 5_000;

export class Bandwidth {
  readonly #options: BandwidthOptions;
  readonly #told = new Map<string, string>();
  #cancelTimer: () => void = () => {};
  #looking: Promise<void> = Promise.resolve();

  constructor(options: BandwidthOptions) {
    this.#options = options;
  }

  /** Tells the uploader what holds now, and whenever that changes; resolves when it has been told the first time. */
  start(): Promise<void> {
    this.#looking = this.look();
    this.#cancelTimer = this.#options.clock.after(LOOK_EVERY_MS, () => void this.start());
    return this.#looking;
  }

  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#looking;
  }

  /** Tells the uploader what holds now, where that is not what it was told last. */
  async look(): Promise<void> {
    const { catalog, onProblem } = this.#options;
    try {
      for (const gateway of await catalog.gateways()) await this.#tell(gateway);
    } catch (error) {
      onProblem("bandwidth limits can't be set", error);
    }
  }

  /** The single limit, or what holds now where there is a schedule of several. */
  limits(gateway: GatewayRow): RateLimits {
    return limitsAt(gateway, this.#options.clock.nowMs());
  }

  schedule(gateway: GatewayRow): readonly BandwidthInterval[] {
    return readSettings(gateway).bandwidth ?? [];
  }

  /** Limits for all time in place of what there was; one that is not given stays as it holds now. */
  async setLimits(gateway: GatewayRow, limits: RateLimits): Promise<void> {
    await this.#setAlways(gateway, { ...this.limits(gateway), ...limits });
  }

  /** Takes limits away. Throws BandwidthThrottleScheduleNotFound where there is none of that kind. */
  async remove(gateway: GatewayRow, type: BandwidthType): Promise<void> {
    const { uploadBitsPerSecond, downloadBitsPerSecond } = this.limits(gateway);
    const has = this.schedule(gateway).some(
      (interval) =>
        (type !== "DOWNLOAD" && interval.uploadBitsPerSecond !== undefined) ||
        (type !== "UPLOAD" && interval.downloadBitsPerSecond !== undefined),
    );
    if (!has) throw new GatewayError("BandwidthThrottleScheduleNotFound");
    await this.#setAlways(gateway, {
      ...(type === "DOWNLOAD" && uploadBitsPerSecond !== undefined && { uploadBitsPerSecond }),
      ...(type === "UPLOAD" && downloadBitsPerSecond !== undefined && { downloadBitsPerSecond }),
    });
  }

  /** Replaces the schedule. Throws InvalidParameters for intervals that end before they begin, or overlap. */
  async setSchedule(gateway: GatewayRow, intervals: readonly BandwidthInterval[]): Promise<void> {
    checkIntervals(intervals);
    await this.#set(gateway, intervals);
  }

  #setAlways(gateway: GatewayRow, limits: RateLimits): Promise<void> {
    const hasLimit = limits.uploadBitsPerSecond !== undefined || limits.downloadBitsPerSecond !== undefined;
    const always = {
      startHour: 0,
      startMinute: 0,
      endHour: 23,
      endMinute: 59,
      daysOfWeek: EVERY_DAY,
      ...limits,
    };
    return this.#set(gateway, hasLimit ? [always] : []);
  }

  async #set(gateway: GatewayRow, bandwidth: readonly BandwidthInterval[]): Promise<void> {
    const settings = changedSettings(gateway, { bandwidth: bandwidth.length === 0 ? undefined : bandwidth });
    await this.#options.catalog.updateGateway(gateway.id, { settings });
    await this.#tell({ ...gateway, settings });
  }

  async #tell(gateway: GatewayRow): Promise<void> {
    const { uploadBitsPerSecond, downloadBitsPerSecond } = this.limits(gateway);
    const limits: BandwidthLimits = {
      ...(uploadBitsPerSecond !== undefined && { uploadBytesPerSecond: uploadBitsPerSecond / 8 }),
      ...(downloadBitsPerSecond !== undefined && { downloadBytesPerSecond: downloadBitsPerSecond / 8 }),
    };
    const text = JSON.stringify(limits);
    if ((this.#told.get(gateway.id) ?? "{}") === text) return;
    await this.#options.control.setBandwidth(gateway.id, limits);
    this.#told.set(gateway.id, text);
  }
}

/** What holds at a moment: the interval that it falls into. */
export function limitsAt(gateway: GatewayRow, nowMs: number): RateLimits {
  const { dayOfWeek, minuteOfDay } = wallTime(nowMs, gateway.timezone);
  const interval = (readSettings(gateway).bandwidth ?? []).find(
    (each) =>
      each.daysOfWeek.includes(dayOfWeek) && startOf(each) <= minuteOfDay && minuteOfDay <= endOf(each),
  );
  if (interval === undefined) return {};
  const { uploadBitsPerSecond, downloadBitsPerSecond } = interval;
  return {
    ...(uploadBitsPerSecond !== undefined && { uploadBitsPerSecond }),
    ...(downloadBitsPerSecond !== undefined && { downloadBitsPerSecond }),
  };
}

function startOf(interval: BandwidthInterval): number {
  return interval.startHour * 60 + interval.startMinute;
}

function endOf(interval: BandwidthInterval): number {
  return interval.endHour * 60 + interval.endMinute;
}

function checkIntervals(intervals: readonly BandwidthInterval[]): void {
  if (intervals.length > INTERVALS_MAX) throw invalid(`A schedule has at most ${INTERVALS_MAX} intervals.`);
  for (const [i, interval] of intervals.entries()) {
    if (endOf(interval) < startOf(interval)) throw invalid("An interval ends before it begins.");
    if (interval.uploadBitsPerSecond === undefined && interval.downloadBitsPerSecond === undefined) {
      throw invalid("An interval has no limit.");
    }
    const overlaps = intervals
      .slice(0, i)
      .some(
        (other) =>
          other.daysOfWeek.some((day) => interval.daysOfWeek.includes(day)) &&
          startOf(other) <= endOf(interval) &&
          startOf(interval) <= endOf(other),
      );
    if (overlaps) throw invalid("Intervals overlap.");
  }
}
