/**
 * The bars of the design, measured in one run on one machine.
 *
 *   npm run bench                       everything
 *   npm run bench -- --rounds 5         more rounds of what is compared with tgt; the median counts
 *   npm run bench -- --only P1,flush    only some: P1 to P8, P11 to P13, sessions, flush, epochs, fairness
 *
 * Absolute figures depend on the machine and its neighbours; the ratios are what is meant.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Closers } from "./contenders.ts";
import { benchDataPath } from "./data-path.ts";
import { ENGINE_BENCHES } from "./engine.ts";
import { WORKLOADS } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string" },
  },
});
const only = values.only?.split(",");
const isWanted = ({ id }: { readonly id: string }) => only === undefined || only.includes(id);
const folder = mkdtempSync(join(tmpdir(), "sg-bench-"));

/** Runs one part in a folder of its own, and clears up behind it. */
async function part(
  name: string,
  action: (folder: string, closers: Closers) => Promise<void>,
): Promise<void> {
  const own = mkdtempSync(join(folder, `${name}-`));
  const closers: Closers = [() => rmSync(own, { recursive: true, force: true })];
  try {
    await action(own, closers);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

try {
  const workloads = WORKLOADS.filter(isWanted);
  if (workloads.length > 0) {
    await part("data-path", (own, closers) => benchDataPath(workloads, Number(values.rounds), own, closers));
  }
  for (const { id, run } of ENGINE_BENCHES.filter(isWanted)) await part(id, run);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
