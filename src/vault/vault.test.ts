import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { MemoryEpoch } from "../../test/kit/memory-epoch.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { ObjectStore } from "../objects/object-store.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { KeyRing } from "./key-ring.ts";
import { leaseKey } from "./keys.ts";
import { ObjectSealer } from "./sealed-object.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { Vault, type VaultOptions } from "./vault.ts";
import { VaultError } from "./vault-error.ts";
import { parseVault } from "./vault-json.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-vault-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const BLOCK = 4096;
const BLOCKS = 1000;
const VOLUME = "vol-0123456789ABCDEF0";
const KEY_FILE = Buffer.alloc(32, 7);
let files = 0;

function indexPath(): string {
  files += 1;
  return join(folder, `index-${files}`);
}

function options(store: ObjectStore, over: Partial<VaultOptions> = {}): VaultOptions {
  return {
    store,
    keyFile: KEY_FILE,
    indexPath: indexPath(),
    ownerId: "gateway-a",
    random: new SeededRandom(files),
    clock: new ManualClock(),
    ...over,
  };
}

interface Uploading {
  readonly epoch: number;
  readonly changes: ReadonlyMap<number, Buffer>;
  readonly parentRootKey?: string | undefined;
  readonly blocks?: number;
  readonly volumeId?: string;
}

function upload(
  vault: Vault,
  { epoch, changes, parentRootKey, blocks = BLOCKS, volumeId = VOLUME }: Uploading,
) {
  const sizeBytes = blocks * BLOCK;
  return vault.uploadEpoch(
    new MemoryEpoch({ volumeId, epoch, sizeBytes, blockBytes: BLOCK, parentRootKey, changes }),
  );
}

/** Blocks of random bytes, some zero, some equal to each other. */
function randomChanges(random: SeededRandom, count: number, blocks = BLOCKS): Map<number, Buffer> {
  const changes = new Map<number, Buffer>();
  for (let i = 0; i < count; i++) {
    const kind = random.below(10);
    const block =
      kind < 2
        ? Buffer.alloc(BLOCK)
        : kind < 4
          ? Buffer.alloc(BLOCK, random.below(3) + 1)
          : random.bytes(BLOCK);
    changes.set(random.below(blocks), block);
  }
  return changes;
}

