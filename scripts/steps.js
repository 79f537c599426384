// Runs one program of the checks and tests with a time limit. Plain JavaScript for Node 18.
import { spawn } from "node:child_process";
import { constants, setPriority } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const OUTPUT_CHARS_MAX = 200_000;
const KILL_GRACE_MS = 5_000;
const running = new Set();

/**
 * Runs `command` in a process group of its own, and ends the whole group when `limitMs` is over.
 *
 * With `quiet`, what it writes is kept (its first and last part) and given back; else it is shown at once.
 * `niceness` is that of nice(1): with 10, what runs beside it comes first.
 * Gives {ok, status, output, seconds}; never throws for what the program did.
 */
export function runStep(name, command, args, { limitMs, quiet = false, env = {}, niceness = 0 }) {
  const startedMs = Date.now();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    detached: true,
  });
  running.add(child);
  if (niceness > 0 && child.pid !== undefined) setPriority(child.pid, niceness);
  let output = "";
  const keep = (text) => {
    if (output.length < OUTPUT_CHARS_MAX) output += text;
  };
  child.stdout?.setEncoding("utf8").on("data", keep);
  child.stderr?.setEncoding("utf8").on("data", keep);
  return new Promise((resolve) => {
    let overtime = false;
    const timer = setTimeout(() => {
      overtime = true;
      keep(`\n${name}: took more than ${limitMs / 1000} s, ended\n`);
      if (!quiet) process.stdout.write(`${name}: took more than ${limitMs / 1000} s, ended\n`);
      endGroup(child);
    }, limitMs);
    const done = (status, error) => {
      clearTimeout(timer);
      running.delete(child);
      if (error !== undefined) keep(`${name}: ${error.message}\n`);
      const seconds = (Date.now() - startedMs) / 1000;
      resolve({ name, ok: status === 0 && !overtime, status, output, seconds });
    };
    child.on("error", (error) => done(127, error));
    child.on("close", (code, signal) => {
      // What it started and left behind goes with it.
      signalGroup(child, "SIGKILL");
      done(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}

/** Ends every step that still runs: for when the whole run is broken off. */
export function endAllSteps() {
  for (const child of running) signalGroup(child, "SIGKILL");
}

function endGroup(child) {
  signalGroup(child, "SIGTERM");
  setTimeout(() => signalGroup(child, "SIGKILL"), KILL_GRACE_MS).unref();
}

function signalGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}
