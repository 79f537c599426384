import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import {
  BLOCK,
  chainOf,
  expectContent,
  keysOf,
  options,
  randomChanges,
  rot,
  START_MS,
  upload,
  VOLUME,
} from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

const volumeId = VOLUME as VolumeId;
const kindOf = (kind: string) => (error: unknown) => error instanceof VaultError && error.kind === kind;

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

  test("the next step of a long chain asks the bucket for nothing that is known", async () => {
    const store = new FaultyStore(new MemoryStore());
    const vault = await Vault.open(options(store));
    let parentRootKey: string | undefined;
    const gets: number[] = [];
    for (let epoch = 1; epoch <= 40; epoch++) {
      const before = store.calls.get;
      const changes = new Map([[epoch % 7, Buffer.alloc(BLOCK, epoch)]]);
      parentRootKey = (
        await upload(vault, { epoch, changes, parentRootKey, kind: "step", cutAtMs: START_MS + epoch })
      ).rootKey;
      gets.push(store.calls.get - before);
    }
    assert.deepEqual(new Set(gets.slice(3)).size, 1, gets.join(" "));
    assert((gets[39] ?? 9) <= 2, gets.join(" "));
    await vault.close();
  });

  test("an epoch that is uploaded again is its own, also where it would be of the other kind now", async () => {
    for (const kind of ["step", "checkpoint"] as const) {
      const store = new MemoryStore();
      const loose = { entriesMax: 100, stepsMax: 3, ageMsMax: 1_000 };
      const strict = { ...loose, stepsMax: 0 };
      const first = await Vault.open(options(store, { chain: kind === "step" ? loose : strict }));
      const base = await upload(first, { epoch: 1, changes: new Map([[5, Buffer.alloc(BLOCK, 5)]]) });
      const second = {
        epoch: 2,
        changes: new Map([[6, Buffer.alloc(BLOCK, 6)]]),
        parentRootKey: base.rootKey,
        kind: "step" as const,
        cutAtMs: START_MS,
      };
      const { rootKey } = await upload(first, second);
      await first.close();
      const again = await Vault.open(options(store, { chain: kind === "step" ? strict : loose }));
      assert.equal((await upload(again, second)).rootKey, rootKey);
      assert.equal((await again.listRoots(volumeId)).at(-1)?.kind, kind);
      const third = { ...second, epoch: 3, parentRootKey: rootKey };
      const { rootKey: last } = await upload(again, {
        ...third,
        changes: new Map([[7, Buffer.alloc(BLOCK, 7)]]),
      });
      const content = await again.readBlocks(last, 5, 3);
      assert.deepEqual([content[0], content[BLOCK], content[2 * BLOCK]], [5, 6, 7]);
      const other = { ...second, changes: new Map([[6, Buffer.alloc(BLOCK, 99)]]) };
      await assert.rejects(upload(again, other), kindOf("fenced"));
      await again.close();
    }
  });

  test("nothing is deleted that an unreadable root may stand on", async () => {
    const store = new MemoryStore();
    const [checkpoint = "", first = "", second = "", third = ""] = await chainOf(store, 3);
    await rot(store, second, 60);
    const problems: string[] = [];
    const vault = await Vault.open(options(store, { onProblem: (message) => problems.push(message) }));
    await assert.rejects(vault.deleteRoots(volumeId, [checkpoint, first]), kindOf("inUse"));
    await vault.deleteRoots(volumeId, [third]);
    assert.equal((await vault.listRoots(volumeId)).length, 2);
    assert(problems.some((problem) => problem.includes(second)));
    await vault.deleteRoots(volumeId, [second]);
    await vault.deleteRoots(volumeId, [first]);
    assert.deepEqual(
      (await vault.listRoots(volumeId)).map(({ rootKey }) => rootKey),
      [checkpoint],
    );
    await vault.close();
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
