import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BlockTable, NO_ENTRY } from "./block-table.ts";

describe("the table of blocks", () => {
  test("answers what a map would, whatever comes and goes", () => {
    const block = fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 2 ** 31 - 1 }));
    const step = fc.record({ block, value: fc.option(fc.nat({ max: 1000 })) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new BlockTable();
        const map = new Map<number, number>();
        for (const { block, value } of steps) {
          if (value === null) {
            table.delete(block);
            map.delete(block);
          } else {
            table.set(block, value);
            map.set(block, value);
          }
          assert.equal(table.get(block), map.get(block) ?? NO_ENTRY);
        }
        assert.equal(table.size, map.size);
        assert.deepEqual([...table.blocks()].sort(), [...map.keys()].sort());
        for (const [block, value] of map) assert.equal(table.get(block), value);
      }),
    );
  });

  test("grows and shrinks", () => {
    const table = new BlockTable();
    for (let i = 0; i < 100_000; i++) table.set(i * 7, i);
    for (let i = 0; i < 100_000; i++) assert.equal(table.get(i * 7), i);
    for (let i = 0; i < 99_990; i++) table.delete(i * 7);
    assert.deepEqual(
      [...table.blocks()].sort((a, b) => a - b),
      Array.from({ length: 10 }, (_, i) => (99_990 + i) * 7),
    );
  });
});
