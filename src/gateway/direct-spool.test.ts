import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemDisk } from "../platform/system-disk.ts";
import { DIRECT_BLOCK_BYTES, DirectSpool, SpoolError } from "./direct-spool.ts";
import { DirectTokens } from "./direct-tokens.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-spool-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const filled = (value: number) => Buffer.alloc(DIRECT_BLOCK_BYTES, value);
const sumOf = (content: Buffer) => createHash("sha256").update(content).digest();
const put = (spool: DirectSpool, index: number, value: number) =>
  spool.put(index, sumOf(filled(value)), filled(value));

test("a spool keeps the last of each block, however often it is opened, and frees the others' room", async () => {
  const path = join(folder, "one");
  let spool = DirectSpool.open(systemDisk, path);
  await put(spool, 70_000, 1);
  await put(spool, 5, 2);
  for (let round = 0; round < 5; round++) {
    await put(spool, 5, 10 + round);
    await put(spool, 6, 20 + round);
    spool.close();
    spool = DirectSpool.open(systemDisk, path);
    assert.deepEqual([...spool.indexes()], [5, 6, 70_000]);
    assert.equal(spool.count, 3);
    assert(spool.read(5).equals(filled(10 + round)));
    assert(spool.read(6).equals(filled(20 + round)));
    assert(spool.read(70_000).equals(filled(1)));
  }
  assert.throws(() => spool.read(7), SpoolError);
  const expected = sumOf(Buffer.concat([filled(14), filled(24), filled(1)].map(sumOf)));
  assert(spool.aggregate().equals(expected));
  spool.close();
});

test("what is not what was sent is never given out; a torn record counts as not sent", async () => {
  const path = join(folder, "two");
  let spool = DirectSpool.open(systemDisk, path);
  await put(spool, 0, 1);
  await put(spool, 1, 2);
  spool.close();
  const file = join(path, "segment-000000");
  const damage = (position: number) => {
    const fd = openSync(file, "r+");
    writeSync(fd, Buffer.from([0xff]), 0, 1, position);
    closeSync(fd);
  };
  // The first block lies in the first slot.
  damage(64 * 1024 + 100);
  damage(64 + 3);
  spool = DirectSpool.open(systemDisk, path);
  assert.deepEqual([...spool.indexes()], [0]);
  assert.throws(() => spool.read(0), SpoolError);
  await put(spool, 0, 3);
  assert(spool.read(0).equals(filled(3)));
  spool.close();
});

test("blocks that are put at once are all there; what is put when it is closed is refused, or was there before", async () => {
  const path = join(folder, "three");
  let spool = DirectSpool.open(systemDisk, path);
  const early = Array.from({ length: 40 }, (_, i) => put(spool, i % 20, i));
  await spool.idle();
  await Promise.all(early);
  assert.equal(spool.count, 20);
  const late = Array.from({ length: 10 }, (_, i) => put(spool, 100 + i, i));
  spool.close();
  const ends = await Promise.allSettled(late);
  spool = DirectSpool.open(systemDisk, path);
  for (const [i, { status }] of ends.entries()) {
    assert.equal([...spool.indexes()].includes(100 + i), status === "fulfilled");
  }
  for (let i = 0; i < 20; i++) {
    const content = spool.read(i);
    assert(content.equals(filled(i)) || content.equals(filled(i + 20)));
  }
  await assert.rejects(async () => {
    spool.close();
    await put(spool, 0, 0);
  });
});

test("a token is good for one purpose, until it expires", () => {
  const tokens = new DirectTokens(Buffer.alloc(32, 1));
  const token = tokens.make("block a", 2 ** 40, 1000);
  assert.match(token, /^[A-Za-z0-9+/=]{1,256}$/);
  assert.equal(tokens.read("block a", token, 999), 2 ** 40);
  assert.equal(tokens.read("block a", token, 1001), undefined);
  assert.equal(tokens.read("block b", token, 999), undefined);
  assert.equal(new DirectTokens(Buffer.alloc(32, 2)).read("block a", token, 999), undefined);
  for (let i = 0; i < token.length - 2; i++) {
    const other = token[i] === "A" ? "B" : "A";
    assert.equal(tokens.read("block a", token.slice(0, i) + other + token.slice(i + 1), 999), undefined);
  }
  for (const text of ["", "AAAA", `${token}AAAA`]) assert.equal(tokens.read("block a", text, 0), undefined);
});
