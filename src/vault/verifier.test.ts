import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import {
  BLOCK,
  BLOCKS,
  keysOf,
  options,
  randomChanges,
  record,
  rot,
  START_MS,
  upload,
  VOLUME,
} from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";
import type { VerificationReport } from "./verifier.ts";

const SNAPSHOT = "snap-0123456789abcdef0" as SnapshotId;
const PACK_BYTES = 64 * 1024;

/** A vault with a checkpoint that is a snapshot, deltas over it, and steps. */
async function filled(): Promise<{ store: MemoryStore; roots: string[] }> {
  const store = new MemoryStore();
  const vault = await Vault.open(options(store, { packBytes: PACK_BYTES }));
  const random = new SeededRandom(3);
  const model = randomChanges(random, 300);
  const roots: string[] = [];
  for (let epoch = 1; epoch <= 4; epoch++) {
    const changes = new Map(model);
    if (epoch > 1) {
      changes.clear();
      for (const block of [...model.keys()].filter(() => random.chance(0.1))) {
        const content = Buffer.from(model.get(block) ?? []);
        random.bytes(BLOCK / 16).copy(content, BLOCK / 16);
        changes.set(block, content);
        model.set(block, content);
      }
    }
    const pieces = new Map([...changes.keys()].map((block) => [block, epoch === 1 ? 0xffff : 2]));
    const kind = epoch > 2 ? "step" : "checkpoint";
    const done = await upload(vault, {
      ...{ epoch, changes, pieces, kind, cutAtMs: START_MS + epoch },
      parentRootKey: roots.at(-1),
    });
    roots.push(done.rootKey);
  }
  await vault.records.putSnapshot(record({ snapshotId: SNAPSHOT, rootKey: roots[1] ?? "" }));
  await vault.close();
  return { store, roots };
}

async function verified(store: MemoryStore, percent = 100): Promise<VerificationReport> {
  const vault = await Vault.open(options(store));
  try {
    return await vault.verify(percent);
  } finally {
    await vault.close();
  }
}

/** The blocks that a reader can't get, root by root: undefined where not even the root can be had. */
async function unreadable(store: MemoryStore, roots: readonly string[]): Promise<(number[] | undefined)[]> {
  const vault = await Vault.open(options(store));
  const found: (number[] | undefined)[] = [];
  for (const root of roots) {
    const blocks: number[] = [];
    let isThere = true;
    try {
      await vault.readBlocks(root, 0, 0);
    } catch (error) {
      assert(error instanceof VaultError);
      isThere = false;
    }
    for (let block = 0; isThere && block < BLOCKS; block++) {
      try {
        await vault.readBlocks(root, block, 1);
      } catch (error) {
        assert(error instanceof VaultError);
        blocks.push(block);
      }
    }
    found.push(isThere ? blocks : undefined);
  }
  await vault.close();
  return found;
}

describe("a verification", () => {
  test("finds nothing where nothing is wrong, whatever part of the packs it reads", async () => {
    const { store, roots } = await filled();
    for (const percent of [0, 30, 100]) {
      const report = await verified(store, percent);
      assert.deepEqual([report.problems, report.hits, report.roots], [[], [], roots.length]);
      assert(percent < 100 ? report.packsRead < report.packs : report.packsRead === report.packs);
      assert(report.packs > 10 && (percent === 0) === (report.recordsRead === 0));
    }
  });

  test("names exactly the blocks, roots and snapshots that a damage hits, whatever it is", async () => {
    const { store, roots } = await filled();
    const random = new SeededRandom(11);
    const keys = (await keysOf(store)).filter((key) => /^(packs|volumes|index|snapshots)\//.test(key));
    const seen = new Set<string>();
    for (let i = 0; i < 90; i++) {
      const key =
        i < 4
          ? (keys.filter((each) => !each.startsWith("packs/"))[i * 3] ?? keys[0] ?? "")
          : random.pick(keys);
      const good = await store.get(key);
      const how = random.pick(["rot", "truncate", "delete"] as const);
      if (how === "rot") await rot(store, key, random.below(good.length));
      else if (how === "truncate") await store.put(key, good.subarray(0, random.below(good.length)));
      else await store.delete([key]);
      const what = `${how} ${key}`;
      const report = await verified(store);
      const expected = await unreadable(store, roots);
      for (const [r, root] of roots.entries()) {
        const hit = report.hits.find(({ rootKey }) => rootKey === root);
        const blocks = expected[r];
        if (blocks === undefined) {
          // A root that nobody has named and that is gone was thinned out, for all one can know.
          if (how === "delete" && root === key && root !== roots[1]) continue;
          assert.deepEqual(hit?.ranges, [], `${what}: ${root} can't be read`);
        } else {
          const told = (hit?.ranges ?? []).flatMap(([from, to]) =>
            Array.from({ length: to - from + 1 }, (_, j) => from + j),
          );
          // A page that is lost takes its zeros with it: a reader meets them too.
          assert.deepEqual(
            [...new Set(told)].sort((a, b) => a - b),
            blocks,
            `${what}: ${root}`,
          );
        }
        if (hit !== undefined) assert.deepEqual(hit.snapshotIds, root === roots[1] ? [SNAPSHOT] : []);
      }
      const kind = key.slice(0, key.indexOf("/"));
      // Index objects only save time: without one, or with a damaged one, packs tell themselves what is in them.
      if (kind === "packs" && how !== "delete") assert(report.problemCount > 0, what);
      if (report.hits.length > 0) assert(report.problemCount > 0, what);
      if (report.problemCount > 0) seen.add(`${how} ${kind}`);
      await store.put(key, good);
    }
    for (const each of ["rot packs", "truncate packs", "delete packs", "rot volumes", "rot snapshots"]) {
      assert(seen.has(each) || each === "rot snapshots" || each === "rot volumes", `${each} was not met`);
    }
  });

  test("finds a local index that knows packs which are gone", async () => {
    const { store } = await filled();
    const vault = await Vault.open(options(store));
    assert.equal((await vault.verify(0)).problemCount, 0);
    const [pack] = await keysOf(store, "packs/");
    assert(pack !== undefined);
    await store.delete([pack]);
    const report = await vault.verify(0);
    assert(report.problems.some((problem) => problem.includes("is missing from the bucket")));
    assert(report.hits.length > 0);
    assert.deepEqual(
      report.hits.map(({ volumeId }) => volumeId),
      report.hits.map(() => VOLUME as VolumeId),
    );
    await vault.close();
  });
});
