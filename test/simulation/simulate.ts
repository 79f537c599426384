// npm run simulate -- --seeds N --ops M [--from SEED]: more lives of volumes than the tests have time for.
import { parseArgs } from "node:util";
import { VolumeSimulation } from "./volume-simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    ops: { type: "string", default: "120" },
    from: { type: "string", default: "0" },
    trace: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
let failures = 0;
let snapshots = 0;
let crashes = 0;
const startedMs = performance.now();
for (let seed = from; seed < from + Number(values.seeds); seed++) {
  const simulation = new VolumeSimulation(seed);
  try {
    const result = await simulation.run(Number(values.ops));
    snapshots += result.snapshots;
    crashes += result.crashes;
  } catch (error) {
    failures += 1;
    const last = values.trace ? simulation.steps : simulation.steps.slice(-12);
    process.stdout.write(`seed ${seed} FAILED: ${error instanceof Error ? error.stack : error}\n`);
    process.stdout.write(`  ${last.join("\n  ")}\n`);
    if (failures >= 3) break;
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
process.stdout.write(
  `${values.seeds} seeds, ${snapshots} snapshots checked, ${crashes} crashes, ${failures} failures, ${seconds} s\n`,
);
process.exitCode = failures === 0 ? 0 : 1;
