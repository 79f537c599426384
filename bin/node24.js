#!/usr/bin/env node
// Runs its arguments under Node 24 or newer. Plain JavaScript that Node 18 understands: it is the
// first thing that runs on a machine whose own Node is older than the one the project needs.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { pathToFileURL } from "node:url";

const NODE_MAJOR_MIN = 24;

/** The path of a Node binary that is new enough: this very one, or the one npm brought along. */
export function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/node`);
  } catch {
    throw new Error(
      `Sluicegate needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.versions.node} and the ` +
        `package ${name} is not installed. Run "npm ci" without --omit=optional, or install Node ${NODE_MAJOR_MIN}.`,
    );
  }
}

/** Runs Node with `args`, hands on the signals it gets, and exits as the child exits. */
export function runNode(args) {
  const child = spawn(findNode(), args, { stdio: "inherit" });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`sluicegate: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) runNode(process.argv.slice(2));
