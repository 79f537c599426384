import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ReadAhead, RUN_BLOCKS } from "./read-ahead.ts";

/** A read-ahead whose fetches end when the test says so. */
function made(blockCount = 1000) {
  const fetched: number[] = [];
  const pending: { resolve(): void; reject(error: Error): void }[] = [];
  const ahead = new ReadAhead(
    () => blockCount,
    (first, count) => {
      for (let block = first; block < first + count; block++) fetched.push(block);
      return new Promise<void>((resolve, reject) => pending.push({ resolve, reject }));
    },
  );
  return { ahead, fetched, pending };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("read-ahead", () => {
  test("random misses fetch what was asked for and nothing else", () => {
    const { ahead, fetched } = made();
    for (const block of [7, 500, 12, 900]) assert.equal(ahead.missed(block, 1), 1);
    assert.deepEqual(fetched, []);
  });

  test("a sequential reader finds two runs ahead of it, and each block is fetched once", () => {
    const { ahead, fetched } = made();
    assert.equal(ahead.missed(0, 2), 2);
    assert.equal(ahead.missed(2, 2), RUN_BLOCKS);
    assert.deepEqual(fetched, range(18, 18 + 2 * RUN_BLOCKS));
    for (let block = 4; block < 200; block++) {
      ahead.touched(block);
      const seen = fetched.at(-1) ?? 0;
      assert(seen >= block + RUN_BLOCKS - 1, `at ${block} only up to ${seen}`);
      assert(seen < block + 4 * RUN_BLOCKS, `at ${block} up to ${seen}`);
    }
    assert.deepEqual(fetched, range(18, (fetched.at(-1) ?? 0) + 1));
  });

  test("stops at the end of the volume", () => {
    const { ahead, fetched } = made(40);
    ahead.missed(0, 1);
    ahead.missed(1, 1);
    for (let block = 1; block < 40; block++) ahead.touched(block);
    assert.deepEqual(fetched, range(17, 40));
  });

  test("fetches nothing beyond the end of a volume that ends within the first run", () => {
    const { ahead, fetched } = made(20);
    ahead.missed(0, 1);
    ahead.missed(1, 1);
    assert.deepEqual(fetched, range(17, 20));
  });

  test("whoever needs a block that is on its way waits for it, and a failure lets him fetch it himself", async () => {
    const { ahead, pending } = made();
    ahead.missed(0, 1);
    ahead.missed(1, 1);
    const first = ahead.fetchOf(17);
    assert(first !== undefined && ahead.fetchOf(32) === first && ahead.fetchOf(33) !== first);
    assert.equal(ahead.fetchOf(16), undefined);
    pending[0]?.reject(new Error("no answer"));
    await first;
    assert.equal(ahead.fetchOf(17), undefined);
    pending[1]?.resolve();
    await ahead.fetchOf(33);
    assert.equal(ahead.fetchOf(33), undefined);
  });

  test("what is expected is fetched at once, in runs, and not what is on its way", async () => {
    const { ahead, fetched, pending } = made();
    ahead.expected(100, 40);
    assert.deepEqual(fetched, range(100, 140));
    assert.equal(pending.length, 3);
    assert(ahead.fetchOf(100) === ahead.fetchOf(115) && ahead.fetchOf(115) !== ahead.fetchOf(116));
    ahead.expected(90, 60);
    assert.deepEqual(fetched.slice(40), [...range(90, 100), ...range(140, 150)]);
    // It was no sequence: nothing is fetched beyond.
    assert.equal(fetched.length, 60);
  });

  test("who expects one stretch after the other is a sequential reader", () => {
    const { ahead, fetched } = made();
    ahead.expected(0, 16);
    ahead.expected(16, 16);
    assert.deepEqual(
      fetched.sort((a, b) => a - b),
      range(0, 32 + 2 * RUN_BLOCKS),
    );
  });
});
