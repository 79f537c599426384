/** Debian's `iscsi-test-cu` (libiscsi): runs its suites one by one, and tells passed from skipped, failed and hung. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

export type Verdict = "passed" | "skipped" | "failed" | "hung";

export interface TestOutcome {
  /** `SUITE.TEST`. */
  readonly test: string;
  readonly verdict: Verdict;
  /** What the program says about one that did not pass. */
  readonly why: string;
}

export const PROGRAM = "iscsi-test-cu";
/** Two paths, destructive tests, SANITIZE; everything that it has to say. */
const OPTIONS = ["--dataloss", "--allow-sanitize", "--verbose"];
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;

/** Why the program can't be used here, or false. */
export function missingProgram(): string | false {
  return spawnSync(PROGRAM, ["--list"]).status === 0 ? false : `${PROGRAM} (libiscsi-bin) is not installed`;
}

/** The suites of the family ALL, and the tests of each, in the program's order. */
export function suites(): Map<string, string[]> {
  const { stdout } = spawnSync(PROGRAM, ["--list"], { encoding: "utf8" });
  const found = new Map<string, string[]>();
  for (const line of stdout.split("\n")) {
    const [family, suite, test] = line.trim().split(".");
    if (family !== "ALL" || suite === undefined) continue;
    const tests = found.get(suite) ?? [];
    found.set(suite, tests);
    if (test !== undefined) tests.push(test);
  }
  return found;
}

/**
 * Suites whose tests are run by one process each. Sanitize.Reservations reserves the unit by the second path and keeps
 * it so until its process ends: Sanitize.Reset, which comes after it, would find the unit reserved by another.
 */
const ONE_BY_ONE: ReadonlySet<string> = new Set(["Sanitize"]);

/**
 * Runs tests of one suite against a logical unit that is reached by two paths. What has not ended after `limitMs`, and
 * what would have come after it, is hung. `onlyThese`: the suite has more tests, which are left out.
 */
export async function runSuite(
  urls: readonly [string, string],
  suite: string,
  tests: readonly string[],
  limitMs: number,
  onlyThese = false,
): Promise<TestOutcome[]> {
  const told = new Map<string, { verdict: Verdict; why: string }>();
  const isOneByOne = onlyThese || ONE_BY_ONE.has(suite);
  const runs = isOneByOne ? tests.map((test) => `ALL.${suite}.${test}`) : [`ALL.${suite}`];
  let output = "";
  for (const run of runs) {
    output = await runProgram(["--test", run, ...urls], limitMs);
    for (const [test, outcome] of parse(output)) told.set(test, outcome);
  }
  return tests.map((test) => ({
    test: `${suite}.${test}`,
    ...(told.get(test) ?? { verdict: "hung", why: lastWords(output) }),
  }));
}

async function runProgram(args: readonly string[], limitMs: number): Promise<string> {
  const child = spawn("stdbuf", ["-oL", PROGRAM, ...OPTIONS, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      if (output.length < OUTPUT_CHARS_MAX) output += text;
    });
  }
  await once(child, "close");
  return output;
}

/**
 * What the program wrote of each test. A test ends with `passed` or `FAILED` behind its own lines, to which what comes
 * after it may be joined; one that was skipped passes, with a line that says so.
 */
export function parse(output: string): Map<string, { verdict: Verdict; why: string }> {
  const outcomes = new Map<string, { verdict: Verdict; why: string }>();
  const [, ...parts] = output.split("\nRun Summary:")[0]?.split(/\n {2}Test: /) ?? [];
  for (const part of parts) {
    const test = /^(\S+) \.\.\./.exec(part)?.[1] ?? part;
    const ends = [...part.matchAll(/(?:^|\.\.\.|\n)(passed|FAILED)/g)];
    const end = ends.at(-1);
    if (end === undefined) {
      outcomes.set(test, { verdict: "hung", why: lastWords(part) });
      continue;
    }
    const words = part.slice(0, end.index);
    const skipped = /\[SKIPPED\][^\n]*/.exec(words)?.[0];
    if (end[1] === "FAILED") {
      const faults = [...part.matchAll(/\[FAIL(?:ED|URE)\][^\n]*|^\s+\d+\. \S+\.c:\d+[^\n]*/gm)];
      outcomes.set(test, { verdict: "failed", why: faults.map(([line]) => line.trim()).join("\n") });
    } else if (skipped !== undefined) outcomes.set(test, { verdict: "skipped", why: skipped });
    else outcomes.set(test, { verdict: "passed", why: "" });
  }
  return outcomes;
}

function lastWords(output: string): string {
  return output.trim().split("\n").slice(-3).join("\n");
}
