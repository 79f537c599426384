// Runs test files in the order in which they are named, so many at a time: `node --test` would sort them by name.
// Under Node 24: node scripts/run-files.js '{"files": […], "concurrency": 2, "timeoutMs": …, "namePattern": …, "nodeOptions": […]}'
import { run } from "node:test";
import report from "./test-reporter.js";

const { files, concurrency, timeoutMs, namePattern, nodeOptions } = JSON.parse(process.argv[2] ?? "{}");
const tests = run({
  files,
  concurrency,
  timeout: timeoutMs,
  execArgv: nodeOptions,
  ...(namePattern !== undefined && { testNamePatterns: [new RegExp(namePattern)] }),
});
tests.on("test:fail", () => {
  process.exitCode = 1;
});
tests.compose(report).pipe(process.stdout);
