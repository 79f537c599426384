import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { KeptRows } from "./kept-rows.ts";

interface Row {
  readonly id: string;
  readonly value: number;
}

/** A table whose reads and writes take as long as the test likes. */
function table(isKept: boolean) {
  let rows: Row[] = [];
  let reads = 0;
  const waiting: (() => void)[] = [];
  const turn = () => new Promise<void>((resolve) => waiting.push(resolve));
  const kept = new KeptRows<Row>(
    async () => {
      reads += 1;
      await turn();
      const seen = rows;
      await turn();
      return [...seen];
    },
    ({ id }) => id,
    isKept,
  );
  const write = (row: Row) =>
    kept.changing(async () => {
      await turn();
      rows = [...rows.filter(({ id }) => id !== row.id), row];
      await turn();
    });
  /** One of those that wait goes on. */
  const step = async (which: number) => {
    waiting.splice(which % Math.max(1, waiting.length), 1)[0]?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const settle = async () => {
    while (waiting.length > 0) await step(0);
  };
  return { kept, write, step, settle, reads: () => reads };
}

test("the rows are read once until one is written", async () => {
  const { kept, write, settle, reads } = table(true);
  const ask = async () => {
    const asked = kept.of("a");
    await settle();
    return asked;
  };
  assert.deepEqual(await ask(), []);
  assert.deepEqual(await ask(), []);
  assert.equal(reads(), 1);
  const written = write({ id: "a", value: 1 });
  await settle();
  await written;
  assert.deepEqual(await ask(), [{ id: "a", value: 1 }]);
  assert.equal(await ask(), (await kept.of("a")) as unknown);
  assert.equal(reads(), 2);
});

test("where others write too, every question goes to the database", async () => {
  const { kept, settle, reads } = table(false);
  for (let i = 0; i < 3; i++) {
    const asked = kept.all();
    await settle();
    await asked;
  }
  assert.equal(reads(), 3);
});

test("whoever asks after a write sees it, however reads and writes overlap", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 20 }), { minLength: 5, maxLength: 60 }), async (steps) => {
      const { kept, write, step, settle } = table(true);
      let next = 0;
      let done = 0;
      const all: Promise<void>[] = [];
      for (const each of steps) {
        if (each < 3) {
          next += 1;
          const value = next;
          all.push(
            write({ id: String(value), value }).then(() => {
              done = Math.max(done, value);
            }),
          );
        } else if (each < 8) {
          const known = done;
          all.push(
            kept.all().then((rows) => {
              assert(known === 0 || rows.some(({ value }) => value === known), `${known} is missing`);
            }),
          );
        } else await step(each);
      }
      await settle();
      await Promise.all(all);
      const last = kept.all();
      await settle();
      assert.equal((await last).length, next);
    }),
    { numRuns: 300 },
  );
});
