/**
 * The conformance suite of libiscsi in its short form, on a stored and on a cached volume: everything but what sleeps
 * for long. `npm run conformance` runs all of it.
 */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { expectedVerdicts, surprises } from "../conformance/expected.ts";
import { missingProgram, parse, runSuite, suites } from "../conformance/iscsi-test.ts";
import { startSubject } from "../conformance/subjects.ts";

const SUITE_LIMIT_MS = 240_000;
/** Tests that spend their time asleep: resets of a minute, waits for what has timed out. */
const SLOW: ReadonlySet<string> = new Set([
  "Reserve6.ITNexusLoss",
  "Reserve6.TargetColdReset",
  "Reserve6.TargetWarmReset",
  "Reserve6.LUNReset",
  "Sanitize.Overwrite",
  "Sanitize.OverwriteReserved",
  "Sanitize.Reset",
  "iSCSIcmdsn.iSCSICmdSnTooHigh",
  "iSCSIcmdsn.iSCSICmdSnTooLow",
]);

describe("iscsi-test-cu", { skip: missingProgram() }, () => {
  test("the table of what is expected names every test", () => {
    const known = [...suites()].flatMap(([suite, tests]) => tests.map((each) => `${suite}.${each}`));
    assert.deepEqual([...expectedVerdicts().keys()], known);
    assert.equal(known.length, 230);
  });

  for (const kind of ["stored", "cached"] as const) {
    test(`on a ${kind} volume`, async () => {
      const subject = await startSubject(kind);
      try {
        for (const [suite, all] of suites()) {
          const tests = all.filter((each) => !SLOW.has(`${suite}.${each}`));
          const isWhole = tests.length === all.length;
          const outcomes = await runSuite(subject.urls, suite, tests, SUITE_LIMIT_MS, !isWhole);
          assert.deepEqual(surprises(outcomes), []);
        }
      } finally {
        await subject.stop();
      }
    });
  }
});

test("a test that is skipped is not taken for one that has passed", () => {
  const output = [
    "Suite: Some",
    "  Test: One ...passed",
    "  Test: Two ...    [SKIPPED] WRITE10 is not implemented.",
    "passed",
    "  Test: Three ...    [FAILED] no good",
    "FAILED",
    "    1. test_three.c:71  - CU_ASSERT_EQUAL(_r,0)",
    "  Test: Four ...passed    [SKIPPED] PERSISTENT RESERVE IN is not implemented.",
    "  Test: Five ...",
  ].join("\n");
  const verdicts = [...parse(output)].map(([name, { verdict }]) => [name, verdict]);
  assert.deepEqual(verdicts, [
    ["One", "passed"],
    ["Two", "skipped"],
    ["Three", "failed"],
    ["Four", "passed"],
    ["Five", "hung"],
  ]);
});
