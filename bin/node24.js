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

/**
 * For the C library's malloc: what is larger than the pieces in which sockets are read (64 KiB) goes back to the system
 * when it is freed. Left to itself it keeps hundreds of MiB of them in pieces. Those pieces are used again: having the
 * system map and clear each of them costs as much as decoding what was read.
 */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: "262144", MALLOC_TRIM_THRESHOLD_: "16777216" };
/**
 * Threads that wait for disks: syncs may take all of Node's usual four for long, and reads of guests would wait behind
 * them.
 */
const POOL = { UV_THREADPOOL_SIZE: "16" };
const PARENT_POLL_MS = 200;
/** Where the child finds the pipe whose end tells it that this process is gone. */
const LIFELINE_FD = 3;

/**
 * Runs Node with `args`, hands on the signals it gets, and exits as the child exits.
 *
 * A SIGKILL can't be handed on. With `lifeline`, the child gets a pipe that the system closes when this process
 * ends, however it ends (SLUICEGATE_LIFELINE_FD names it): so whoever kills the command has killed the gateway.
 */
export function runNode(args, { lifeline = false } = {}) {
  const child = spawn(findNode(), args, {
    stdio: lifeline ? ["inherit", "inherit", "inherit", "pipe"] : "inherit",
    env: lifeline
      ? { ...MALLOC, ...POOL, ...process.env, SLUICEGATE_LIFELINE_FD: String(LIFELINE_FD) }
      : process.env,
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // Under "npm start" the parent is npm: when that was killed, nobody is left to whom the gateway belongs.
  const parent = process.ppid;
  if (lifeline && process.env.npm_lifecycle_event !== undefined) {
    setInterval(
      () => process.ppid !== parent && process.kill(process.pid, "SIGKILL"),
      PARENT_POLL_MS,
    ).unref();
  }
  child.on("error", (error) => {
    process.stderr.write(`sluicegate: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) runNode(process.argv.slice(2));
