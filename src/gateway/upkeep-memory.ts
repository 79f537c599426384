/** What the vault's upkeep has done, kept across restarts: a gateway that is restarted daily is to be verified weekly. */
import { join } from "node:path";
import type { Disk } from "../platform/disk.ts";
import type { VaultJob } from "./vault-upkeep.ts";

const FILE = "vault-upkeep.json";
const FORMAT = 1;

export interface UpkeepMemory {
  /** The last job of each kind that was done for good, then those that have ended otherwise since. */
  read(): readonly VaultJob[];
  /** Keeps these in place of what was kept. */
  write(jobs: readonly VaultJob[]): void;
}

/** Keeps it in a file of the data folder. One that can't be read is as good as none: the jobs are only done early. */
export function upkeepFile(disk: Disk, dataDir: string): UpkeepMemory {
  const path = join(dataDir, FILE);
  return {
    read() {
      const text = disk.readFile(path)?.toString("utf8");
      if (text === undefined) return [];
      try {
        const { format, jobs } = JSON.parse(text) as { format?: unknown; jobs?: unknown };
        return format === FORMAT && Array.isArray(jobs) ? (jobs as VaultJob[]) : [];
      } catch {
        // Not JSON: whatever it was, there is nothing in it that could be lost.
        return [];
      }
    },
    write(jobs) {
      disk.replaceFile(path, Buffer.from(`${JSON.stringify({ format: FORMAT, jobs })}\n`));
    },
  };
}
