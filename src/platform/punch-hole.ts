/**
 * Gives a range of a file back to its file system: fallocate(2) with FALLOC_FL_PUNCH_HOLE. Not all file systems have
 * it; where it can't be had, the caller writes zeros.
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
