/** Disk images for the tests: made from a seed, the same every time. */
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

/** Writes an image of `mib` MiB without holes and zeros: random bytes all over. */
export function makeFullImage(file: string, mib: number, seed: string): void {
  const key = createHash("sha256").update(seed).digest();
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(MIB);
  const fd = openSync(file, "w");
  try {
    for (let i = 0; i < mib; i++) writeSync(fd, cipher.update(zeros), 0, MIB, i * MIB);
  } finally {
    closeSync(fd);
  }
}

/** The SHA-256 of bytes [from, to) of a file; what lies beyond its end counts as zeros. */
export function hashOf(file: string, from: number, to: number): string {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(4 * MIB);
  const fd = openSync(file, "r");
  try {
    for (let at = from; at < to; ) {
      const length = Math.min(buffer.length, to - at);
      const read = readSync(fd, buffer, 0, length, at);
      buffer.fill(0, read, length);
      hash.update(buffer.subarray(0, length));
      at += length;
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
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
