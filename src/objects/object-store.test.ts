/** One contract for every object store; what the vault relies on. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FaultyStore } from "../../test/kit/faulty-store.ts";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { contract } from "../../test/kit/store-contract.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { DirectoryStore } from "./directory.ts";
import { MemoryStore } from "./memory.ts";
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

for (const [name, make] of Object.entries(open)) contract(name, make, { skip: name === "s3" ? noS3 : false });

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

  test("a folder that is gone, or another in its place, is no empty bucket", async () => {
    const root = join(folder, "mounted");
    const away = join(folder, "unmounted");
    const store = await DirectoryStore.open(root);
    await store.put("a/b", Buffer.from("x"));
    const refused = { name: "StoreError", kind: "unavailable" };
    const list = async () => {
      for await (const { key } of store.list("")) assert.fail(key);
    };
    const refusesAll = async () => {
      await assert.rejects(store.put("a/c", Buffer.from("y")), refused);
      await assert.rejects(store.put("a/c", Buffer.from("y"), { ifAbsent: true }), refused);
      await assert.rejects(store.get("a/b"), refused);
      await assert.rejects(store.head("a/b"), refused);
      await assert.rejects(store.delete(["a/b"]), refused);
      await assert.rejects(list(), refused);
    };
    renameSync(root, away);
    await refusesAll();
    assert(!existsSync(root), "nothing is made in its place");
    mkdirSync(root);
    await refusesAll();
    assert.deepEqual(readdirSync(root), []);
    // It may come back under another inode: a copy, or a network file system that is mounted again.
    rmSync(root, { recursive: true });
    cpSync(away, root, { recursive: true });
    assert.equal((await store.get("a/b")).toString(), "x");
    assert.equal(await store.put("a/c", Buffer.from("y")), "created");
  });

  test("keys can't leave the folder", async () => {
    const store = await DirectoryStore.open(join(folder, "inside"));
    for (const key of ["../out", "a/../../out", "/etc/passwd", "a//b", ".", ".store-id"]) {
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
