/** What is expected of each test: a table beside this file, one line a test, that every run is held to. */
import { readFileSync } from "node:fs";
import type { TestOutcome, Verdict } from "./iscsi-test.ts";

/** `SUITE.TEST` → what becomes of it. */
export function expectedVerdicts(): Map<string, Verdict> {
  const text = readFileSync(new URL("libiscsi-expected.txt", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const [test = "", verdict = ""] = line.split(/\s+/);
      return [test, verdict as Verdict];
    }),
  );
}

/** What is not as the table says, a line each; tests that the table does not know among it. */
export function surprises(outcomes: readonly TestOutcome[]): string[] {
  const expected = expectedVerdicts();
  return outcomes
    .filter(({ test, verdict }) => expected.get(test) !== verdict)
    .map(({ test, verdict, why }) => {
      const indented = why === "" ? "" : `\n    ${why.replaceAll("\n", "\n    ")}`;
      return `${test} ${verdict}, expected ${expected.get(test) ?? "nothing: it is new"}${indented}`;
    });
}
