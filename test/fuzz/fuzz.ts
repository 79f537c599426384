/**
 * `npm run fuzz -- [--seed N] [--rounds N] [--seconds N]`: peers that break the protocol, against the target in this
 * process, on loopback only. It ends by itself; a failure names the seed that repeats it.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../src/platform/clock.ts";
import { TargetKit } from "../kit/target-kit.ts";
import { fuzzTarget } from "./peer-fuzzer.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000) },
    rounds: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
  },
});
const endMs = systemClock.monotonicMs() + Number(values.seconds) * 1000;
let seed = Number(values.seed);
let rounds = 0;
let answers = 0;
const rssBefore = process.memoryUsage.rss();
do {
  const kit = new TargetKit();
  await kit.start();
  try {
    const result = await fuzzTarget(kit, seed, Number(values.rounds));
    rounds += result.rounds;
    answers += result.answers;
  } catch (error) {
    process.stdout.write(`npm run fuzz -- --seed ${seed} --rounds ${values.rounds} --seconds 0\n`);
    throw error;
  }
  await kit.stop();
  seed += 1;
} while (systemClock.monotonicMs() < endMs);
const grownMiB = Math.round((process.memoryUsage.rss() - rssBefore) / 1024 ** 2);
process.stdout.write(
  `${rounds} peers, ${answers} answers, up to seed ${seed - 1}: nothing broke; ${grownMiB} MiB more\n`,
);
process.exit(0);
