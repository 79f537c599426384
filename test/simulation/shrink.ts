/** Makes a failing life short: leaves out as many of its steps as it can do without and still fail. */
import { VolumeSimulation } from "./volume-simulation.ts";

export interface Failure {
  readonly steps: ReadonlySet<number>;
  readonly trace: readonly string[];
  readonly error: unknown;
}

/** Runs one life; its failure, or undefined. */
export async function failureOf(
  seed: number,
  ops: number,
  only?: ReadonlySet<number>,
): Promise<Failure | undefined> {
  const simulation = new VolumeSimulation(seed);
  try {
    await simulation.run(ops, only);
    return undefined;
  } catch (error) {
    const steps = only ?? new Set(Array.from({ length: ops }, (_, i) => i));
    return { steps, trace: simulation.steps, error };
  }
}

/** Leaves out larger and then smaller runs of steps (delta debugging), until `isLate`. */
export async function shrink(
  seed: number,
  ops: number,
  failure: Failure,
  isLate: () => boolean,
): Promise<Failure> {
  let best = failure;
  for (let size = Math.ceil(best.steps.size / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.steps.size && !isLate(); ) {
      const kept = [...best.steps].filter((_, i) => i < at || i >= at + size);
      const smaller = await failureOf(seed, ops, new Set(kept));
      if (smaller === undefined) at += size;
      else best = smaller;
    }
  }
  return best;
}
