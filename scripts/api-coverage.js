// npm run api-coverage: runs the suites that note what they show of the API, and makes docs/api-coverage.md of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findNode } from "../bin/node24.js";
import { runTests, testFiles } from "./node-tests.js";
import { root, runStep } from "./steps.js";

const LIMIT_MS = 20 * 60_000;

const suites = testFiles("test").filter((file) =>
  readFileSync(join(root, file), "utf8").includes("api-coverage/recorder.ts"),
);
const env = { SLUICEGATE_COVERAGE: "write" };
const { passed, failed } = await runTests("api coverage", suites, { concurrency: 1, limitMs: LIMIT_MS, env });
process.stdout.write(`${passed} passed, ${failed} failed\n`);
const step = await runStep("docs", findNode(), ["test/api-coverage/write-docs.ts"], { limitMs: LIMIT_MS });
process.exitCode = failed === 0 && step.ok ? 0 : 1;
