/** Memory that the C library keeps when it has been freed. */
import { libcFunction } from "./libc.ts";

/** Undefined until it is first needed, null where there is none. */
let mallocTrim: ((...args: number[]) => number) | null | undefined;

/**
 * Gives what is free in the C library's heap back to the system (malloc_trim(3)): it does so by itself only where nothing
 * that is still in use lies behind it. Takes about 0.1 ms for each MiB that goes back, and the thread waits for it.
 * Nothing where that can't be had.
 */
export function giveBackFreeMemory(): void {
  mallocTrim ??= libcFunction("int malloc_trim(size_t)") ?? null;
  mallocTrim?.(0);
}
