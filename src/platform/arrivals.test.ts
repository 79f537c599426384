import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Arrivals } from "./arrivals.ts";

/** A file whose ranges come when the test says so. */
class Source {
  readonly there = new Set<number>();
  readonly fetching = new Map<number, () => void>();
  readonly failing = new Map<number, (error: Error) => void>();

  isThere(position: number): boolean {
    return this.there.has(position);
  }

  fetch(position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.fetching.set(position, resolve);
      this.failing.set(position, reject);
    });
  }

  /** The disk has brought the range. */
  async come(position: number): Promise<void> {
    this.there.add(position);
    this.fetching.get(position)?.();
    this.fetching.delete(position);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("readers that wait for a disk", () => {
  const waiting = (count: number) => {
    const source = new Source();
    const clock = new ManualClock();
    const arrivals = new Arrivals(source, (delayMs, callback) => clock.after(delayMs, callback));
    const done: number[] = [];
    for (let i = 0; i < count; i++) void arrivals.wait(i, 1).then(() => done.push(i));
    return { source, arrivals, clock, done };
  };

  test("a few are waited for at a time, the oldest", () => {
    const { source } = waiting(10);
    assert.deepEqual([...source.fetching.keys()], [0, 1]);
  });

  test("what has come with another goes on too, without a turn in another thread", async () => {
    const { source, done } = waiting(6);
    source.there.add(3).add(5);
    await source.come(0);
    assert.deepEqual(done, [0, 3, 5]);
    assert.deepEqual([...source.fetching.keys()], [1, 2]);
  });

  test("one that takes for ever does not hold up the others", async () => {
    const { source, done } = waiting(100);
    for (let i = 1; i < 100; i++) await source.come(i);
    assert.equal(done.length, 99);
    assert(!done.includes(0));
  });

  test("nor do two: what has come meanwhile goes on, however many wait", async () => {
    const { source, clock, done } = waiting(100);
    for (let i = 2; i < 100; i++) if (i !== 50) source.there.add(i);
    await clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done.length, 97);
    assert(![0, 1, 50].some((i) => done.includes(i)));
    source.there.add(50);
    clock.advance(1_000);
    // Nobody is left to look after but the two that are being fetched.
    clock.advance(1_000);
    assert.equal(clock.nextDueMs, undefined);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done.length, 98);
  });

  test("what can't be read is told to whom it concerns, and to nobody else", async () => {
    const source = new Source();
    const arrivals = new Arrivals(source);
    const waits = [0, 1, 2].map((i) => arrivals.wait(i, 1));
    source.failing.get(0)?.(new Error("EIO"));
    await assert.rejects(waits[0] ?? Promise.resolve(), /EIO/);
    for (const i of [1, 2]) await source.come(i);
    await Promise.all(waits.slice(1));
  });

  test("one whose bytes are gone again when it is told is told all the same, and may come again", async () => {
    const { source, arrivals, done } = waiting(1);
    source.fetching.get(0)?.();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(done, [0]);
    const again = arrivals.wait(0, 1);
    await source.come(0);
    await again;
  });
});
