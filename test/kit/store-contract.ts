/** One contract for every object store: what the vault relies on. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import type { ObjectStore } from "../../src/objects/object-store.ts";

const NO_CONDITION = "this server has no conditional writes";

/** Declares the contract's tests for a store. `isAtomic`: of several that create a key at once one wins. */
export function contract(
  name: string,
  make: () => Promise<ObjectStore>,
  { skip, isAtomic = true }: { readonly skip: string | false; readonly isAtomic?: boolean },
): void {
  describe(`the object store "${name}"`, { skip }, () => {
    let store: ObjectStore;
    const opened = async () => {
      store ??= await make();
      return store;
    };
    after(() => store?.close());

    test("gives back what was put, whole and in ranges", async () => {
      const s = await opened();
      const body = randomBytes(100_000);
      assert.equal(await s.put("packs/ab/one", body), "created");
      assert.deepEqual(await s.get("packs/ab/one"), body);
      for (const [offsetBytes, lengthBytes] of [
        [0, 1],
        [99_999, 1],
        [17, 50_000],
        [0, 100_000],
      ] as const) {
        const part = await s.get("packs/ab/one", { offsetBytes, lengthBytes });
        assert.deepEqual(part, body.subarray(offsetBytes, offsetBytes + lengthBytes));
      }
      assert.deepEqual(await s.head("packs/ab/one"), { key: "packs/ab/one", sizeBytes: 100_000 });
    });

    test("refuses a range past the end instead of answering less", async () => {
      const s = await opened();
      await s.put("short", Buffer.alloc(10));
      await assert.rejects(s.get("short", { offsetBytes: 5, lengthBytes: 6 }), {
        name: "StoreError",
        kind: "invalid",
      });
      await assert.rejects(s.get("short", { offsetBytes: 10, lengthBytes: 1 }), {
        name: "StoreError",
        kind: "invalid",
      });
    });

    test("says that an object is not there", async () => {
      const s = await opened();
      await assert.rejects(s.get("nothing"), { name: "StoreError", kind: "notFound" });
      await assert.rejects(s.get("nothing", { offsetBytes: 0, lengthBytes: 1 }), { kind: "notFound" });
      assert.equal(await s.head("nothing"), undefined);
    });

    test("holds empty objects, and replaces", async () => {
      const s = await opened();
      await s.put("empty", Buffer.alloc(0));
      assert.deepEqual(await s.get("empty"), Buffer.alloc(0));
      await s.put("empty", Buffer.from("now full"));
      assert.equal((await s.get("empty")).toString(), "now full");
    });

    test("creates a key once", async () => {
      const s = await opened();
      assert.equal(await s.put("leases/once", Buffer.from("first"), { ifAbsent: true }), "created");
      assert.equal(await s.put("leases/once", Buffer.from("late"), { ifAbsent: true }), "exists");
      assert.equal((await s.get("leases/once")).toString(), "first");
    });

    test("lets one of several writers create a key", { skip: isAtomic ? false : NO_CONDITION }, async () => {
      const s = await opened();
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          s.put("leases/one", Buffer.from(`writer ${i}`), { ifAbsent: true }),
        ),
      );
      assert.equal(answers.filter((answer) => answer === "created").length, 1);
      const winner = answers.indexOf("created");
      assert.equal((await s.get("leases/one")).toString(), `writer ${winner}`);
    });

    test("lists by prefix, in order, all of it", async () => {
      const s = await opened();
      const keys = Array.from(
        { length: 1100 },
        (_, i) => `many/${String((i * 7919) % 1100).padStart(5, "0")}`,
      );
      for (let i = 0; i < keys.length; i += 50) {
        await Promise.all(keys.slice(i, i + 50).map((key) => s.put(key, Buffer.from(key))));
      }
      await s.put("many-not/this", Buffer.alloc(1));
      const found: string[] = [];
      for await (const { key, sizeBytes } of s.list("many/")) {
        assert.equal(sizeBytes, key.length);
        found.push(key);
      }
      assert.deepEqual(found, [...keys].sort());
      const some: string[] = [];
      for await (const { key } of s.list("many/0100")) some.push(key);
      assert.deepEqual(some, keys.filter((key) => key.startsWith("many/0100")).sort());
      await s.delete(keys);
      for await (const { key } of s.list("many/")) assert.fail(key);
    });

    test("deletes, and does not mind what is not there", async () => {
      const s = await opened();
      await s.put("gone", Buffer.alloc(1));
      await s.delete(["gone", "never"]);
      assert.equal(await s.head("gone"), undefined);
      await s.delete([]);
    });
  });
}
