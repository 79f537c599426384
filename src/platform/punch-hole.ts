/**
 * Gives a range of a file back to its file system: fallocate(2) with FALLOC_FL_PUNCH_HOLE, which Node does not offer.
 * Only Linux has it, and not all of its file systems; where it can't be had, the caller writes zeros.
 */
import { createRequire } from "node:module";

type Fallocate = (fd: number, mode: number, offsetBytes: number, lengthBytes: number) => number;

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

/** Undefined until it is first needed, null where there is none. */
let fallocate: Fallocate | null | undefined;

/**
 * Makes the range a hole, which reads as zeros; answers whether that is done. To the rest of the system it is a write
 * of zeros: seen at once, durable with the next sync. Blocks that the range covers in part are zeroed there.
 */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): boolean {
  fallocate ??= loadFallocate();
  if (fallocate === null) return false;
  return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offsetBytes, lengthBytes) === 0;
}

function loadFallocate(): Fallocate | null {
  if (process.platform !== "linux") return null;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    return koffi.load(null).func("int fallocate(int, int, int64_t, int64_t)") as unknown as Fallocate;
  } catch {
    // No binary for this machine, or a C library without that function: zeros do as well, in more space.
    return null;
  }
}
