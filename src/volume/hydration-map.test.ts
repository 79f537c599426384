import { strict as assert } from "node:assert";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { systemDisk } from "../platform/system-disk.ts";
import { HydrationMap } from "./hydration-map.ts";

const BLOCKS = 100_003;
const runs = fc.array(
  fc.tuple(fc.nat({ max: BLOCKS - 1 }), fc.integer({ min: 1, max: 40_000 }), fc.boolean()),
  { maxLength: 12 },
);

describe("hydration map", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-hydration-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let copies = 0;
  const newFolder = () => {
    copies += 1;
    return join(folder, String(copies));
  };

  test("counts and finds what was added; durable has what was flushed and nothing that came during the sync", async () => {
    await fc.assert(
      fc.asyncProperty(runs, fc.nat({ max: BLOCKS - 1 }), async (added, start) => {
        const here = newFolder();
        mkdirSync(here);
        const map = HydrationMap.open(systemDisk, here, BLOCKS, true);
        const model = new Set<number>();
        let flushed = new Set<number>();
        for (const [first, length, isFlushed] of added) {
          const count = Math.min(length, BLOCKS - first);
          const before = new Set(model);
          const add = () => {
            map.add(first, count);
            for (let block = first; block < first + count; block++) model.add(block);
          };
          if (!isFlushed) add();
          else {
            await map.flush(async () => add());
            flushed = before;
          }
        }
        assert.equal(map.hydratedBlocks, model.size);
        let missing = start;
        while (missing < BLOCKS && model.has(missing)) missing += 1;
        assert.equal(map.nextMissing(start), missing < BLOCKS ? missing : -1);
        map.close();
        for (const [trustExact, expected] of [
          [false, flushed],
          [true, model],
        ] as const) {
          const copy = newFolder();
          cpSync(here, copy, { recursive: true });
          const again = HydrationMap.open(systemDisk, copy, BLOCKS, trustExact);
          assert.equal(again.hydratedBlocks, expected.size);
          assert(added.every(([block]) => again.has(block) === expected.has(block)));
          again.close();
        }
      }),
      { numRuns: 40 },
    );
  });
});
