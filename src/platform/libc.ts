/** The few calls of the C library that Node does not offer. Only on Linux, and where koffi has a binary. */
import { createRequire } from "node:module";

/** Declares the function `prototype` (as in C), or answers undefined where it can't be had. */
export function libcFunction(prototype: string): ((...args: number[]) => number) | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    return koffi.load(null).func(prototype) as unknown as (...args: number[]) => number;
  } catch {
    // No binary for this machine, or a library without that function: callers do without.
    return undefined;
  }
}
