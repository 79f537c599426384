import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Change, Overlay } from "./overlay.ts";
import { VaultError } from "./vault-error.ts";

describe("an overlay", () => {
  // A name, or those of a block, its base and one to four deltas.
  const entryBytes = fc
    .constantFrom(1, 3, 4, 5, 6)
    .chain((names) => fc.uint8Array({ minLength: names * 20, maxLength: names * 20 }));
  const entries = fc
    .uniqueArray(fc.nat({ max: 9_999 }), { maxLength: 50 })
    .map((blocks) => blocks.sort((a, b) => a - b))
    .chain((blocks) =>
      fc.tuple(...blocks.map((block) => fc.tuple(fc.constant(block), fc.option(entryBytes)))),
    )
    .map((pairs): Change[] =>
      pairs.map(([block, name]) => [block, name === null ? undefined : Buffer.from(name)]),
    );

  test("come back as they were written", () => {
    fc.assert(
      fc.property(entries, (value) => {
        const overlay = Overlay.of(value);
        assert.deepEqual(entriesOf(overlay), value);
        assert.deepEqual(entriesOf(Overlay.decode(overlay.encode(), 10_000)), value);
      }),
    );
  });

  test("no bytes are read as entries that could not have been written, and none crash the reader", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          assert.deepEqual(Overlay.decode(Buffer.from(bytes), 10_000).encode(), Buffer.from(bytes));
        } catch (error) {
          assert(error instanceof VaultError);
        }
      }),
    );
  });

  test("one over another is what a map of both would be, and is found by block", () => {
    fc.assert(
      fc.property(entries, entries, fc.nat({ max: 10_000 }), (below, above, block) => {
        const both = Overlay.of(below).under(Overlay.of(above));
        const expected = [...new Map([...below, ...above])].sort(([a], [b]) => a - b);
        assert.deepEqual(entriesOf(both), expected);
        const next = expected.findIndex(([each]) => each >= block);
        assert.equal(both.indexFrom(block), next === -1 ? expected.length : next);
      }),
    );
  });
});

function entriesOf(overlay: Overlay): Change[] {
  return Array.from({ length: overlay.size }, (_, i) => [overlay.blockAt(i), overlay.entryAt(i)]);
}
