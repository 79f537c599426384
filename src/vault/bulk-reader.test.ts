import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryEpoch } from "../../test/kit/memory-epoch.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { keysOf, options, rot, VOLUME } from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import { type ByteRange, StoreError } from "../objects/object-store.ts";
import type { BulkLimits } from "./bulk-reader.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

const BLOCK = 64 * 1024;
const PIECE = BLOCK / 16;
const BLOCKS = 640;
/** As the hydrator reads. */
const RUN = 64;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Counts what is asked of it, and gives no answer when told so. */
class CountingStore extends MemoryStore {
  gets = 0;
  bytes = 0;
  isAway = false;

  override async get(key: string, range?: ByteRange): Promise<Buffer> {
    this.gets += 1;
    if (this.isAway) throw new StoreError("unavailable", "away");
    const bytes = await super.get(key, range);
    this.bytes += bytes.length;
    return bytes;
  }
}

/** A volume, a sixth of it zeros, and one piece of every eighth block written anew since its first snapshot. */
async function filled() {
  const store = new CountingStore();
  const vault = await Vault.open(options(store));
  const random = new SeededRandom(5);
  const model = new Map<number, Buffer>();
  for (let block = 0; block < BLOCKS; block++) if (block % 6 !== 0) model.set(block, random.bytes(BLOCK));
  const common = { volumeId: VOLUME, sizeBytes: BLOCKS * BLOCK, blockBytes: BLOCK };
  const first = await vault.uploadEpoch(new MemoryEpoch({ ...common, epoch: 1, changes: new Map(model) }));
  const [changes, pieces] = [new Map<number, Buffer>(), new Map<number, number>()];
  for (let block = 1; block < BLOCKS; block += 8) {
    const changed = Buffer.from(model.get(block) ?? Buffer.alloc(BLOCK));
    random.bytes(PIECE).copy(changed, 3 * PIECE);
    changes.set(block, changed);
    model.set(block, changed);
    pieces.set(block, 1 << 3);
  }
  const parentRootKey = first.rootKey;
  const second = { ...common, epoch: 2, changes, pieces, parentRootKey };
  const { rootKey } = await vault.uploadEpoch(new MemoryEpoch(second));
  return { store, vault, model, rootKey };
}

/** A volume whose blocks came in turn by that many snapshots, each with packs of its own. */
async function interleaved(snapshots: number, bulk: BulkLimits) {
  const store = new CountingStore();
  const vault = await Vault.open({ ...options(store), bulk });
  const random = new SeededRandom(6);
  const model = new Map<number, Buffer>();
  let rootKey: string | undefined;
  for (let epoch = 1; epoch <= snapshots; epoch++) {
    const changes = new Map<number, Buffer>();
    for (let block = epoch - 1; block < BLOCKS; block += snapshots) changes.set(block, random.bytes(BLOCK));
    for (const [block, content] of changes) model.set(block, content);
    const common = { volumeId: VOLUME, sizeBytes: BLOCKS * BLOCK, blockBytes: BLOCK, epoch, changes };
    const parent = rootKey === undefined ? {} : { parentRootKey: rootKey };
    ({ rootKey } = await vault.uploadEpoch(new MemoryEpoch({ ...common, ...parent })));
  }
  assert(rootKey !== undefined);
  return { store, vault, model, rootKey };
}

type Filled = Awaited<ReturnType<typeof filled>>;

/** Reads run by run, three at a time, as hydration does; answers the runs that could not be had. */
async function readAll({ vault, rootKey, model }: Filled): Promise<VaultError[]> {
  const runs = Array.from({ length: BLOCKS / RUN }, (_, i) => i * RUN);
  const failures: VaultError[] = [];
  const reader = async () => {
    const content = Buffer.from(new SharedArrayBuffer(RUN * BLOCK));
    for (let first = runs.shift(); first !== undefined; first = runs.shift()) {
      try {
        await vault.readInto(rootKey, first, RUN, content);
      } catch (error) {
        assert(error instanceof VaultError, String(error));
        failures.push(error);
        continue;
      }
      for (let i = 0; i < RUN; i++) {
        const block = content.subarray(i * BLOCK, (i + 1) * BLOCK);
        assert(block.equals(model.get(first + i) ?? Buffer.alloc(BLOCK)), `block ${first + i}`);
      }
    }
  };
  await Promise.all([reader(), reader(), reader()]);
  return failures;
}

describe("reading all of a root", () => {
  test("takes few requests and little more than its bytes, and a second reader beside it no more than twice", async () => {
    const all = await filled();
    const { store, vault } = all;
    const dataBytes = all.model.size * BLOCK;
    for (const count of [1, 2]) {
      store.gets = 0;
      store.bytes = 0;
      const results = await Promise.all(Array.from({ length: count }, () => readAll(all)));
      assert.deepEqual(results.flat(), []);
      const perGib = (store.gets * GIB) / dataBytes / count;
      assert(perGib < 300, `${perGib} requests per GiB with ${count} readers`);
      assert(store.bytes < 1.2 * count * dataBytes, `${store.bytes} of ${dataBytes} bytes`);
    }
    await vault.close();
  });

  test("goes to and fro between many snapshots, and fetches nothing twice", async () => {
    const limits = { spanBytes: 8 * MIB, bytesAtOnceMax: 4 * MIB, heldBytesMax: 20 * MIB };
    const all = await interleaved(12, limits);
    const { store, vault, model } = all;
    store.gets = 0;
    store.bytes = 0;
    assert.deepEqual(await readAll(all), []);
    assert(store.bytes < 1.2 * model.size * BLOCK, `${store.bytes} bytes, ${store.gets} requests`);
    assert(store.gets < 300, `${store.gets} requests`);
    await vault.close();
  });

  test("what can't be held until it is used is not fetched whole again for each record", async () => {
    const limits = { spanBytes: 8 * MIB, bytesAtOnceMax: 1024 * MIB, heldBytesMax: 10 * MIB };
    const all = await interleaved(12, limits);
    const { store, vault, model } = all;
    store.bytes = 0;
    assert.deepEqual(await readAll(all), []);
    assert(store.bytes < 4 * model.size * BLOCK, `${store.bytes} bytes`);
    await vault.close();
  });

  test("what is damaged costs the run that it is in, by its name; what is away is told as away", async () => {
    const all = await filled();
    const { store, vault } = all;
    const [pack = ""] = await keysOf(store, "packs/");
    await rot(store, pack, 100_000);
    const failures = await readAll(all);
    assert(failures.length === 1, `${failures.length} runs failed`);
    assert.equal(failures[0]?.kind, "corrupt");
    assert.match(failures[0]?.message ?? "", /^block \d+ of vol-/);
    // Others, who have read nothing yet.
    const second = await Vault.open(options(store));
    store.isAway = true;
    const away = await readAll({ ...all, vault: second });
    assert.equal(away.length, BLOCKS / RUN);
    assert(away.every(({ kind }) => kind === "unavailable"));
    store.isAway = false;
    await store.delete([pack]);
    const third = await Vault.open(options(store));
    const missing = await readAll({ ...all, vault: third });
    assert(missing.length > 0 && missing.length < BLOCKS / RUN, `${missing.length} runs failed`);
    assert(missing.every(({ kind, message }) => kind === "notFound" && /^block \d+ of vol-/.test(message)));
    for (const each of [vault, second, third]) await each.close();
  });
});
