/** How much of what was written is only in the system's page cache, and when it makes writers wait for that. */
import { readFile } from "node:fs/promises";

/** Of all files and processes of the machine. Bytes. */
export interface DirtyPages {
  readonly dirtyBytes: number;
  /**
   * Above this the system stops whoever writes, thread and all, until disks have caught up: half way between the mark at
   * which it begins to write by itself and the one that is never to be passed (Linux: vm.dirty_background_ratio and
   * vm.dirty_ratio).
   */
  readonly markBytes: number;
}

const PAGE_BYTES = 4096;

/** What the system says now, in another thread; undefined where it does not say it. Never rejects. */
export async function readDirtyPages(): Promise<DirtyPages | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    return parseVmstat(await readFile("/proc/vmstat", "latin1"));
  } catch {
    // No /proc here: writers wait as the system makes them.
    return undefined;
  }
}

/** Finds the figures in the text of /proc/vmstat. */
export function parseVmstat(text: string): DirtyPages | undefined {
  const pages = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  const dirty = pages("nr_dirty") + pages("nr_writeback");
  const mark = (pages("nr_dirty_threshold") + pages("nr_dirty_background_threshold")) / 2;
  if (!(dirty >= 0 && mark > 0)) return undefined;
  return { dirtyBytes: dirty * PAGE_BYTES, markBytes: mark * PAGE_BYTES };
}
