/** One contract for every object store; what the vault relies on. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { DirectoryStore } from "./directory.ts";
import { MemoryStore } from "./memory.ts";
import type { ObjectStore } from "./object-store.ts";
import { openStore, parseStoreUrl, StoreUrlError } from "./open-store.ts";
import { RetryingStore } from "./retrying.ts";

const endpoint = process.env.SLUICEGATE_TEST_S3_ENDPOINT;
const bucket = process.env.SLUICEGATE_TEST_S3_BUCKET;
const noS3 = endpoint === undefined ? "no S3 server: SLUICEGATE_TEST_S3_ENDPOINT is not set" : false;
const folder = mkdtempSync(join(tmpdir(), "sg-store-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = {
  memory: async () => new MemoryStore(),
  directory: () => DirectoryStore.open(join(folder, "contract")),
  retrying: async () => new RetryingStore(new MemoryStore(), systemClock, systemRandom),
  s3: () =>
    openStore(`s3://${bucket}/contract-${randomBytes(6).toString("hex")}`, {
      clock: systemClock,
      random: systemRandom,
      s3Endpoint: endpoint ?? "",
      s3Region: "us-east-1",
    }),
};

for (const [name, make] of Object.entries(open)) contract(name, make, name === "s3" ? noS3 : false);

function contract(name: string, make: () => Promise<ObjectStore>, skip: string | false): void {
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

    test("lets one of several writers create a key", async () => {
      const s = await opened();
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          s.put("leases/one", Buffer.from(`writer ${i}`), { ifAbsent: true }),
        ),
      );
      assert.equal(answers.filter((answer) => answer === "created").length, 1);
      const winner = answers.indexOf("created");
      assert.equal((await s.get("leases/one")).toString(), `writer ${winner}`);
      assert.equal(await s.put("leases/one", Buffer.from("late"), { ifAbsent: true }), "exists");
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

describe("the directory store", () => {
  test("sweeps up what a crashed writer left, and never lists it", async () => {
    const root = join(folder, "crashed");
    const store = await DirectoryStore.open(root);
    await store.put("a/b", Buffer.from("x"));
    writeFileSync(join(root, "a", ".tmp-left-behind"), "half");
    const listed: string[] = [];
    for await (const { key } of store.list("")) listed.push(key);
    assert.deepEqual(listed, ["a/b"]);
    await DirectoryStore.open(root);
    assert.deepEqual(readdirSync(join(root, "a")), ["b"]);
  });

  test("keys can't leave the folder", async () => {
    const store = await DirectoryStore.open(join(folder, "inside"));
    for (const key of ["../out", "a/../../out", "/etc/passwd", "a//b", "."]) {
      await assert.rejects(store.put(key, Buffer.alloc(1)), { name: "StoreError", kind: "invalid" }, key);
    }
  });
});

describe("retrying", () => {
  const limits = { attempts: 4, pauseMs: 100, pauseMsMax: 1000 };

  test("tries again what may succeed later, with growing pauses, and then gives up", async () => {
    const clock = new ManualClock();
    const faulty = new FaultyStore(new MemoryStore());
    const store = new RetryingStore(faulty, clock, new SeededRandom(1), limits);
    let failures = 3;
    faulty.fault = () => (failures-- > 0 ? "before" : undefined);
    const put = store.put("k", Buffer.from("v"));
    await settle(clock);
    assert.equal(await put, "created");
    assert.equal(faulty.calls.put, 4);
    faulty.fault = () => "before";
    const failed = assert.rejects(store.get("k"), { kind: "unavailable" });
    await settle(clock);
    await failed;
    assert.equal(faulty.calls.get, 4);
  });

  test("does not repeat what a repetition won't mend", async () => {
    const faulty = new FaultyStore(new MemoryStore());
    const store = new RetryingStore(faulty, new ManualClock(), new SeededRandom(1), limits);
    await assert.rejects(store.get("absent"), { kind: "notFound" });
    assert.equal(faulty.calls.get, 1);
  });

  test("a put that was stored although its answer was lost says that the key exists", async () => {
    const clock = new ManualClock();
    const faulty = new FaultyStore(new MemoryStore());
    const store = new RetryingStore(faulty, clock, new SeededRandom(1), limits);
    let first = true;
    faulty.fault = (call) => {
      const fault = call === "put" && first ? "after" : undefined;
      first = false;
      return fault;
    };
    const put = store.put("k", Buffer.from("v"), { ifAbsent: true });
    await settle(clock);
    assert.equal(await put, "exists");
    assert.equal((await store.get("k")).toString(), "v");
  });
});

/** Lets promises run and time pass, by turns. */
async function settle(clock: ManualClock): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1000);
  }
}

describe("store URLs", () => {
  test("are taken apart", () => {
    assert.deepEqual(parseStoreUrl("file:///var/lib/vault"), { scheme: "file", path: "/var/lib/vault" });
    assert.deepEqual(parseStoreUrl("file:///with%20space"), { scheme: "file", path: "/with space" });
    assert.deepEqual(parseStoreUrl("s3://bucket"), { scheme: "s3", bucket: "bucket", prefix: "" });
    assert.deepEqual(parseStoreUrl("s3://bucket/a/b/"), { scheme: "s3", bucket: "bucket", prefix: "a/b/" });
  });

  test("that can't be used are refused", () => {
    for (const url of ["", "vault", "file://relative", "http://x", "s3://", "s3:///x", "s3://UPPER/x"]) {
      assert.throws(() => parseStoreUrl(url), StoreUrlError, url);
    }
  });
});
