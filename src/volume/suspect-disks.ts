/**
 * Slot disks that have failed while they were in use, remembered beside the volumes and not on the disks themselves:
 * one that went away can't be written to, and may come back without what was not flushed, on the same boot.
 */
import type { Disk } from "../platform/disk.ts";

const FILE = "suspect-disks";

export class SuspectDisks {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #paths: Set<string>;

  constructor(disk: Disk, folder: string) {
    this.#disk = disk;
    this.#folder = folder;
    const content = disk.readFile(`${folder}/${FILE}`)?.toString("utf8") ?? "";
    this.#paths = new Set(content.split("\n").filter((path) => path !== ""));
  }

  has(path: string): boolean {
    return this.#paths.has(path);
  }

  /** Durable when it returns. */
  add(path: string): void {
    if (this.#paths.has(path)) return;
    this.#paths.add(path);
    this.#save();
  }

  remove(path: string): void {
    if (this.#paths.delete(path)) this.#save();
  }

  #save(): void {
    this.#disk.makeFolder(this.#folder);
    this.#disk.replaceFile(`${this.#folder}/${FILE}`, Buffer.from([...this.#paths, ""].join("\n")));
  }
}
