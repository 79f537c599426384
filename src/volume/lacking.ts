/** What a read that was not to wait has not found in memory. */
import type { DiskFile } from "../platform/disk.ts";

export class Lacking {
  #file: DiskFile | undefined;
  #positionBytes = 0;
  #lengthBytes = 0;

  /** Forgets what was noted; answers itself, for the next attempt. */
  cleared(): this {
    this.#file = undefined;
    return this;
  }

  get isAny(): boolean {
    return this.#file !== undefined;
  }

  /** Notes a range. The last counts: the disk was told of all of them, in this order. */
  note(file: DiskFile, positionBytes: number, lengthBytes: number): void {
    this.#file = file;
    this.#positionBytes = positionBytes;
    this.#lengthBytes = lengthBytes;
  }

  /** Resolves when it has come. */
  async bring(): Promise<void> {
    await this.#file?.bring(this.#positionBytes, this.#lengthBytes);
  }
}

/**
 * Reads from a file. With `lacking` it does not wait for the disk: it answers false, and notes there what has to come
 * from it.
 */
export function readOrNote(
  file: DiskFile,
  target: Buffer,
  targetOffset: number,
  lengthBytes: number,
  positionBytes: number,
  lacking: Lacking | undefined,
): boolean {
  if (lacking === undefined) file.readSync(target, targetOffset, lengthBytes, positionBytes);
  else if (!file.tryReadSync(target, targetOffset, lengthBytes, positionBytes)) {
    lacking.note(file, positionBytes, lengthBytes);
    return false;
  }
  return true;
}
