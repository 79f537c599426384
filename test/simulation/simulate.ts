// npm run simulate -- --seeds N --ops M [--from SEED] [--shrink] [--only 3,17,18]: more lives than the tests have time for.
import { parseArgs } from "node:util";
import { failureOf, shrink } from "./shrink.ts";
import { VolumeSimulation } from "./volume-simulation.ts";

const SHRINK_MS_MAX = 120_000;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    ops: { type: "string", default: "120" },
    from: { type: "string", default: "0" },
    only: { type: "string" },
    trace: { type: "boolean", default: false },
    shrink: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const ops = Number(values.ops);
const only = values.only === undefined ? undefined : new Set(values.only.split(",").map(Number));
let failures = 0;
let snapshots = 0;
let crashes = 0;
const startedMs = performance.now();
for (let seed = from; seed < from + Number(values.seeds); seed++) {
  const simulation = new VolumeSimulation(seed);
  try {
    const result = await simulation.run(ops, only);
    snapshots += result.snapshots;
    crashes += result.crashes;
  } catch (error) {
    failures += 1;
    const last = values.trace ? simulation.steps : simulation.steps.slice(-12);
    process.stdout.write(`seed ${seed} FAILED: ${error instanceof Error ? error.stack : error}\n`);
    process.stdout.write(`  ${last.join("\n  ")}\n`);
    if (values.shrink) await printShrunk(seed);
    if (failures >= 3) break;
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
process.stdout.write(
  `${values.seeds} seeds, ${snapshots} snapshots checked, ${crashes} crashes, ${failures} failures, ${seconds} s\n`,
);
process.exitCode = failures === 0 ? 0 : 1;

async function printShrunk(seed: number): Promise<void> {
  const failure = await failureOf(seed, ops, only);
  if (failure === undefined) return;
  const endMs = performance.now() + SHRINK_MS_MAX;
  const { steps, trace, error } = await shrink(seed, ops, failure, () => performance.now() > endMs);
  process.stdout.write(
    `\nshrunk to ${steps.size} steps: ${error instanceof Error ? error.message : error}\n`,
  );
  process.stdout.write(`  ${trace.join("\n  ")}\n`);
  const list = [...steps].join();
  process.stdout.write(`npm run simulate -- --from ${seed} --seeds 1 --ops ${ops} --trace --only ${list}\n`);
}
