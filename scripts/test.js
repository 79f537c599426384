// npm test, on a fresh clone too: installs what is missing, checks, builds, runs every test.
// Plain JavaScript that Node 18 understands; the tests themselves run under Node 24.
//
//   npm test                      everything
//   npm test -- --only PATTERN    only test files whose path matches PATTERN; if none does, only
//                                 tests whose name matches
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages, letDaemonsStart } from "./debian-packages.js";
import { endAllSteps, root, runStep } from "./steps.js";

const MINUTE_MS = 60_000;
const LIMITS_MS = {
  install: 5 * MINUTE_MS,
  rgw: 5 * MINUTE_MS,
  unit: 25 * MINUTE_MS,
  e2e: 30 * MINUTE_MS,
  whole: 60 * MINUTE_MS,
};
/**
 * The unit tests compute (most of them simulate), the end-to-end tests mostly wait for somebody: together they use the
 * machine, and whoever waits for an answer comes first.
 */
const UNIT_NICENESS = 10;
/**
 * The simulations make and drop buffers all the time. V8 would collect its small heap for each 64 MiB of them, which
 * takes a third of their time; so it counts them as part of a heap that may be as large as that of larger programs.
 */
const UNIT_NODE_OPTIONS = ["--external-memory-accounted-in-global-limit", "--initial-heap-size=512"];
const RGW_PROGRAMS = ["ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool"];

const startedMs = Date.now();
const only = onlyPattern(process.argv.slice(2));
const totals = { passed: 0, failed: 0, skipped: 0 };
const notes = [];
const folder = mkdtempSync(join(tmpdir(), "sg-test-"));
const rgwFolder = join(folder, "rgw");
const rgwScript = join(root, "scripts", "rgw.js");
let brokenOff = false;

// Whoever reads this may be gone: what was started is ended all the same.
process.stdout.on("error", () => {});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => breakOff(signal));
const wholeTimer = setTimeout(
  () => breakOff(`${LIMITS_MS.whole / MINUTE_MS} minutes are over`),
  LIMITS_MS.whole,
);
wholeTimer.unref();

try {
  await main();
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.stack : error}\n`);
  totals.failed += 1;
} finally {
  finish();
}

async function main() {
  const installed = installPackages();
  await Promise.all([installModules(), installed]);
  noteMissing(await installed);
  // These need node_modules, so they are loaded only now.
  const { check } = await import("./check.js");
  const { runTests, testFiles } = await import("./node-tests.js");
  const { ALONE } = await import("./test-order.js");
  const selected = select(testFiles("src"), testFiles("test"));
  if (selected.files.length === 0) throw new Error(`there is no test file to run`);

  const rgw = needsRgw(selected.files) ? startRgw() : Promise.resolve({});
  if (only === undefined) add("checks", await check());
  if (only === undefined || selected.files.some(isE2e)) await build();
  const env = {
    ...(await rgw),
    TMPDIR: join(folder, "tmp"),
    // The same sources are compiled by every test file, and by every command and gateway that it starts.
    NODE_COMPILE_CACHE: join(folder, "compiled"),
  };
  mkdirSync(env.TMPDIR);

  const run = async (name, files, options) => {
    if (files.length === 0) return;
    const { namePattern } = selected;
    add(name, await runTests(name, files, { env, namePattern, ...options }));
  };
  const together = selected.files.filter((file) => !(file in ALONE));
  const unit = {
    ...{ concurrency: 2, limitMs: LIMITS_MS.unit },
    ...{ niceness: UNIT_NICENESS, nodeOptions: UNIT_NODE_OPTIONS },
  };
  const e2e = { concurrency: 2, limitMs: LIMITS_MS.e2e };
  await Promise.all([
    run(
      "unit tests",
      together.filter((file) => !isE2e(file)),
      unit,
    ),
    run("end-to-end tests", together.filter(isE2e), e2e),
  ]);
  const alone = selected.files.filter((file) => file in ALONE);
  await run("tests that run alone", alone, { concurrency: 1, limitMs: LIMITS_MS.e2e });
  if (totals.passed + totals.failed === 0) throw new Error(`no test matches ${only}`);
}

function noteMissing(missing) {
  if (missing.length === 0) return;
  notes.push(`MISSING, so the tests that need them are SKIPPED: ${missing.join(" ")}`);
  notes.push(`  as root on Debian: apt-get install --no-install-recommends ${missing.join(" ")}`);
}

/** npm ci where node_modules is missing or older than the lock file. */
async function installModules() {
  const installed = join(root, "node_modules", ".package-lock.json");
  const lock = join(root, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stdout.write("installing packages (npm ci)\n");
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const step = await runStep("npm ci", "npm", args, { limitMs: LIMITS_MS.install });
  if (!step.ok) throw new Error(`npm ci ended with ${step.status}`);
}

async function build() {
  const { build: buildAll } = await import("./build.js");
  const step = await buildAll();
  if (!step.ok) process.stdout.write(step.output);
  add("build", { passed: step.ok ? 1 : 0, failed: step.ok ? 0 : 1, skipped: 0, seconds: step.seconds });
}

/** One RADOS Gateway for the whole run; gives the environment by which the tests find it. */
async function startRgw() {
  const absent = RGW_PROGRAMS.filter((name) => spawnSync("which", [name]).status !== 0);
  if (absent.length > 0) return {};
  const step = await runStep("rgw", process.execPath, [rgwScript, "start", rgwFolder], {
    limitMs: LIMITS_MS.rgw,
    quiet: true,
  });
  if (!step.ok) {
    totals.failed += 1;
    notes.push(`the S3 server did not start, so the tests on it are SKIPPED:\n${step.output}`);
    return {};
  }
  return JSON.parse(step.output.trim().split("\n").at(-1)).environment;
}

function onlyPattern(args) {
  if (args.length === 0) return undefined;
  if (args.length === 2 && args[0] === "--only") return args[1];
  process.stderr.write("usage: npm test [-- --only PATTERN]\n");
  process.exit(2);
}

function select(sourceTests, otherTests) {
  // The house tests run as one of the checks.
  if (only === undefined) {
    return { files: [...sourceTests, ...otherTests.filter((file) => !file.startsWith("test/house/"))] };
  }
  const all = [...sourceTests, ...otherTests];
  const pattern = new RegExp(only);
  const files = all.filter((file) => pattern.test(file));
  return files.length > 0 ? { files } : { files: all, namePattern: only };
}

function isE2e(file) {
  return file.startsWith("test/e2e/");
}

/** Only what speaks to a bucket waits for one: a run of a single codec's tests starts none. */
function needsRgw(files) {
  return only === undefined || files.some((file) => isE2e(file) || /s3|store|vault/.test(file));
}

function add(name, { passed, failed, skipped, seconds }) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  const took = seconds === undefined ? "" : ` (${seconds.toFixed(1)} s)`;
  process.stdout.write(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped${took}\n`);
}

function breakOff(why) {
  if (brokenOff) return;
  brokenOff = true;
  process.stdout.write(`broken off: ${why}\n`);
  totals.failed += 1;
  endAllSteps();
  letDaemonsStart();
  finish();
  process.exit(1);
}

/** Stops the S3 server, removes the folder and says the result: the last line of every run. */
function finish() {
  clearTimeout(wholeTimer);
  if (existsSync(rgwFolder)) spawnSync(process.execPath, [rgwScript, "stop", rgwFolder], { timeout: 30_000 });
  rmSync(folder, { recursive: true, force: true });
  for (const note of notes) process.stdout.write(`${note}\n`);
  process.stdout.write(`took ${((Date.now() - startedMs) / 1000).toFixed(0)} s\n`);
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}
