/** Debian's tgt, the C target that the benchmarks compare with: a process and a control socket of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "./free-port.ts";

const READY_TRIES = 100;
const POLL_MS = 50;
/** The values that served best where tgt was measured; what is not named stays as Debian ships it. */
const TUNED = {
  MaxRecvDataSegmentLength: 262_144,
  MaxXmitDataSegmentLength: 262_144,
  FirstBurstLength: 262_144,
  MaxBurstLength: 16_776_192,
  InitialR2T: "No",
  ImmediateData: "Yes",
};

export interface RunningTgt {
  readonly pid: number;
  /** Of each of the files. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Serves the files as LUN 1, 2 and so on, as Debian ships tgt or tuned. */
export async function startTgt(paths: readonly string[], tuned: boolean): Promise<RunningTgt> {
  const port = await freePort();
  // The control port only names a socket in the file system: it must differ from that of any other tgtd, and tgtadm
  // takes no number above 32767.
  const control = String(port % 32_768);
  const child = spawn("tgtd", ["-f", "-C", control, "--iscsi", `portal=127.0.0.1:${port}`], {
    stdio: "ignore",
  });
  const admin = (...args: string[]) =>
    spawnSync("tgtadm", ["-C", control, "--lld", "iscsi", ...args], { encoding: "utf8", timeout: 10_000 });
  const target = (...args: string[]) => {
    const { status, stderr } = admin("--mode", "target", "--tid", "1", ...args);
    if (status !== 0) throw new Error(`tgtadm ${args.join(" ")}: ${stderr}`);
  };
  try {
    for (let i = 0; admin("--op", "show", "--mode", "target").status !== 0; i++) {
      if (i >= READY_TRIES || child.exitCode !== null) throw new Error("tgtd did not start");
      await pause(POLL_MS);
    }
    target("--op", "new", "--targetname", "iqn.2026-01.test:tgt");
    if (tuned) {
      for (const [name, value] of Object.entries(TUNED)) {
        target("--op", "update", "--name", name, "--value", String(value));
      }
    }
    for (const [i, path] of paths.entries()) {
      const unit = ["--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", String(i + 1)];
      const { status, stderr } = admin(...unit, "--backing-store", path);
      if (status !== 0) throw new Error(`tgtadm: ${stderr}`);
    }
    target("--op", "bind", "--initiator-address", "ALL");
  } catch (error) {
    await end(child);
    throw error;
  }
  return {
    pid: child.pid ?? 0,
    urls: paths.map((_, i) => `iscsi://127.0.0.1:${port}/iqn.2026-01.test:tgt/${i + 1}`),
    stop: () => end(child),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
