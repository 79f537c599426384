/** What a read that was not to wait has not found in memory. */
import type { DiskFile } from "../platform/disk.ts";

/** A range that could not be brought. */
interface BringFailure {
  readonly file: DiskFile;
  readonly positionBytes: number;
  readonly error: unknown;
}

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

  /** Resolves when it has come; otherwise with what has kept it from that. */
  async bring(): Promise<BringFailure | undefined> {
    const file = this.#file;
    const positionBytes = this.#positionBytes;
    try {
      await file?.bring(positionBytes, this.#lengthBytes);
      return undefined;
    } catch (error) {
      return file && { file, positionBytes, error };
    }
  }

  /** Whether what is noted is what could not be brought before. */
  isOf(failure: BringFailure): boolean {
    return this.#file === failure.file && this.#positionBytes === failure.positionBytes;
  }
}

/**
 * So often a read lets its bytes be brought into memory before it waits for the disk with the thread that serves: memory
 * may be so short that they are gone each time. A read has parts on several places of a disk.
 */
const BRINGS_MAX = 40;

/** The attempts of one read that waits for disks: each looks anew where its bytes are. */
export class Attempts {
  readonly #lacking: Lacking;
  #brings = 0;
  #failure: BringFailure | undefined;

  constructor(lacking: Lacking) {
    this.#lacking = lacking;
  }

  /** Where the next attempt notes what it lacks; undefined: it has to wait for the disk itself. */
  next(): Lacking | undefined {
    this.#lacking.cleared();
    return this.#brings < BRINGS_MAX ? this.#lacking : undefined;
  }

  /** Whether the attempt that was made just now has noted something. */
  get isLacking(): boolean {
    return this.#lacking.isAny;
  }

  /**
   * Waits for what the attempt has noted. Rejects with EIO where that can't be read: not before another attempt has
   * found that it is still wanted, for what was read may be elsewhere by now.
   */
  async bring(): Promise<void> {
    const before = this.#failure;
    if (before !== undefined && this.#lacking.isOf(before)) throw before.error;
    this.#brings += 1;
    const failure = await this.#lacking.bring();
    if (failure === undefined) return;
    // Anything else is more than these bytes' trouble: who reads them himself is told of it, and whom it concerns.
    if ((failure.error as { code?: unknown } | null)?.code === "EIO") this.#failure = failure;
    else this.#brings = BRINGS_MAX;
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
