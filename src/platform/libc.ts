/** The few C functions that Node does not offer. Only on Linux, and where koffi has a binary. */
import { createRequire } from "node:module";

type Argument = number | Buffer | object | null;

/** Declares the function `prototype` (as in C), or answers undefined where it can't be had. */
export function libcFunction(prototype: string): ((...args: number[]) => number) | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return processFunction(prototype) as (...args: number[]) => number;
  } catch {
    // No binary for this machine, or a library without that function: callers do without.
    return undefined;
  }
}

/**
 * Declares a function of this process: of the C library, or of what Node is linked with and shows to addons. Throws
 * where there is none. A buffer is handed over as where its bytes are: nobody but the caller sees to its length.
 */
export function processFunction(prototype: string): (...args: Argument[]) => unknown {
  return koffi().load(null).func(prototype) as unknown as (...args: Argument[]) => unknown;
}

/** Where the bytes of a view are, for as long as it lives. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi().address(bytes));
}

/** How long an address is on this machine. */
export function pointerBytes(): number {
  return koffi().sizeof("void *");
}

/** The errno of the last call that failed, right after it. */
export function lastError(): number {
  return koffi().errno();
}

let loaded: typeof import("koffi") | undefined;

function koffi(): typeof import("koffi") {
  loaded ??= createRequire(import.meta.url)("koffi") as typeof import("koffi");
  return loaded;
}
