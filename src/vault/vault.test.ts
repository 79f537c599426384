import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { MemoryEpoch } from "../../test/kit/memory-epoch.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import {
  BLOCK,
  BLOCKS,
  expectContent,
  keysOf,
  options,
  randomChanges,
  record,
  rot,
  upload,
  VOLUME,
} from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { Vault, type VaultOptions } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

describe("epochs in the vault", () => {
  test("every root gives what the volume held at its cut, for ever", async () => {
    const store = new MemoryStore();
    const vault = await Vault.open(options(store));
    const random = new SeededRandom(42);
    const model = new Map<number, Buffer>();
    const roots: { key: string; model: Map<number, Buffer> }[] = [];
    let parentRootKey: string | undefined;
    for (let epoch = 1; epoch <= 12; epoch++) {
      const changes = randomChanges(random, epoch === 1 ? 600 : random.below(40));
      for (const [block, bytes] of changes) model.set(block, bytes);
      const done = await upload(vault, { epoch, changes, parentRootKey });
      parentRootKey = done.rootKey;
      roots.push({ key: done.rootKey, model: new Map(model) });
      const nonZero = [...model.values()].filter((b) => !b.equals(Buffer.alloc(BLOCK))).length;
      assert.equal(done.fullBytes, nonZero * BLOCK);
    }
    for (const { key, model: at } of roots) await expectContent(vault, key, at);
    assert.deepEqual(
      (await vault.listRoots(VOLUME as VolumeId)).map(({ rootKey }) => rootKey),
      roots.map(({ key }) => key),
    );
    await vault.close();
  });

  test("sends what changed and the path to it, and nothing for no change", async () => {
    const store = new FaultyStore(new MemoryStore());
    const vault = await Vault.open(options(store));
    const random = new SeededRandom(1);
    const all = new Map(Array.from({ length: BLOCKS }, (_, i) => [i, random.bytes(BLOCK)]));
    const first = await upload(vault, { epoch: 1, changes: all });
    let before = store.putBytes;
    const changes = new Map([[500, random.bytes(BLOCK)]]);
    const second = await upload(vault, { epoch: 2, changes, parentRootKey: first.rootKey });
    assert(store.putBytes - before < BLOCK + 3 * 6_000, `${store.putBytes - before} bytes`);
    before = store.putBytes;
    const third = await upload(vault, { epoch: 3, changes: new Map(), parentRootKey: second.rootKey });
    assert.equal(third.uploadedBytes, 0);
    assert(store.putBytes - before < 600, `${store.putBytes - before} bytes`);
    before = store.putBytes;
    // The same bytes at other places, and of another volume, are there already.
    const elsewhere = new Map([[3, all.get(900) ?? Buffer.alloc(0)]]);
    await upload(vault, { epoch: 1, changes: elsewhere, volumeId: "vol-00000000000000001" });
    assert(store.putBytes - before < 2_000, `${store.putBytes - before} bytes`);
    await vault.close();
  });

  test("a volume that has grown keeps its old blocks", async () => {
    const vault = await Vault.open(options(new MemoryStore()));
    const random = new SeededRandom(5);
    const model = randomChanges(random, 100, 200);
    const small = await upload(vault, { epoch: 1, changes: model, blocks: 200 });
    for (const blocks of [256, 257, 70_000]) {
      const changes = new Map([[blocks - 1, random.bytes(BLOCK)]]);
      const grown = await upload(vault, { epoch: blocks, changes, blocks, parentRootKey: small.rootKey });
      const expected = new Map([...model, ...changes]);
      const content = await vault.readBlocks(grown.rootKey, 0, 200);
      for (let i = 0; i < 200; i++) {
        const bytes = content.subarray(i * BLOCK, (i + 1) * BLOCK);
        assert(bytes.equals(expected.get(i) ?? Buffer.alloc(BLOCK)), `${blocks}: block ${i}`);
      }
      assert(
        (await vault.readBlocks(grown.rootKey, blocks - 1, 1)).equals(
          changes.get(blocks - 1) ?? Buffer.alloc(0),
        ),
      );
    }
    // Beyond the end of a root there are zeros.
    assert((await vault.readBlocks(small.rootKey, 199, 3)).subarray(BLOCK).equals(Buffer.alloc(2 * BLOCK)));
    await vault.close();
  });

  test("an upload that breaks off anywhere is repeated until it is done, and is right", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = new SeededRandom(seed);
      const store = new FaultyStore(new MemoryStore());
      const settings = options(store);
      let vault = await Vault.open(settings);
      const model = randomChanges(random, 300);
      const first = await upload(vault, { epoch: 1, changes: model });
      const changes = randomChanges(random, 50);
      for (const [block, bytes] of changes) model.set(block, bytes);
      store.fault = () => (random.chance(0.3) ? (random.chance(0.5) ? "before" : "after") : undefined);
      let done: { rootKey: string } | undefined;
      for (let attempt = 0; done === undefined; attempt++) {
        assert(attempt < 200, `seed ${seed}`);
        if (attempt === 100) store.fault = () => undefined;
        try {
          done = await upload(vault, { epoch: 2, changes, parentRootKey: first.rootKey });
        } catch (error) {
          assert(error instanceof VaultError && error.kind === "unavailable", String(error));
          // Some of the times the gateway itself is restarted in between.
          if (!random.chance(0.3)) continue;
          await vault.close();
          vault = await openThrough(settings);
        }
      }
      store.fault = () => undefined;
      await expectContent(vault, done.rootKey, model);
      await vault.close();
    }
  });

  test("what is stopped sends no root", async () => {
    const store = new MemoryStore();
    const vault = await Vault.open(options(store));
    const stop = new AbortController();
    stop.abort();
    const source = new MemoryEpoch({
      volumeId: VOLUME,
      epoch: 1,
      sizeBytes: BLOCKS * BLOCK,
      blockBytes: BLOCK,
      changes: randomChanges(new SeededRandom(1), 20),
    });
    await assert.rejects(
      vault.uploadEpoch(source, () => {}, stop.signal),
      { kind: "unavailable" },
    );
    assert.deepEqual(await keysOf(store, "volumes/"), []);
    await vault.close();
  });

  test("no byte of a volume, a description or a tag is in the bucket in clear", async () => {
    const store = new MemoryStore();
    const vault = await Vault.open(options(store));
    const secret = Buffer.from("this is the secret content of a block, of which there is a lot. ");
    const changes = new Map([
      [0, Buffer.alloc(BLOCK, secret)],
      [1, new SeededRandom(3).bytes(BLOCK)],
    ]);
    await upload(vault, { epoch: 1, changes });
    await vault.records.putSnapshot(
      record({ description: secret.toString(), tags: [{ key: "k", value: secret.toString() }] }),
    );
    for (const key of await keysOf(store)) {
      const object = await store.get(key);
      assert(
        !object.includes(secret.subarray(0, 16)) && !object.includes(changes.get(1)?.subarray(0, 16) ?? ""),
        key,
      );
    }
    await vault.close();
  });
});

