import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import {
  BLOCK,
  expectContent,
  keysOf,
  options,
  randomChanges,
  rot,
  upload,
  VOLUME,
} from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { checkRoot, decodeEntries, type Entry, encodeEntries } from "./root.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

const START_MS = 1_700_000_000_000;
const volumeId = VOLUME as VolumeId;
const kindOf = (kind: string) => (error: unknown) => error instanceof VaultError && error.kind === kind;

describe("entries of a step", () => {
  const entries = fc
    .uniqueArray(fc.nat({ max: 9_999 }), { maxLength: 50 })
    .map((blocks) => blocks.sort((a, b) => a - b))
    .chain((blocks) =>
      fc.tuple(
        ...blocks.map((block) =>
          fc.tuple(fc.constant(block), fc.option(fc.uint8Array({ minLength: 20, maxLength: 20 }))),
        ),
      ),
    )
    .map((pairs): Entry[] =>
      pairs.map(([block, name]) => [block, name === null ? undefined : Buffer.from(name)]),
    );

  test("come back as they were written", () => {
    fc.assert(
      fc.property(entries, (value) => assert.deepEqual(decodeEntries(encodeEntries(value), 10_000), value)),
    );
  });

  test("no bytes are read as entries that could not have been written, and none crash the reader", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          const read = decodeEntries(Buffer.from(bytes), 10_000);
          assert.deepEqual(encodeEntries(read), Buffer.from(bytes));
        } catch (error) {
          assert(error instanceof VaultError);
        }
      }),
    );
  });
});

describe("steps and checkpoints", () => {
  test("every root of a long life holds what it was made of", async () => {
    for (let seed = 0; seed < 6; seed++) await live(seed, new MemoryStore());
  });

  test("also where the bucket fails and answers twice", async () => {
    for (let seed = 0; seed < 4; seed++) {
      const random = new SeededRandom(seed + 1000);
      const store = new FaultyStore(new MemoryStore());
      const fail = (isOn: boolean) => {
        store.fault = () =>
          isOn && random.chance(0.03) ? random.pick(["before", "after"] as const) : undefined;
      };
      await live(seed, store, fail);
    }
  });

  test("a step sends far less than a checkpoint for the same scattered change", async () => {
    const sent = async (kind: "checkpoint" | "step") => {
      const store = new MemoryStore();
      const vault = await Vault.open(options(store));
      const random = new SeededRandom(5);
      const blocks = 200_000;
      const first = await upload(vault, { epoch: 1, changes: randomChanges(random, 2000, blocks), blocks });
      const before = await bytesIn(store);
      const changes = new Map(
        Array.from({ length: 200 }, (_, i) => [i * 997, Buffer.alloc(BLOCK, i + 1)] as const),
      );
      await upload(vault, {
        epoch: 2,
        changes,
        blocks,
        parentRootKey: first.rootKey,
        kind,
        cutAtMs: START_MS,
      });
      await vault.close();
      return (await bytesIn(store)) - before;
    };
    const [checkpoint, step] = [await sent("checkpoint"), await sent("step")];
    assert(step * 2 < checkpoint, `${step} bytes as a step, ${checkpoint} as a checkpoint`);
  });

  test("chains end: by their entries, by their length, by their age", async () => {
    const chain = { entriesMax: 10, stepsMax: 3, ageMsMax: 1_000 };
    const vault = await Vault.open(options(new MemoryStore(), { chain }));
    let parentRootKey: string | undefined;
    let epoch = 0;
    let cutAtMs = START_MS;
    const next = async (blocks: number, laterMs: number) => {
      epoch += 1;
      cutAtMs += laterMs;
      const changes = new Map(
        Array.from({ length: blocks }, (_, i) => [i, Buffer.alloc(BLOCK, epoch)] as const),
      );
      parentRootKey = (await upload(vault, { epoch, changes, parentRootKey, kind: "step", cutAtMs })).rootKey;
      return (await vault.listRoots(volumeId)).at(-1)?.kind;
    };
    const kinds: unknown[] = [];
    for (const [blocks, laterMs] of [
      [1, 0],
      [1, 1],
      [1, 1],
      [1, 1],
      [1, 1], // the third step is the last of its chain
      [6, 1],
      [6, 1], // 6 + 6 entries are too many
      [1, 500],
      [1, 600], // too old
    ] as const) {
      kinds.push(await next(blocks, laterMs));
    }
    assert.deepEqual(kinds, [
      "checkpoint",
      "step",
      "step",
      "step",
      "checkpoint",
      "step",
      "checkpoint",
      "step",
      "checkpoint",
    ]);
    await vault.close();
  });

  test("a snapshot and a volume of another size are always checkpoints", async () => {
    const vault = await Vault.open(options(new MemoryStore()));
    const changes = new Map([[1, Buffer.alloc(BLOCK, 1)]]);
    const first = await upload(vault, { epoch: 1, changes });
    await upload(vault, { epoch: 2, changes, parentRootKey: first.rootKey, kind: "checkpoint" });
    await upload(vault, { epoch: 3, changes, parentRootKey: first.rootKey, kind: "step", blocks: 2000 });
    const kinds = (await vault.listRoots(volumeId)).map(({ kind }) => kind);
    assert.deepEqual(kinds, ["checkpoint", "checkpoint", "checkpoint"]);
    await vault.close();
  });

  test("a damaged step, and one that stands on a missing or damaged one, is an error and never data", async () => {
    for (const what of ["rot", "gone", "rot below", "gone below"] as const) {
      const store = new MemoryStore();
      const keys = await chainOf(store, 3);
      const victim = what.endsWith("below") ? keys[1] : keys[3];
      assert(victim !== undefined && keys[3] !== undefined);
      if (what.startsWith("rot")) await rot(store, victim, 60);
      else await store.delete([victim]);
      const vault = await Vault.open(options(store));
      const kind = what.startsWith("rot") ? "corrupt" : "notFound";
      await assert.rejects(vault.readBlocks(keys[3], 0, 10), kindOf(kind), what);
      await vault.close();
    }
  });

  test("a root of a kind of the future is refused by name", async () => {
    const store = new MemoryStore();
    const [key] = await chainOf(store, 0);
    assert(key !== undefined);
    assert.throws(() => checkRoot(key, { format: 1, kind: "leap" }), /kind leap is not known/);
    assert.throws(() => checkRoot(key, { format: 2, kind: "step" }), /format 2/);
  });

  test("roots that others stand on are not deleted; the others go, and what is left can be read", async () => {
    const store = new MemoryStore();
    const keys = await chainOf(store, 4);
    const vault = await Vault.open(options(store));
    const [checkpoint = "", first = "", second = "", third = "", fourth = ""] = keys;
    await assert.rejects(vault.deleteRoots(volumeId, [checkpoint]), kindOf("inUse"));
    await assert.rejects(vault.deleteRoots(volumeId, [second, fourth]), kindOf("inUse"));
    assert.equal((await vault.listRoots(volumeId)).length, 5);
    await vault.deleteRoots(volumeId, [third, fourth]);
    assert.deepEqual(
      (await vault.listRoots(volumeId)).map(({ rootKey }) => rootKey),
      [checkpoint, first, second],
    );
    const content = await vault.readBlocks(second, 0, 3);
    assert.deepEqual([content[0], content[BLOCK], content[2 * BLOCK]], [1, 1, 2]);
    await vault.close();
  });
});

