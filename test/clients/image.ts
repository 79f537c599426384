/** Disk images for the tests: made from a seed, the same every time. */
import { strict as assert } from "node:assert";
import { createCipheriv, createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

const MIB = 1024 * 1024;

/**
 * Writes an image of `mib` MiB, in stretches of 1 MiB: random bytes, text that compresses, copies of a stretch
 * before, holes.
 */
export function makeImage(file: string, mib: number, seed: string): void {
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(MIB);
  const text = Buffer.from(`${seed}: a line of a log file, of which there are many\n`);
  const fd = openSync(file, "w");
  try {
    let random = cipher.update(zeros);
    for (let i = 0; i < mib; i++) {
      const kind = i % 8;
      if (kind < 4) random = cipher.update(zeros);
      if (kind < 5) writeSync(fd, random, 0, MIB, i * MIB);
      else if (kind === 5)
        writeSync(fd, Buffer.alloc(MIB, Buffer.concat([text, Buffer.from(String(i))])), 0, MIB, i * MIB);
      else if (kind === 6) writeSync(fd, random, 0, 5000, i * MIB + 123_392);
    }
    ftruncateSync(fd, mib * MIB);
  } finally {
    closeSync(fd);
  }
}

/** Writes an image of `mib` MiB without holes and zeros: random bytes all over, so many with each call. */
export function makeFullImage(file: string, mib: number, seed: string, callBytes = MIB): void {
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(callBytes);
  const fd = openSync(file, "w");
  try {
    for (let at = 0; at < mib * MIB; at += callBytes) writeSync(fd, cipher.update(zeros), 0, callBytes, at);
  } finally {
    closeSync(fd);
  }
}

/** Where two files first differ in bytes [from, to), or undefined; what lies beyond the end of one counts as zeros. */
export function firstDifference(fileA: string, fileB: string, from: number, to: number): number | undefined {
  const fds = [openSync(fileA, "r"), openSync(fileB, "r")];
  const buffers = fds.map(() => Buffer.alloc(4 * MIB));
  try {
    for (let at = from; at < to; at += 4 * MIB) {
      const length = Math.min(4 * MIB, to - at);
      const [a, b] = fds.map((fd, i) => {
        const buffer = buffers[i] ?? assert.fail();
        return buffer.fill(0, readSync(fd, buffer, 0, length, at), length).subarray(0, length);
      });
      assert(a && b);
      if (!a.equals(b)) return at + a.findIndex((byte, i) => byte !== b[i]);
    }
    return undefined;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** How many of the blocks of 64 KiB from `offsetBytes` on are filled with `patternOf(i)`, without a gap. */
export function patternPrefix(
  file: string,
  offsetBytes: number,
  count: number,
  patternOf: (i: number) => number,
): { prefix: number; after: number } {
  const block = Buffer.alloc(65536);
  const fd = openSync(file, "r");
  let prefix = 0;
  let after = 0;
  try {
    for (let i = 0; i < count; i++) {
      readSync(fd, block, 0, block.length, offsetBytes + i * block.length);
      const filled = block.equals(Buffer.alloc(block.length, patternOf(i)));
      if (filled && prefix === i) prefix += 1;
      else if (filled) after += 1;
    }
  } finally {
    closeSync(fd);
  }
  return { prefix, after };
}
