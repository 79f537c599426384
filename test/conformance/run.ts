// npm run conformance [-- --on stored,cached,restored,tgt] [--only SUITE,…] [--limit SECONDS]
// All suites of iscsi-test-cu, one by one; what is not as libiscsi-expected.txt says makes it fail (but for tgt).
import { parseArgs } from "node:util";
import { systemClock } from "../../src/platform/clock.ts";
import { surprises } from "./expected.ts";
import { missingProgram, runSuite, suites, type TestOutcome, type Verdict } from "./iscsi-test.ts";
import { KINDS, type Kind, startSubject } from "./subjects.ts";

const { values } = parseArgs({
  options: {
    on: { type: "string", default: "stored,cached,restored" },
    only: { type: "string" },
    limit: { type: "string", default: "240" },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);

async function runAll(kind: Kind): Promise<number> {
  const subject = await startSubject(kind);
  const outcomes: TestOutcome[] = [];
  const only = values.only?.split(",");
  try {
    for (const [suite, tests] of suites()) {
      if (only !== undefined && !only.includes(suite)) continue;
      const startedMs = systemClock.monotonicMs();
      const ended = await runSuite(subject.urls, suite, tests, Number(values.limit) * 1000);
      const seconds = ((systemClock.monotonicMs() - startedMs) / 1000).toFixed(1);
      say(`${kind} ${suite}: ${summary(ended)} (${seconds} s)`);
      outcomes.push(...ended);
    }
  } finally {
    await subject.stop();
  }
  say(`${kind}: ${outcomes.length} tests: ${summary(outcomes)}`);
  for (const { test, verdict, why } of outcomes) {
    if (verdict === "skipped") say(`  ${test} skipped: ${why}`);
  }
  const unexpected = surprises(outcomes);
  for (const line of unexpected) say(`  ${line}`);
  return kind === "tgt" ? 0 : unexpected.length;
}

function summary(outcomes: readonly TestOutcome[]): string {
  const verdicts: Verdict[] = ["passed", "failed", "skipped", "hung"];
  return verdicts
    .map((verdict) => ({ verdict, count: outcomes.filter((each) => each.verdict === verdict).length }))
    .filter(({ verdict, count }) => count > 0 || verdict === "passed")
    .map(({ verdict, count }) => `${count} ${verdict}`)
    .join(", ");
}

const missing = missingProgram();
if (missing !== false) throw new Error(missing);
let unexpected = 0;
for (const kind of values.on.split(",")) {
  const known = KINDS.find((each) => each === kind);
  if (known === undefined) throw new Error(`--on takes ${KINDS.join(", ")}; not ${kind}`);
  unexpected += await runAll(known);
}
process.exitCode = unexpected === 0 ? 0 : 1;
