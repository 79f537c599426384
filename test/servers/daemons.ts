/** What the test servers share: daemons that outlive the process that started them, and their end. */
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const COMMAND_TIMEOUT_MS = 120_000;
const READY_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
const LOG_CHARS = 3_000;

/** A process as it is remembered, also by another process. */
export interface Daemon {
  readonly name: string;
  readonly pid: number;
  /** The kernel's start time of the process: a reused process id is never taken for ours. */
  readonly startTicks: string;
}

/** Runs a command to its end; anything but success is an error that shows what it said. */
export function run(program: string, args: readonly string[]): string {
  const done = spawnSync(program, args, {
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    killSignal: "SIGKILL",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (done.error !== undefined) throw done.error;
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(" ")} ended with ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/**
 * Starts a daemon that outlives this process. It gets no descriptor of ours but its output file:
 * Node marks what it inherited itself as close-on-exec, so a lock that a caller holds is not kept.
 */
export function startDaemon(folder: string, program: string, args: readonly string[]): Daemon {
  const output = openSync(join(folder, `${program}.out`), "a");
  const options: SpawnOptions = { detached: true, stdio: ["ignore", output, output], cwd: folder };
  const child = spawn(program, [...args], options);
  // Without a listener a program that cannot be started would end this process; the wait below names it.
  child.on("error", () => {});
  closeSync(output);
  child.unref();
  if (child.pid === undefined) throw new Error(`${program} could not be started`);
  return { name: program, pid: child.pid, startTicks: startTicks(child.pid) ?? "" };
}

/** Field 22 of /proc/PID/stat; undefined once the process is gone (or only waits to be collected). */
function startTicks(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    // No such process.
    return undefined;
  }
}

function isAlive(daemon: Daemon): boolean {
  return startTicks(daemon.pid) === daemon.startTicks;
}

/** SIGKILL is kind enough: the data is thrown away in the next moment. */
export async function endDaemons(daemons: readonly Daemon[]): Promise<void> {
  for (const daemon of [...daemons].reverse()) {
    if (isAlive(daemon)) process.kill(daemon.pid, "SIGKILL");
  }
  const deadline = performance.now() + 10_000;
  while (daemons.some(isAlive) && performance.now() < deadline) await delay(20);
}

/** Asks until the answer is yes; throws where one of the daemons has ended, or after two minutes. */
export async function waitFor(
  what: string,
  daemons: readonly Daemon[],
  ask: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const dead = daemons.find((daemon) => !isAlive(daemon));
    if (dead !== undefined) throw new Error(`${dead.name} ended while waiting for ${what}`);
    // A refused connection is what "not yet" looks like.
    if (await ask().catch(() => false)) return;
    await delay(POLL_MS);
  }
  throw new Error(`waited ${READY_TIMEOUT_MS} ms for ${what}`);
}

/** The end of a log, for an error's message. */
export function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8").slice(-LOG_CHARS).trimStart() : "";
}