async function keysOf(store: ObjectStore, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** The same object with one bit turned over. */
async function rot(store: ObjectStore, key: string, at: number): Promise<void> {
  const object = await store.get(key);
  object[at] = (object[at] ?? 0) ^ 0x10;
  await store.put(key, object);
}

async function expectContent(
  vault: Vault,
  rootKey: string,
  model: ReadonlyMap<number, Buffer>,
  blocks = BLOCKS,
) {
  for (let first = 0; first < blocks; first += 97) {
    const count = Math.min(97, blocks - first);
    const content = await vault.readBlocks(rootKey, first, count);
    const expected = Buffer.concat(
      Array.from({ length: count }, (_, i) => model.get(first + i) ?? Buffer.alloc(BLOCK)),
    );
    assert(content.equals(expected), `${rootKey}: blocks from ${first} on`);
  }
  const nonZero = [...model].filter(([, b]) => !b.equals(Buffer.alloc(BLOCK))).map(([block]) => block);
  assert.deepEqual(
    await vault.nonZeroBlocks(rootKey, 0, blocks),
    nonZero.sort((a, b) => a - b),
  );
}

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
      await vault.listRoots(VOLUME as VolumeId),
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
    await vault.putSnapshot(
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

describe("damage", () => {
  async function filled(seed = 9) {
    const store = new MemoryStore();
    const settings = options(store);
    const vault = await Vault.open(settings);
    const model = randomChanges(new SeededRandom(seed), 400);
    const { rootKey } = await upload(vault, { epoch: 1, changes: model });
    await vault.close();
    return { store, settings, model, rootKey };
  }

  test("a turned bit anywhere is an error or does not matter, but never wrong data", async () => {
    const { store, model, rootKey } = await filled();
    const random = new SeededRandom(77);
    const keys = await keysOf(store);
    let noticed = 0;
    for (let i = 0; i < 120; i++) {
      const key = random.pick(keys);
      const good = await store.get(key);
      await rot(store, key, random.below(good.length));
      try {
        // A fresh index each time: it is rebuilt from what is in the bucket.
        const vault = await Vault.open(options(store, { knownVaultId: undefined as never }));
        for (let block = 0; block < BLOCKS; block += 50) {
          const content = await vault.readBlocks(rootKey, block, 50);
          for (let b = 0; b < 50; b++) {
            const expected = model.get(block + b) ?? Buffer.alloc(BLOCK);
            assert(
              content.subarray(b * BLOCK, (b + 1) * BLOCK).equals(expected),
              `${key}, block ${block + b}`,
            );
          }
        }
        await vault.close();
      } catch (error) {
        assert(error instanceof VaultError, String(error));
        noticed += 1;
      }
      await store.put(key, good);
    }
    assert(noticed > 20, `only ${noticed} were noticed`);
  });

  test("one rotten record is named, leaves its neighbours readable, and is healed by the same content", async () => {
    const { store, settings, model, rootKey } = await filled();
    const [pack] = await keysOf(store, "packs/");
    assert(pack !== undefined);
    await rot(store, pack, 5_000);
    const vault = await Vault.open(settings);
    const bad: number[] = [];
    for (let block = 0; block < BLOCKS; block++) {
      try {
        const content = await vault.readBlocks(rootKey, block, 1);
        assert(content.equals(model.get(block) ?? Buffer.alloc(BLOCK)));
      } catch (error) {
        assert(error instanceof VaultError && error.kind === "corrupt", String(error));
        assert.match(error.message, new RegExp(`^block ${block} of ${VOLUME}: `));
        bad.push(block);
      }
    }
    assert(bad.length >= 1 && bad.length < 60, `${bad.length} blocks`);
    const changes = new Map(bad.map((block) => [block, model.get(block) ?? Buffer.alloc(0)]));
    const healed = await upload(vault, { epoch: 2, changes, parentRootKey: rootKey });
    await expectContent(vault, healed.rootKey, model);
    await vault.close();
  });

  test("the local index is rebuilt: when lost, when damaged, and when index objects are missing too", async () => {
    const { store, settings, model, rootKey } = await filled();
    const ways = [
      () => rmSync(settings.indexPath),
      () => writeFileSync(settings.indexPath, "this is no database, whatever its name says ".repeat(200)),
      () => writeFileSync(settings.indexPath, ""),
    ];
    for (const damage of ways) {
      damage();
      const vault = await Vault.open(settings);
      await expectContent(vault, rootKey, model);
      await vault.close();
    }
    await store.delete(await keysOf(store, "index/"));
    rmSync(settings.indexPath);
    const vault = await Vault.open(settings);
    await expectContent(vault, rootKey, model);
    await vault.close();
    assert.equal(statSync(settings.indexPath).mode & 0o777, 0o600);
  });

  test("rotten index objects and packs that are none do not keep the rest from being read", async () => {
    const { store, settings, model, rootKey } = await filled();
    for (const key of await keysOf(store, "index/")) await rot(store, key, 30);
    await store.put("packs/ab/ab000000000000000000000000000000", Buffer.from("not a pack at all"));
    rmSync(settings.indexPath);
    const problems: string[] = [];
    const vault = await Vault.open({ ...settings, onProblem: (message) => problems.push(message) });
    await expectContent(vault, rootKey, model);
    assert(
      problems.some((p) => p.includes("index/")) && problems.some((p) => p.includes("packs/ab/")),
      problems.join(),
    );
    await vault.close();
  });

  test("what another gateway has written is found although the local index does not know it", async () => {
    const { store, settings, rootKey } = await filled();
    const clock = new ManualClock();
    const here = await Vault.open({ ...settings, clock });
    await here.readBlocks(rootKey, 0, 1);
    const there = await Vault.open(options(store, { ownerId: "gateway-b" }));
    const changes = new Map([[7, new SeededRandom(123).bytes(BLOCK)]]);
    const other = await upload(there, { epoch: 1, changes, volumeId: "vol-00000000000000002" });
    assert((await here.readBlocks(other.rootKey, 7, 1)).equals(changes.get(7) ?? Buffer.alloc(0)));
    await there.close();
    await here.close();
  });
});

describe("whose vault it is", () => {
  test("a wrong key, another vault and a store with strange things in it are refused", async () => {
    const store = new MemoryStore();
    const vault = await Vault.open(options(store));
    const { vaultId } = vault;
    await vault.close();
    await assert.rejects(Vault.open(options(store, { keyFile: Buffer.alloc(32, 8) })), { kind: "wrongKey" });
    await assert.rejects(Vault.open(options(store, { keyFile: Buffer.alloc(31, 7) })), { kind: "wrongKey" });
    await (await Vault.open(options(store, { knownVaultId: vaultId }))).close();
    await assert.rejects(Vault.open(options(store, { knownVaultId: "00" })), { kind: "wrongVault" });
    await assert.rejects(Vault.open(options(new MemoryStore(), { knownVaultId: vaultId })), {
      kind: "wrongVault",
    });
    const strange = new MemoryStore();
    await strange.put("holiday.jpg", Buffer.alloc(10));
    await assert.rejects(Vault.open(options(strange)), { kind: "wrongVault" });
    assert.deepEqual(await keysOf(strange), ["holiday.jpg"]);
  });

  test("a format of the future is refused by name, and key slots of the future are passed over", async () => {
    const store = new MemoryStore();
    await (await Vault.open(options(store))).close();
    const json = JSON.parse((await store.get("vault.json")).toString());
    const put = (value: unknown) => store.put("vault.json", Buffer.from(JSON.stringify(value)));
    await put({ ...json, formatVersion: 2 });
    await assert.rejects(Vault.open(options(store)), { kind: "unknownFormat", message: /format 2/ });
    await put({ ...json, keySlots: [{ type: "hardware-token", serial: 5 }, ...json.keySlots] });
    await (await Vault.open(options(store))).close();
    await put({ ...json, keySlots: [{ type: "hardware-token", serial: 5 }] });
    await assert.rejects(Vault.open(options(store)), { kind: "wrongKey" });
    await put({ ...json, keySlots: [{ type: "key-file" }] });
    await assert.rejects(Vault.open(options(store)), { kind: "corrupt" });
  });

  test("of two gateways that make the vault at once, both open the same", async () => {
    const store = new MemoryStore();
    const vaults = await Promise.all([1, 2, 3].map(() => Vault.open(options(store))));
    assert.equal(new Set(vaults.map(({ vaultId }) => vaultId)).size, 1);
    for (const vault of vaults) await vault.close();
  });

  test("a volume has one writer: another gateway is fenced, and a lease that was lost makes no root", async () => {
    const store = new FaultyStore(new MemoryStore());
    const mine = await Vault.open(options(store, { ownerId: "gateway-a" }));
    const other = await Vault.open(options(store, { ownerId: "gateway-b" }));
    const changes = randomChanges(new SeededRandom(1), 5);
    const first = await upload(mine, { epoch: 1, changes });
    await assert.rejects(upload(other, { epoch: 2, changes, parentRootKey: first.rootKey }), {
      kind: "fenced",
    });
    // The other one takes over while an upload of ours is under way.
    const { vaultId, masterKey } = parseVault(await store.get("vault.json"), KEY_FILE);
    const sealer = new ObjectSealer(new KeyRing(masterKey), vaultId, new SeededRandom(99));
    const key = leaseKey(VOLUME as VolumeId, 2);
    let taken = false;
    store.fault = (call, name) => {
      if (call === "put" && name.startsWith("packs/") && !taken) {
        taken = true;
        void store.put(key, sealer.sealJson(key, { format: 1, ownerId: "gateway-b" }), { ifAbsent: true });
      }
      return undefined;
    };
    const more = randomChanges(new SeededRandom(2), 5);
    await assert.rejects(upload(mine, { epoch: 2, changes: more, parentRootKey: first.rootKey }), {
      kind: "fenced",
    });
    assert.equal((await mine.listRoots(VOLUME as VolumeId)).length, 1);
    store.fault = () => undefined;
    const theirs = await upload(other, { epoch: 2, changes, parentRootKey: first.rootKey });
    assert.match(theirs.rootKey, /0000000002-0000000002$/);
    await mine.close();
    await other.close();
  });
});

function record(over: Partial<SnapshotRecord> = {}): SnapshotRecord {
  return {
    snapshotId: "snap-0123456789abcdef0" as SnapshotId,
    volumeId: VOLUME as VolumeId,
    volumeArn: "arn",
    rootKey: "volumes/x/roots/1",
    description: "a description",
    tags: [{ key: "k", value: "v" }],
    volumeSizeBytes: 4096,
    startedAtMs: 1,
    completedAtMs: 2,
    fullBytes: 3,
    ...over,
  };
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
      await vault.putSnapshot(record({ snapshotId, description: `of ${snapshotId}` }));
    assert.deepEqual(
      await vault.listSnapshots(),
      ids.map((snapshotId) => record({ snapshotId, description: `of ${snapshotId}` })),
    );
    await rot(store, `snapshots/${ids[1]}`, 40);
    assert.deepEqual(
      (await vault.listSnapshots()).map((r) => r.snapshotId),
      [ids[0], ids[2]],
    );
    assert.equal(problems.length, 1);
    await vault.deleteSnapshot(ids[0] as SnapshotId);
    assert.deepEqual(
      (await vault.listSnapshots()).map((r) => r.snapshotId),
      [ids[2]],
    );
    await vault.close();
  });
});