/** A checkpoint with block 0 set, and steps that each set one block more; their keys. */
async function chainOf(store: MemoryStore, steps: number): Promise<string[]> {
  const vault = await Vault.open(options(store));
  const keys: string[] = [];
  for (let i = 0; i <= steps; i++) {
    const changes = new Map([[i, Buffer.alloc(BLOCK, Math.max(i, 1))]]);
    const parent = keys.at(-1);
    const { rootKey } = await upload(vault, {
      epoch: i + 1,
      changes,
      parentRootKey: parent,
      kind: "step",
      cutAtMs: START_MS + i,
    });
    keys.push(rootKey);
  }
  await vault.close();
  return keys;
}

async function bytesIn(store: MemoryStore): Promise<number> {
  let bytes = 0;
  for (const key of await keysOf(store)) bytes += (await store.get(key)).length;
  return bytes;
}

/** Random changes, sizes and kinds of roots, with the vault opened anew now and then; checks all roots at the end. */
async function live(seed: number, store: ObjectStore, fail?: (isOn: boolean) => void): Promise<void> {
  const random = new SeededRandom(seed);
  const chain = { entriesMax: 60, stepsMax: 5, ageMsMax: 10_000 };
  const open = () => Vault.open(options(store, { chain }));
  let vault = await open();
  let blocks = 300;
  let content = new Map<number, Buffer>();
  let parentRootKey: string | undefined;
  let cutAtMs = START_MS;
  const roots = new Map<string, { content: Map<number, Buffer>; blocks: number }>();
  for (let epoch = 1; epoch <= 30; epoch++) {
    if (random.chance(0.1)) blocks += 300;
    if (random.chance(0.2)) {
      await vault.close();
      vault = await open();
    }
    cutAtMs += random.below(3_000);
    const changes = randomChanges(random, random.below(20), blocks);
    content = new Map([...content, ...changes]);
    const kind = random.chance(0.8) ? "step" : "checkpoint";
    fail?.(true);
    for (let attempt = 0; ; attempt++) {
      assert(attempt < 200, "the upload never succeeds");
      try {
        ({ rootKey: parentRootKey } = await upload(vault, {
          epoch,
          changes,
          blocks,
          parentRootKey,
          kind,
          cutAtMs,
        }));
        break;
      } catch (error) {
        if (fail === undefined || !(error instanceof VaultError) || error.kind !== "unavailable") throw error;
      }
    }
    fail?.(false);
    roots.set(parentRootKey, { content, blocks });
    const view = random.pick([...roots.keys()]);
    const expected = roots.get(view);
    if (expected !== undefined) await expectContent(vault, view, expected.content, expected.blocks);
  }
  await vault.close();
  vault = await open();
  for (const [key, expected] of roots) await expectContent(vault, key, expected.content, expected.blocks);
  const kinds = new Set((await vault.listRoots(volumeId)).map(({ kind }) => kind));
  assert.equal(kinds.size, 2);
  await vault.close();
}
