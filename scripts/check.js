// npm run check: format and lint, types, dead code, house rules, two at a time. The same locally and in CI.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findNode } from "../bin/node24.js";
import { runTests, testFiles } from "./node-tests.js";
import { root, runStep } from "./steps.js";

const LIMIT_MS = 120_000;

/** Runs every check, also after one has failed; gives {passed, failed, skipped}. */
export async function check() {
  const bin = (...path) => join(root, "node_modules", ...path);
  const steps = [
    ["biome", [bin("@biomejs", "biome", "bin", "biome"), "ci", "--colors=off", "."]],
    ["tsc", [bin("typescript", "bin", "tsc"), "-p", "tsconfig.json", "--pretty", "false"]],
    ["tsc console", [bin("typescript", "bin", "tsc"), "-p", "console/tsconfig.json", "--pretty", "false"]],
    ["knip", [bin("knip", "bin", "knip.js"), "--no-progress"]],
  ];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const lane = async () => {
    for (let next = steps.shift(); next !== undefined; next = steps.shift()) {
      const [name, args] = next;
      const step = await runStep(name, findNode(), args, { limitMs: LIMIT_MS, quiet: true });
      counts[step.ok ? "passed" : "failed"] += 1;
      process.stdout.write(`check ${name}: ${step.ok ? "ok" : "FAILED"} (${step.seconds.toFixed(1)} s)\n`);
      if (!step.ok) process.stdout.write(`${step.output}\n`);
    }
  };
  await Promise.all([lane(), lane()]);
  const house = await runTests("house", testFiles("test/house"), { concurrency: 2, limitMs: LIMIT_MS });
  process.stdout.write(`check house rules: ${house.failed === 0 ? "ok" : "FAILED"}\n`);
  for (const key of Object.keys(counts)) counts[key] += house[key];
  return counts;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { failed } = await check();
  process.exitCode = failed === 0 ? 0 : 1;
}
