// npm run crash-loop -- --rounds 50 [--seed N]: the long form of crash-loop.test.ts.
import { parseArgs } from "node:util";
import { crashRounds } from "./crash-rounds.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "50" }, seed: { type: "string", default: "1" } },
});
process.stdout.write(`seed ${values.seed}\n`);
const result = await crashRounds(Number(values.rounds), Number(values.seed), (line) =>
  process.stdout.write(`${line}\n`),
);
process.stdout.write(
  `${values.rounds} rounds: ${result.writes} writes, ${result.snapshots} snapshots, ${result.failedSnapshots} of them failed\n`,
);
