import { describe, test } from "node:test";
import { VolumeSimulation } from "./volume-simulation.ts";

const SEEDS = 300;
const GROUPS = 4;
const STEPS = 120;

describe("volumes under killed processes and lost power", () => {
  for (let group = 0; group < GROUPS; group++) {
    const from = (group * SEEDS) / GROUPS;
    const to = ((group + 1) * SEEDS) / GROUPS;
    test(`seeds ${from} to ${to - 1}, ${STEPS} steps each`, async () => {
      for (let seed = from; seed < to; seed++) {
        const simulation = new VolumeSimulation(seed);
        try {
          await simulation.run(STEPS);
        } catch (error) {
          const trace = simulation.steps.slice(-20).join("\n  ");
          throw new Error(`npm run simulate -- --from ${seed} --seeds 1 --ops ${STEPS} --trace\n  ${trace}`, {
            cause: error,
          });
        }
      }
    });
  }
});
