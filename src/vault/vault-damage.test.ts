import { strict as assert } from "node:assert";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import {
  BLOCK,
  BLOCKS,
  expectContent,
  KEY_FILE,
  keysOf,
  options,
  randomChanges,
  rot,
  upload,
  VOLUME,
} from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { VolumeId } from "../platform/ids.ts";
import { KeyRing } from "./key-ring.ts";
import { leaseKey } from "./keys.ts";
import { ObjectSealer } from "./sealed-object.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";
import { parseVault } from "./vault-json.ts";

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
          const bulk = Buffer.alloc(content.length, 1);
          await vault.readInto(rootKey, block, 50, bulk);
          assert(bulk.equals(content), `${key}, blocks from ${block} on, in bulk`);
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
    const { vaultId, masterKey } = parseVault(await store.get("vault.json"), { keyFile: KEY_FILE });
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
