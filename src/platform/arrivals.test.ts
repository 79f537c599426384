import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { Arrivals } from "./arrivals.ts";

/** A file whose ranges come when the test says so. */
class Source {
  readonly there = new Set<number>();
  readonly fetching = new Map<number, () => void>();

  isThere(position: number): boolean {
    return this.there.has(position);
  }

  fetch(position: number): Promise<void> {
    return new Promise((resolve) => this.fetching.set(position, resolve));
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
    const arrivals = new Arrivals(source);
    const done: number[] = [];
    for (let i = 0; i < count; i++) void arrivals.wait(i, 1).then(() => done.push(i));
    return { source, arrivals, done };
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
