import { describe, test } from "node:test";
import { VaultSimulation } from "./vault-simulation.ts";

const SEEDS = 24;
const STEPS = 40;

describe("a vault that several gateways write to and collect at the same time", () => {
  test(`seeds 0 to ${SEEDS - 1}, ${STEPS} steps each`, async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const simulation = new VaultSimulation(seed);
      try {
        await simulation.run(STEPS);
      } catch (error) {
        throw new Error(`seed ${seed}\n  ${simulation.steps.slice(-40).join("\n  ")}`, { cause: error });
      }
    }
  });
});
