// A small reporter for node:test: failures in full, slow files by name, the rest as numbers.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import { inspect } from "node:util";

const SLOW_FILE_MS = 5_000;
const FILE_OUTPUT_CHARS_MAX = 20_000;

/** Turns the events of a run into text; the counts go to the file that SLUICEGATE_TEST_TALLY names. */
// biome-ignore lint/style/noDefaultExport: node:test takes a reporter by its module's default export.
export default async function* report(source) {
  const tally = { passed: 0, failed: 0, skipped: 0, complete: false };
  const outputOf = new Map();
  for await (const { type, data } of source) {
    if (type === "test:pass") {
      yield* passed(data, tally);
    } else if (type === "test:fail") {
      yield* failed(data, tally);
    } else if (type === "test:stderr" || type === "test:stdout") {
      const before = outputOf.get(data.file) ?? "";
      if (before.length < FILE_OUTPUT_CHARS_MAX) outputOf.set(data.file, before + data.message);
    } else if (type === "test:diagnostic" && data.file !== undefined && data.nesting > 0) {
      yield `  ${data.message}\n`;
    } else if (type === "test:summary" && data.file !== undefined) {
      const name = relative(process.cwd(), data.file);
      const output = outputOf.get(data.file) ?? "";
      outputOf.delete(data.file);
      if (!data.success && output !== "") yield `--- what ${name} wrote:\n${output}\n---\n`;
      if (data.duration_ms >= SLOW_FILE_MS) yield `${name}: ${seconds(data.duration_ms)}\n`;
    } else if (type === "test:summary") {
      tally.complete = true;
    }
    save(tally);
  }
}

function* passed(data, tally) {
  if (data.details.type === "suite") return;
  if (data.skip === undefined && data.todo === undefined) {
    tally.passed += 1;
    return;
  }
  tally.skipped += 1;
  const reason = [data.skip, data.todo].find((each) => typeof each === "string") ?? "no reason given";
  yield `SKIPPED ${place(data)} ${data.name}: ${reason}\n`;
}

function* failed(data, tally) {
  const error = data.details.error;
  // A suite, or a test with subtests, fails because one of them did: that one is shown.
  if (error?.failureType === "subtestsFailed" && data.details.type === "suite") return;
  tally.failed += 1;
  yield `\nFAILED ${place(data)} ${data.name} (${seconds(data.details.duration_ms)})\n`;
  yield `${inspect(error?.cause ?? error, { depth: 6, maxStringLength: 10_000 })}\n\n`;
}

function place(data) {
  const file = data.file === undefined ? "" : relative(process.cwd(), data.file);
  return data.line === undefined ? file : `${file}:${data.line}`;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

function save(tally) {
  const file = process.env.SLUICEGATE_TEST_TALLY;
  if (file !== undefined) writeFileSync(file, JSON.stringify(tally));
}
