import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { chainOf, keysOf, options, START_MS, sealerOf } from "../../test/kit/vault-kit.ts";
import { MemoryStore } from "../objects/memory.ts";
import { decodeRoot, encodeRoot } from "./root.ts";
import { Vault } from "./vault.ts";
import { VaultError } from "./vault-error.ts";

const kindOf = (kind: string) => (error: unknown) => error instanceof VaultError && error.kind === kind;

describe("roots", () => {
  test("a root of a kind of the future is refused by name", () => {
    const key = "any";
    const unknown = kindOf("unknownFormat");
    assert.throws(() => decodeRoot(key, { format: 1, kind: "leap" }), unknown);
    assert.throws(() => decodeRoot(key, { format: 3, kind: "step" }), unknown);
    // What reads checkpoints alone looks at the format first.
    assert.throws(() => decodeRoot(key, { format: 1, kind: "step" }), unknown);
  });

  test("a step is of a format that a reader of checkpoints does not know", async () => {
    const store = new MemoryStore();
    const keys = await chainOf(store, 1);
    assert.deepEqual(await Promise.all(keys.map(async (key) => (await rootJson(store, key)).format)), [1, 2]);
  });

  test("a checkpoint from before there were steps is read", async () => {
    const store = new MemoryStore();
    const [key = ""] = await chainOf(store, 0);
    const { kind, ...old } = await rootJson(store, key);
    assert.equal(kind, "checkpoint");
    assert.deepEqual(encodeRoot(decodeRoot(key, old)), { ...old, kind });
  });

  test("a chain that lacks a link, or has a wrong one, is damage", async () => {
    const store = new MemoryStore();
    const keys = await chainOf(store, 3);
    const [checkpoint = "", first = "", , third = ""] = keys;
    const json = await rootJson(store, third);
    for (const wrong of [
      { chainKeys: [first] },
      { chainKeys: [...keys.slice(1, 3)].reverse() },
      { checkpointKey: first },
      { parentRootKey: first },
      { parentRootKey: checkpoint },
      { chainKeys: [first, third] },
      { entries: "?" },
      { chainEntries: 0 },
    ]) {
      assert.throws(() => decodeRoot(third, { ...json, ...wrong }), kindOf("corrupt"), JSON.stringify(wrong));
    }
    // What only shows with the other roots at hand.
    for (const wrong of [
      { chainKeys: keys.slice(2, 3) },
      { chainEntries: 7 },
      { checkpointCutAtMs: START_MS - 1 },
    ]) {
      const damaged = new MemoryStore();
      for (const key of await keysOf(store)) await damaged.put(key, await store.get(key));
      await putRootJson(damaged, third, { ...json, ...wrong });
      const vault = await Vault.open(options(damaged));
      await assert.rejects(vault.readBlocks(third, 0, 1), kindOf("corrupt"), JSON.stringify(wrong));
      await vault.close();
    }
  });
});

async function rootJson(store: MemoryStore, key: string): Promise<Record<string, unknown>> {
  const sealer = await sealerOf(store);
  return sealer.unsealJson(key, await store.get(key)) as Record<string, unknown>;
}

async function putRootJson(store: MemoryStore, key: string, json: unknown): Promise<void> {
  const sealer = await sealerOf(store);
  await store.put(key, sealer.sealJson(key, json));
}
