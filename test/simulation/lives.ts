/** Runs lives of volumes as tests: groups of seeds, each life short, so that there are many of them. */
import { describe, test } from "node:test";
import { VolumeSimulation } from "./volume-simulation.ts";

const GROUP = 250;
const STEPS = 60;

/** Tests the seeds from `from` on. */
export function testLives(from: number, count: number): void {
  describe("volumes under killed processes, lost power, failing disks and a bad line", () => {
    for (let first = from; first < from + count; first += GROUP) {
      test(`seeds ${first} to ${first + GROUP - 1}, ${STEPS} steps each`, async () => {
        for (let seed = first; seed < first + GROUP; seed++) await live(seed);
      });
    }
  });
}

async function live(seed: number): Promise<void> {
  const simulation = new VolumeSimulation(seed);
  try {
    await simulation.run(STEPS);
  } catch (error) {
    const command = `npm run simulate -- --from ${seed} --seeds 1 --ops ${STEPS} --trace --shrink`;
    throw new Error(`${command}\n  ${simulation.steps.slice(-20).join("\n  ")}`, { cause: error });
  }
}
