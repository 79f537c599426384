/**
 * Holes in files: fallocate(2) with FALLOC_FL_PUNCH_HOLE gives a range of a file back to its file system, lseek(2) with
 * SEEK_DATA finds where a hole ends. Not all file systems have them: then the caller writes zeros, and reads them.
 */
import { libcFunction } from "./libc.ts";

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

/** Undefined until it is first needed, null where there is none. */
let fallocate: ((...args: number[]) => number) | null | undefined;

/**
 * Makes the range a hole, which reads as zeros; answers whether that is done. To the rest of the system it is a write
 * of zeros: seen at once, durable with the next sync. Blocks that the range covers in part are zeroed there.
 */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): boolean {
  fallocate ??= libcFunction("int fallocate(int, int, int64_t, int64_t)") ?? null;
  if (fallocate === null) return false;
  return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offsetBytes, lengthBytes) === 0;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
let lseek: ((...args: number[]) => number) | null | undefined;

/**
 * Where the hole that `offsetBytes` lies in ends: at the first byte that may be anything but zero, or at `sizeBytes`.
 * `offsetBytes` itself where it lies in none, or where that can't be told.
 */
export function holeEnd(fd: number, offsetBytes: number, sizeBytes: number): number {
  lseek ??= libcFunction("int64_t lseek(int, int64_t, int)") ?? null;
  if (lseek === null) return offsetBytes;
  const data = Number(lseek(fd, offsetBytes, SEEK_DATA));
  if (data >= offsetBytes) return Math.min(data, sizeBytes);
  // No data from here on, or no such call: the first is so only where the hole begins no later.
  return Number(lseek(fd, offsetBytes, SEEK_HOLE)) === offsetBytes ? sizeBytes : offsetBytes;
}
