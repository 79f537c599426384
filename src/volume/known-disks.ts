/**
 * Which slot disk is at which path, by the id in its header: what a device is called changes with the order in which it
 * was found, and a file may be made anew. A disk that is not the one with our slots must not pass for it, or what they
 * hold would be forgotten without a word.
 *
 * One line a disk in `slot-disks`, beside the volumes: id, a space, path.
 */
import type { Disk } from "../platform/disk.ts";

const FILE = "slot-disks";

export class KnownDisks {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #ids = new Map<string, string>();

  constructor(disk: Disk, folder: string) {
    this.#disk = disk;
    this.#folder = folder;
    const content = disk.readFile(`${folder}/${FILE}`)?.toString("utf8") ?? "";
    for (const line of content.split("\n")) {
      const space = line.indexOf(" ");
      if (space > 0) this.#ids.set(line.slice(space + 1), line.slice(0, space));
    }
  }

  /** The id of the disk that was at this path; undefined where none was. */
  idOf(path: string): string | undefined {
    return this.#ids.get(path);
  }

  /** Durable when it returns. */
  add(path: string, id: string): void {
    if (this.#ids.get(path) === id) return;
    this.#ids.set(path, id);
    this.#save();
  }

  /** Any disk may be at this path from now on. */
  remove(path: string): void {
    if (this.#ids.delete(path)) this.#save();
  }

  #save(): void {
    this.#disk.makeFolder(this.#folder);
    const lines = [...this.#ids].map(([path, id]) => `${id} ${path}\n`);
    this.#disk.replaceFile(`${this.#folder}/${FILE}`, Buffer.from(lines.join("")));
  }
}
