#!/usr/bin/env node
// The command "sluicegate". In a clone it first installs and builds what is missing, so that
// "npm start" is all that a new user has to type; in an installed package both are there already.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findNode, runNode } from "./node24.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = join(root, "dist", "cli", "main.js");

function step(what, command, args) {
  process.stderr.write(`sluicegate: ${what}\n`);
  // The standard output belongs to the gateway (its "ready" line): what these steps say goes to standard error.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error !== undefined) fail(`${command} can't be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  process.stderr.write(`sluicegate: ${message}\n`);
  process.exit(1);
}

function newestSource(folder) {
  let newest = 0;
  for (const item of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath ?? item.path, item.name);
    // What tools keep beside the sources is none.
    if (item.isFile() && !path.slice(folder.length).includes("node_modules"))
      newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

const isClone = existsSync(join(root, "src")) && existsSync(join(root, "tsconfig.build.json"));
if (isClone) {
  const installed = join(root, "node_modules", ".package-lock.json");
  const lock = join(root, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    step("installing (npm ci)", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  }
  const isOlder = (built, sources) => !existsSync(built) || statSync(built).mtimeMs < newestSource(sources);
  if (isOlder(entry, join(root, "src"))) {
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    step("building", findNode(), [tsc, "-p", join(root, "tsconfig.build.json")]);
  }
  if (isOlder(join(root, "dist", "console", "index.html"), join(root, "console"))) {
    step("building the console", findNode(), [join(root, "console", "build.js")]);
  }
}
try {
  findNode();
} catch (error) {
  fail(error.message);
}
// What is collected here are mostly buffers, at once and by the thread that made them: helpers cost more processor time
// than they save, and guests need it.
runNode(["--single-threaded-gc", entry, ...process.argv.slice(2)], { lifeline: true });
