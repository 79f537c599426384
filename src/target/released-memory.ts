/**
 * The memory of large buffers, given back when they are done with: the collector of garbage, which would see to it
 * otherwise, does not run while nothing else is allocated, and an idle target allocates nothing.
 */
import { giveBackFreeMemory } from "../platform/free-memory.ts";

/** So much has to have come together before the C library is asked to let go of it. */
const WORTH_BYTES = 32 * 1024 * 1024;

/** Given back by all connections of the thread since `tidy` last did something. */
let releasedBytes = 0;

/** Gives back the memory of a buffer that has it to itself, and that nothing reads or writes any more. */
export function release(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (!(memory instanceof ArrayBuffer) || memory.byteLength !== buffer.length) return;
  releasedBytes += buffer.length;
  memory.transfer(0);
}

/** Sees to it that the system has what was released, if that is much: not while there is work to do. */
export function tidy(): void {
  if (releasedBytes < WORTH_BYTES) return;
  releasedBytes = 0;
  giveBackFreeMemory();
}
