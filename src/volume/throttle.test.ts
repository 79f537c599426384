import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Throttle } from "./throttle.ts";

const SLOTS = 1000;
const DELAY_MS_MAX = 1_000;

/** Writers that write as fast as they may into a pool that is emptied at `slotsPerSecond`, for a while. */
function run(writers: readonly number[], slotsPerSecond: number, seconds: number) {
  const clock = new ManualClock();
  const throttle = new Throttle(clock, DELAY_MS_MAX);
  const held = writers.map(() => 0);
  const written = writers.map(() => 0);
  const dueMs = writers.map(() => 0);
  let fullest = 0;
  let freed = 0;
  const startMs = clock.monotonicMs();
  let turn = 0;
  for (let tick = 0; tick < seconds * 1000; tick++) {
    clock.advance(1);
    const nowMs = clock.monotonicMs();
    const due = Math.floor(((nowMs - startMs) / 1000) * slotsPerSecond) - freed;
    for (let i = 0; i < due; i++) {
      if (held.every((count) => count === 0)) break;
      // The volumes' uploads go on side by side.
      do turn = (turn + 1) % held.length;
      while (held[turn] === 0);
      const owner = turn;
      held[owner] = (held[owner] ?? 0) - 1;
      throttle.freed(1);
    }
    freed += due;
    for (const [owner, perTick] of writers.entries()) {
      const wanted = perTick >= 1 ? perTick : tick % (1 / perTick) === 0 ? 1 : 0;
      for (let i = 0; i < wanted && (dueMs[owner] ?? 0) <= nowMs; i++) {
        const heldSlots = held.reduce((a, b) => a + b, 0);
        if (heldSlots >= SLOTS) break;
        const owners = held.filter((count) => count > 0).length;
        const filling = { heldSlots, slotCount: SLOTS, ownSlots: held[owner] ?? 0, owners };
        dueMs[owner] = nowMs + throttle.delayMs(owner, 1, filling);
        held[owner] = (held[owner] ?? 0) + 1;
        written[owner] = (written[owner] ?? 0) + 1;
        fullest = Math.max(fullest, heldSlots + 1);
      }
    }
  }
  return { written, held, fullest };
}

describe("the throttle", () => {
  test("holds nobody back below half", () => {
    const throttle = new Throttle(new ManualClock(), DELAY_MS_MAX);
    const filling = { heldSlots: SLOTS / 2, slotCount: SLOTS, ownSlots: SLOTS / 2, owners: 1 };
    assert.equal(throttle.delayMs(0, 10, filling), 0);
    assert(!Throttle.isPressed(SLOTS / 2, SLOTS));
  });

  test("brings a fast writer down to the rate at which slots become free, before the pool is full", () => {
    const { written, fullest } = run([5], 200, 60);
    assert(fullest < SLOTS, `${fullest} slots were held`);
    const total = written[0] ?? 0;
    assert(total > 60 * 200 && total < 60 * 200 + SLOTS, `${total} slots were written`);
  });

  test("shares the rate between writers, and does not hold back one that writes little", () => {
    const { written } = run([5, 5, 0.05], 400, 60);
    const [a = 0, b = 0, little = 0] = written;
    assert(Math.abs(a - b) < 0.2 * a, `${a} and ${b}`);
    assert(little > 0.95 * 60 * 50, `${little} of ${60 * 50}`);
  });

  test("no write waits longer than it may, however slow the line", () => {
    const throttle = new Throttle(new ManualClock(), DELAY_MS_MAX);
    for (let heldSlots = SLOTS / 2; heldSlots <= SLOTS; heldSlots += 50) {
      const delayMs = throttle.delayMs(0, 500, {
        heldSlots,
        slotCount: SLOTS,
        ownSlots: heldSlots,
        owners: 1,
      });
      assert(delayMs >= 0 && delayMs <= DELAY_MS_MAX);
    }
  });
});
