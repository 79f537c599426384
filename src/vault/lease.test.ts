import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { sealerOf } from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import type { VolumeId } from "../platform/ids.ts";
import { leaseKey } from "./keys.ts";
import { Leases } from "./lease.ts";

const volume = (n: number) => `vol-${String(n).padStart(17, "0")}` as VolumeId;
const VOLUMES = Array.from({ length: 1200 }, (_, n) => volume(n));

async function twoGateways() {
  const store = new FaultyStore(new MemoryStore());
  const sealer = await sealerOf(store);
  const [mine, other] = [new Leases(store, sealer, "gateway-a"), new Leases(store, sealer, "gateway-b")];
  const requests = async <T>(action: () => Promise<T>) => {
    const before = { ...store.calls };
    const answer = await action();
    return { answer, lists: store.calls.list - before.list, gets: store.calls.get - before.get };
  };
  return { store, mine, other, requests };
}

describe("leases of many volumes", () => {
  test("are asked for by one listing, and by what has changed", async () => {
    const { mine, other, requests } = await twoGateways();
    for (const id of VOLUMES) await mine.acquire(id);
    // The owner of each lease is read once.
    const first = await requests(() => mine.lost(VOLUMES));
    assert.deepEqual(first, { answer: [], lists: 1, gets: VOLUMES.length });
    assert.deepEqual(await requests(() => mine.lost(VOLUMES)), { answer: [], lists: 1, gets: 0 });
    for (const n of [3, 700, 1199]) await other.takeOver(volume(n));
    const { answer, ...cost } = await requests(() => mine.lost(VOLUMES));
    assert.deepEqual(
      answer.map(({ volumeId }) => volumeId),
      [volume(3), volume(700), volume(1199)],
    );
    assert.match(answer[0]?.reason ?? "", /taken over by another gateway \(generation 2\)/);
    assert.deepEqual(cost, { lists: 1, gets: 3 });
    assert.deepEqual(await other.own(VOLUMES), [volume(3), volume(700), volume(1199)]);
    assert.equal((await mine.own(VOLUMES)).length, VOLUMES.length - 3);
    // Taken back, it is ours again.
    await mine.takeOver(volume(700));
    assert.deepEqual(
      (await mine.lost(VOLUMES)).map(({ volumeId }) => volumeId),
      [volume(3), volume(1199)],
    );
  });

  test("of a few volumes among many are not all listed", async () => {
    const { store, mine, other, requests } = await twoGateways();
    for (const id of VOLUMES) await other.acquire(id);
    const few = [volume(5000)];
    await mine.acquire(few[0] ?? volume(0));
    await mine.lost(few);
    assert.deepEqual(await requests(() => mine.lost(few)), { answer: [], lists: 1, gets: 0 });
    let listed = "";
    store.fault = (call, prefix) => {
      if (call === "list") listed = prefix;
      return undefined;
    };
    await mine.lost(few);
    assert.equal(listed, `leases/${few[0]}/`);
    assert.deepEqual(await requests(() => mine.lost([])), { answer: [], lists: 0, gets: 0 });
  });

  test("are lost only where that is known", async () => {
    const { store, mine, other } = await twoGateways();
    await mine.acquire(volume(1));
    await other.acquire(volume(2));
    store.fault = (call, key) => (call === "get" && key.includes(volume(2)) ? "before" : undefined);
    assert.deepEqual(await mine.lost([volume(1), volume(2), volume(3)]), []);
    // Who would delete what is not his has to know.
    await assert.rejects(mine.own([volume(1), volume(2)]), { kind: "unavailable" });
    store.fault = (call) => (call === "list" ? "before" : undefined);
    await assert.rejects(mine.lost([volume(1)]), { kind: "unavailable" });
    store.fault = () => undefined;
    await store.put(leaseKey(volume(1), 2), Buffer.from("rotten"));
    assert.deepEqual(
      (await mine.lost([volume(1), volume(2)])).map(({ volumeId }) => volumeId),
      [volume(2)],
    );
  });
});