/** Opens the vault through a store that fails now and then. */
async function openThrough(settings: VaultOptions): Promise<Vault> {
  for (;;) {
    try {
      return await Vault.open(settings);
    } catch (error) {
      assert(error instanceof VaultError && error.kind === "unavailable", String(error));
    }
  }
}

describe("snapshot records", () => {
  test("are kept, listed and deleted; one that is rotten hides no other", async () => {
    const store = new MemoryStore();
    const problems: string[] = [];
    const vault = await Vault.open(options(store, { onProblem: (message) => problems.push(message) }));
    const ids = [
      "snap-0123456789abcdef0",
      "snap-0123456789abcdef1",
      "snap-0123456789abcdef2",
    ] as SnapshotId[];
    for (const snapshotId of ids)
      await vault.records.putSnapshot(record({ snapshotId, description: `of ${snapshotId}` }));
    assert.deepEqual(
      await vault.records.listSnapshots(),
      ids.map((snapshotId) => record({ snapshotId, description: `of ${snapshotId}` })),
    );
    await rot(store, `snapshots/${ids[1]}`, 40);
    assert.deepEqual(
      (await vault.records.listSnapshots()).map((r) => r.snapshotId),
      [ids[0], ids[2]],
    );
    assert.equal(problems.length, 1);
    await vault.records.deleteSnapshot(ids[0] as SnapshotId);
    assert.deepEqual(
      (await vault.records.listSnapshots()).map((r) => r.snapshotId),
      [ids[2]],
    );
    await vault.close();
  });
});
