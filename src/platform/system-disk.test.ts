import { strict as assert } from "node:assert";
import fs, { closeSync, mkdtempSync, openSync, rmSync, statfsSync, statSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type DiskFile, SyncError } from "./disk.ts";
import { libcFunction } from "./libc.ts";
import { systemDisk } from "./system-disk.ts";

const KIB = 1024;
const TMPFS_MAGIC = 0x01021994;
const POSIX_FADV_DONTNEED = 4;
const fadvise = libcFunction("int posix_fadvise(int, int64_t, int64_t, int)");

/** Drops what the page cache has of a file that is synced. */
function forget(path: string): void {
  const fd = openSync(path, "r");
  assert.equal(fadvise?.(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  closeSync(fd);
}

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

  test("is written in pieces, so that it is not kept in pages that make small writes slow", async (t) => {
    const file = systemDisk.open(join(folder, "pieces"), { create: true, sizeBytes: 512 * KIB });
    const sizes: number[] = [];
    const { writeSync, write } = fs;
    t.mock.method(fs, "writeSync", (fd: number, from: Buffer, at: number, length: number, to: number) => {
      sizes.push(length);
      return writeSync(fd, from, at, length, to);
    });
    t.mock.method(fs, "write", (...args: unknown[]) => {
      sizes.push(Number(args[3]));
      Reflect.apply(write, fs, args);
    });
    syncBuiltinESMExports();
    try {
      const content = Buffer.from(Array.from({ length: 300 * KIB }, (_, i) => (i * 7919) % 251));
      file.writeSync(content, 0, content.length, 1000);
      await file.write(content, 0, content.length, 200 * KIB);
      assert(sizes.length >= 10 && Math.max(...sizes) <= 64 * KIB, `writes of ${Math.max(...sizes)} bytes`);
      const there = Buffer.alloc(500 * KIB);
      file.readSync(there, 0, there.length, 0);
      assert(there.subarray(1000, 200 * KIB).equals(content.subarray(0, 200 * KIB - 1000)));
      assert(there.subarray(200 * KIB).equals(content));
    } finally {
      t.mock.restoreAll();
      syncBuiltinESMExports();
      file.close();
    }
  });

  describe("read without waiting for its disk", { skip: noColdFiles() }, () => {
    const content = Buffer.from(Array.from({ length: 1024 * KIB }, (_, i) => (i * 31 + (i >> 12)) % 253));

    const coldFile = async (name: string): Promise<DiskFile> => {
      const path = join(folder, name);
      const file = systemDisk.open(path, { create: true, sizeBytes: content.length });
      file.writeSync(content, 0, content.length, 0);
      await file.sync();
      forget(path);
      return file;
    };

    test("says what is not there, and has it when it was brought", async () => {
      const file = await coldFile("cold");
      const target = Buffer.alloc(20 * KIB, 0xee);
      for (const [at, length] of [
        [0, 4 * KIB],
        [700 * KIB + 512, 16 * KIB],
      ] as const) {
        // The system forgets as far as it likes.
        for (let i = 0; file.tryReadSync(target, 100, length, at); i++) {
          assert(i < 100, "it is in memory for ever");
          forget(file.path);
        }
        await file.bring(at, length);
        for (let tries = 0; !file.tryReadSync(target, 100, length, at); tries++) {
          assert(tries < 100);
          await file.bring(at, length);
        }
        assert(target.subarray(100, 100 + length).equals(content.subarray(at, at + length)));
        assert(target.subarray(0, 100).every((byte) => byte === 0xee));
        assert(target.subarray(100 + length).every((byte) => byte === 0xee));
        target.fill(0xee);
      }
      file.close();
    });

    test("many readers of a cold file find all that they have asked for", async () => {
      const file = await coldFile("crowd");
      const readers = Array.from({ length: 200 }, async (_, i) => {
        const at = ((i * 7919) % 255) * 4 * KIB;
        const target = Buffer.alloc(4 * KIB);
        for (let tries = 0; !file.tryReadSync(target, 0, target.length, at); tries++) {
          assert(tries < 100);
          await file.bring(at, target.length);
        }
        assert(target.equals(content.subarray(at, at + target.length)), `what is at ${at}`);
      });
      await Promise.all(readers);
      file.close();
    });

    test("closed in between, it lets those go who wait, and is not taken for the next file", async () => {
      const file = await coldFile("gone");
      const waiting = Array.from({ length: 50 }, (_, i) => file.bring(i * 16 * KIB, 16 * KIB));
      file.close();
      const next = systemDisk.open(join(folder, "after"), { create: true, sizeBytes: content.length });
      await Promise.all(waiting);
      const target = Buffer.alloc(4 * KIB);
      assert.throws(() => file.tryReadSync(target, 0, target.length, 0), {
        code: /EBADF|ERR_OUT_OF_RANGE/,
      });
      next.close();
    });

    test("nothing is written outside of its target, nor read beyond the file's end", async () => {
      const file = await coldFile("end");
      const target = Buffer.alloc(4 * KIB);
      assert.throws(() => file.tryReadSync(target, 1, target.length, 0), { code: "ERR_ASSERTION" });
      await assert.rejects(file.bring(content.length - 512, 4 * KIB), { code: "EIO" });
      assert.equal(file.tryReadSync(target, 0, target.length, content.length - 512), false);
      assert.throws(() => file.readSync(target, 0, target.length, content.length - 512), { code: "EIO" });
      file.close();
    });
  });

  /** Why files can't be had out of the page cache here, or false. */
  function noColdFiles(): string | false {
    if (fadvise === undefined) return "no posix_fadvise";
    return statfsSync(folder).type === TMPFS_MAGIC ? "a file system in memory" : false;
  }
});
