import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { BLOCK, options, upload } from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import { Vault } from "./vault.ts";

const LIMITS = { recordsMax: 1_000_000, timeMsMax: 60_000 };

/** Three moments of a volume: blocks 0 to 9, then 10 to 14 rewritten, then 12 to 15. */
async function threeMoments(): Promise<{ vault: Vault; keys: string[] }> {
  const vault = await Vault.open(options(new MemoryStore()));
  const random = new SeededRandom(9);
  const some = (first: number, end: number) =>
    new Map(Array.from({ length: end - first }, (_, i) => [first + i, random.bytes(BLOCK)] as const));
  const keys: string[] = [];
  for (const [i, changes] of [some(0, 15), some(10, 15), some(12, 16)].entries()) {
    const parentRootKey = keys.at(-1);
    keys.push((await upload(vault, { epoch: i + 1, changes, parentRootKey })).rootKey);
  }
  return { vault, keys };
}

describe("what a root takes by itself", () => {
  test("the records that neither neighbour has; all of them without neighbours", async () => {
    const { vault, keys } = await threeMoments();
    const [first, second, third] = keys as [string, string, string];
    // Of the blocks 10 to 14 that the second moment brought, the third has 10 and 11 still.
    const middle = await vault.footprints.unique(second, first, third, LIMITS);
    assert.equal(middle.blocks, 3);
    assert(middle.isWhole);
    const alone = await vault.footprints.unique(second, undefined, undefined, LIMITS);
    assert.equal(alone.blocks, 15);
    assert(middle.storedBytes > 0 && middle.storedBytes < alone.storedBytes);
    // Random blocks don't compress: each of them takes at least what it holds.
    assert(middle.storedBytes >= 3 * BLOCK && middle.storedBytes < 4 * BLOCK);
    const same = await vault.footprints.unique(second, first, second, LIMITS);
    assert.deepEqual(same, { blocks: 0, storedBytes: 0, isWhole: true });
    await vault.close();
  });

  test("content that is there twice is counted once", async () => {
    const vault = await Vault.open(options(new MemoryStore()));
    const content = new SeededRandom(3).bytes(BLOCK);
    const changes = new Map([0, 1, 2].map((block) => [block, content] as const));
    const { rootKey } = await upload(vault, { epoch: 1, changes });
    const { blocks, storedBytes } = await vault.footprints.unique(rootKey, undefined, undefined, LIMITS);
    assert.equal(blocks, 3);
    assert(storedBytes >= BLOCK && storedBytes < 2 * BLOCK);
    await vault.close();
  });

  test("a limit that comes first is told", async () => {
    const { vault, keys } = await threeMoments();
    const found = await vault.footprints.unique(keys[0] ?? "", undefined, undefined, {
      ...LIMITS,
      recordsMax: 4,
    });
    assert.equal(found.isWhole, false);
    assert.equal(found.blocks, 4);
    await vault.close();
  });
});

describe("how two roots differ", () => {
  test("how much, and where", async () => {
    const { vault, keys } = await threeMoments();
    const [first, , third] = keys as [string, string, string];
    const found = await vault.footprints.difference(first, third, 100, LIMITS);
    assert.equal(found.changedBlocks, 6);
    assert.equal(found.blockBytes, BLOCK);
    assert(found.isWhole);
    // A thousand blocks in a hundred parts: all of 10 to 15 lie in the second.
    assert.deepEqual([found.parts.length, found.parts[0], found.parts[1]], [100, 0, 6]);
    const back = await vault.footprints.difference(third, first, 1, LIMITS);
    assert.equal(back.changedBlocks, 6);
    const none = await vault.footprints.difference(third, third, 10, LIMITS);
    assert.deepEqual([none.changedBlocks, none.storedBytes], [0, 0]);
    await vault.close();
  });
});
