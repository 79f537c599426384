/**
 * How long a write waits that takes slots of a pool which fills up (invariant 9): not at all while it is less than
 * half full; from there on longer and longer, until at the end all writers together are as fast as slots become free.
 * So writers feel a slow line as a slow disk, and not as one that stops.
 *
 * Fair shares: each writer has a queue of its own, and one that holds little of the pool does not wait for those that
 * have filled it.
 */
import type { Clock } from "../platform/clock.ts";

/** Below this share of the pool nobody waits. */
const FREE_SHARE = 0.5;
const NEARLY_FULL_SHARE = 0.9;
/** The rate is measured over at least this. */
const MEASURE_MS = 250;
/** The newest measurement's weight. */
const NEWEST = 0.4;
/** Slots a second that are expected where nothing has become free yet. */
const RATE_MIN = 16;

export interface Filling {
  /** Slots that wait for the bucket, of all. */
  readonly heldSlots: number;
  readonly slotCount: number;
  /** Those of the one who asks, and how many have any. */
  readonly ownSlots: number;
  readonly owners: number;
}

export class Throttle {
  readonly #clock: Clock;
  readonly #delayMsMax: number;
  readonly #nextMs = new Map<number, number>();
  #freedSlots = 0;
  #measuredAtMs: number;
  #slotsPerMs = RATE_MIN / 1000;

  /** `delayMsMax`: the longest that one write waits. */
  constructor(clock: Clock, delayMsMax: number) {
    this.#clock = clock;
    this.#delayMsMax = delayMsMax;
    this.#measuredAtMs = clock.monotonicMs();
  }

  /** Slots have become free, or clean. */
  freed(slots: number): void {
    this.#freedSlots += slots;
  }

  /** Whether anybody may have to wait. */
  static isPressed(heldSlots: number, slotCount: number): boolean {
    return heldSlots > FREE_SHARE * slotCount;
  }

  /** How long the writer `owner` waits before it takes `slots` more. */
  delayMs(owner: number, slots: number, filling: Filling): number {
    const nowMs = this.#clock.monotonicMs();
    this.#measure(nowMs);
    const { heldSlots, slotCount, ownSlots, owners } = filling;
    // 1 where the pool is nearly full: writers are as fast as slots become free there, and slower beyond.
    const pressure = (heldSlots / slotCount - FREE_SHARE) / (NEARLY_FULL_SHARE - FREE_SHARE);
    const share = slotCount / Math.max(1, owners);
    if (pressure <= 0 || ownSlots + slots < FREE_SHARE * share) return 0;
    const slotsPerMs = this.#slotsPerMs / pressure ** 2 / Math.max(1, owners);
    const endMs = Math.max(nowMs, this.#nextMs.get(owner) ?? 0) + slots / slotsPerMs;
    const delayMs = Math.min(endMs - nowMs, this.#delayMsMax * Math.min(1, pressure ** 2));
    this.#nextMs.set(owner, nowMs + delayMs);
    return delayMs;
  }

  /** The owner is gone. */
  forget(owner: number): void {
    this.#nextMs.delete(owner);
  }

  #measure(nowMs: number): void {
    const elapsedMs = nowMs - this.#measuredAtMs;
    if (elapsedMs < MEASURE_MS) return;
    const measured = Math.max(this.#freedSlots / elapsedMs, RATE_MIN / 1000);
    this.#slotsPerMs += NEWEST * (measured - this.#slotsPerMs);
    this.#freedSlots = 0;
    this.#measuredAtMs = nowMs;
  }
}
