// Runs files of node:test tests under Node 24 and counts what passed. Plain JavaScript for Node 18.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { findNode } from "../bin/node24.js";
import { root, runStep } from "./steps.js";
import { longestFirst } from "./test-order.js";

const ONE_TEST_LIMIT_MS = 600_000;

/** The test files under `folder` (a path from the root), sorted, as paths from the root. */
export function testFiles(folder) {
  const found = [];
  const visit = (path) => {
    for (const item of readdirSync(path, { withFileTypes: true })) {
      if (item.isDirectory()) visit(join(path, item.name));
      else if (item.name.endsWith(".test.ts")) found.push(join(path, item.name));
    }
  };
  if (existsSync(join(root, folder))) visit(join(root, folder));
  return found.map((file) => relative(root, file).split(sep).join("/")).sort();
}

/**
 * Runs `files`, so many at a time, each in a Node with `nodeOptions`, and gives {passed, failed, skipped, seconds}.
 *
 * A run that ends without a summary (killed, crashed, out of time) counts as one failure more.
 */
export async function runTests(
  name,
  files,
  { concurrency, limitMs, env = {}, namePattern, niceness, nodeOptions = [] },
) {
  const tally = join(tmpdir(), `sluicegate-tally-${process.pid}-${name.replace(/\W+/g, "-")}.json`);
  const timeoutMs = Math.min(ONE_TEST_LIMIT_MS, limitMs);
  const what = { files: longestFirst(files), concurrency, timeoutMs, namePattern, nodeOptions };
  const args = [join(root, "scripts", "run-files.js"), JSON.stringify(what)];
  const step = await runStep(name, findNode(), args, {
    limitMs,
    niceness,
    env: { ...env, SLUICEGATE_TEST_TALLY: tally },
  });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let complete = false;
  if (existsSync(tally)) {
    const written = JSON.parse(readFileSync(tally, "utf8"));
    complete = written.complete;
    counts.passed = written.passed;
    counts.failed = written.failed;
    counts.skipped = written.skipped;
    rmSync(tally);
  }
  if (!complete || (!step.ok && counts.failed === 0)) counts.failed += 1;
  return { name, ...counts, seconds: step.seconds };
}
