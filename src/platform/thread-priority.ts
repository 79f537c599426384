/** How a thread stands against the others where there are fewer processors than work. */
import { libcFunction } from "./libc.ts";

const PRIO_PROCESS = 0;
const THIS_THREAD = 0;

/**
 * Lets the other threads of the machine go before this one: on Linux a nice value is a thread's own (setpriority(2)).
 * Nothing where that can't be had: it is a courtesy.
 */
export function yieldToOthers(nice: number): void {
  libcFunction("int setpriority(int, unsigned int, int)")?.(PRIO_PROCESS, THIS_THREAD, nice);
}
