import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { SyncError, systemDisk } from "./disk.ts";

const KIB = 1024;

describe("a file of the system", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-disk-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("zeros take no space, and are just the range that was asked for", async () => {
    const path = join(folder, "holes");
    const file = systemDisk.open(path, { create: true, sizeBytes: 512 * KIB });
    file.writeSync(Buffer.alloc(512 * KIB, 7), 0, 512 * KIB, 0);
    await file.sync();
    const before = statSync(path).blocks;
    file.zeroSync(64 * KIB - 100, 128 * KIB + 200);
    await file.sync();
    const content = Buffer.alloc(512 * KIB);
    file.readSync(content, 0, content.length, 0);
    const expected = Buffer.alloc(512 * KIB, 7).fill(0, 64 * KIB - 100, 192 * KIB + 100);
    assert(content.equals(expected));
    assert(statSync(path).blocks <= before - 256, `${before} blocks before, ${statSync(path).blocks} now`);
    file.close();
  });

  test("that is closed is not taken for the next one that gets its number", async () => {
    const closed = systemDisk.open(join(folder, "closed"), { create: true, sizeBytes: 4 * KIB });
    const syncing = closed.sync();
    closed.close();
    const next = systemDisk.open(join(folder, "next"), { create: true, sizeBytes: 4 * KIB });
    assert.throws(() => closed.writeSync(Buffer.alloc(512, 1), 0, 512, 0), {
      code: /EBADF|ERR_OUT_OF_RANGE/,
    });
    await assert.rejects(closed.sync(), SyncError);
    // One that was under way when it was closed is of the file that it was called for.
    await syncing;
    const content = Buffer.alloc(512, 9);
    next.readSync(content, 0, 512, 0);
    assert(content.equals(Buffer.alloc(512)));
    next.close();
    next.close();
  });

  test("what holds zeros can be given back, and still holds zeros", async () => {
    const path = join(folder, "trimmed");
    const file = systemDisk.open(path, { create: true, sizeBytes: 256 * KIB });
    file.writeSync(Buffer.alloc(256 * KIB), 0, 256 * KIB, 0);
    await file.sync();
    assert(statSync(path).blocks >= 512);
    file.trimSync(0, 256 * KIB);
    // Where the file system has holes at all, it tells how far they go.
    const hole = file.holeBytes(64 * KIB);
    assert(hole === 192 * KIB || hole === 0, `a hole of ${hole} bytes`);
    assert.equal(file.holeBytes(256 * KIB), 0);
    await file.sync();
    assert.equal(statSync(path).blocks, 0);
    const content = Buffer.alloc(256 * KIB, 1);
    file.readSync(content, 0, content.length, 0);
    assert(content.equals(Buffer.alloc(256 * KIB)));
    file.close();
  });
});
