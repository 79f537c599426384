/**
 * Local files: the small part of a file system that the volume engine and the vault's caches stand on.
 * Injected, so that a simulation can crash it, tear it and fill it.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { GroupCommit } from "./group-commit.ts";
import { holeEnd, punchHole } from "./punch-hole.ts";

/**
 * A sync has failed. It is never tried again: the system may have dropped the writes it could not make durable, and
 * the next sync would say that all is well.
 */
export class SyncError extends Error {
  override readonly name = "SyncError";
}

/** An open file or block device of a fixed size. Positions and lengths are bytes. */
export interface DiskFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Reads exactly `lengthBytes`; throws where the file ends before. */
  readSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): void;
  /**
   * Writes exactly `lengthBytes`. When it returns, the bytes survive the death of the process; only `sync` makes
   * them survive loss of power.
   */
  writeSync(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): void;
  /** The same on the thread pool: for what is large and must not hold up the caller's thread. */
  write(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): Promise<void>;
  /**
   * Writes zeros; where the file system can, the range is given back to it instead. To be read, synced and torn it is
   * a write as any other.
   */
  zeroSync(positionBytes: number, lengthBytes: number): void;
  /** The range holds zeros: gives it back to the file system where that can be. Changes nothing that is read. */
  trimSync(positionBytes: number, lengthBytes: number): void;
  /** Bytes from the position on that are a hole, and so zeros; 0 where there is none or that can't be told. */
  holeBytes(positionBytes: number): number;
  /**
   * Makes all writes that returned before the call durable (fdatasync, on the thread pool). Rejects with a SyncError;
   * one that has failed is the last: every later one fails too. Only one is under way at a time, as of two at once the
   * system tells an error to only one.
   */
  sync(): Promise<void>;
  close(): void;
}

export interface OpenFileOptions {
  /** Makes the file (mode 0600) if it is not there. */
  readonly create?: boolean;
  /** Extends a regular file, sparsely, to at least this size. */
  readonly sizeBytes?: number;
  /** The size need not survive loss of power: whoever opens the file again extends it again. */
  readonly lazy?: boolean;
  /** Throws the content of a regular file away first: it reads as zeros afterwards. */
  readonly erase?: boolean;
}

/** The file system. Methods throw the system's errors (`code` such as ENOENT, ENOSPC, EIO). */
export interface Disk {
  open(path: string, options?: OpenFileOptions): DiskFile;
  /** The whole file, or undefined if there is none. For small files only. */
  readFile(path: string): Buffer | undefined;
  /** Replaces the file's content: after a crash it is the old or the new, whole. Durable when it returns. */
  replaceFile(path: string, content: Buffer): void;
  /** Whether the path is a regular file, not a device. */
  isRegularFile(path: string): boolean;
  /** Removes the file; no error if there is none. */
  remove(path: string): void;
  /** Names in the folder, unsorted; empty if there is no such folder. */
  list(folder: string): string[];
  /** Makes the folder and those above it (mode 0700). */
  makeFolder(path: string): void;
  /** Removes the folder and all that is in it. */
  removeFolder(path: string): void;
  /** Makes the folder's entries (files made and removed) durable. */
  syncFolder(path: string): Promise<void>;
  /** Changes with every boot of the machine: whether the page cache has been lost since. */
  readonly bootId: string;
}

const ZEROS = Buffer.alloc(64 * 1024);
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

class SystemFile implements DiskFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** -1 when it is closed: its number may be another file's by then. */
  #fd: number;
  readonly #syncs = new GroupCommit(() => this.#sync());
  #failure: SyncError | undefined;
  /** Calls in other threads: they go by the file's number, which must not be another file's until they have ended. */
  #inFlight = 0;
  #mayPunch: boolean;

  constructor(path: string, fd: number, sizeBytes: number, isRegular: boolean) {
    this.path = path;
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
    // What a device makes of a hole is its own affair.
    this.#mayPunch = isRegular;
  }

  readSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): void {
    let done = 0;
    while (done < lengthBytes) {
      const count = fs.readSync(
        this.#fd,
        target,
        targetOffset + done,
        lengthBytes - done,
        positionBytes + done,
      );
      if (count === 0) throw endOfFile(this.path, positionBytes + done);
      done += count;
    }
  }

  writeSync(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): void {
    let done = 0;
    while (done < lengthBytes) {
      done += fs.writeSync(this.#fd, source, sourceOffset + done, lengthBytes - done, positionBytes + done);
    }
  }

  write(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): Promise<void> {
    const fd = this.#fd;
    if (fd < 0) return Promise.reject(new Error(`writing ${this.path}: it is closed`));
    this.#inFlight += 1;
    return new Promise((resolve, reject) => {
      const rest = (done: number): void =>
        fs.write(
          fd,
          source,
          sourceOffset + done,
          lengthBytes - done,
          positionBytes + done,
          (error, count) => {
            if (error === null && done + count < lengthBytes) {
              rest(done + count);
              return;
            }
            this.#landed(fd);
            if (error === null) resolve();
            else reject(error);
          },
        );
      rest(0);
    });
  }

  /** A call in another thread has ended. */
  #landed(fd: number): void {
    this.#inFlight -= 1;
    if (this.#fd < 0 && this.#inFlight === 0) fs.closeSync(fd);
  }

  zeroSync(positionBytes: number, lengthBytes: number): void {
    if (this.#punch(positionBytes, lengthBytes)) return;
    for (let done = 0; done < lengthBytes; done += ZEROS.length) {
      this.writeSync(ZEROS, 0, Math.min(ZEROS.length, lengthBytes - done), positionBytes + done);
    }
  }

  trimSync(positionBytes: number, lengthBytes: number): void {
    this.#punch(positionBytes, lengthBytes);
  }

  holeBytes(positionBytes: number): number {
    // A file system that has no holes tells of none.
    return this.#mayPunch ? holeEnd(this.#fd, positionBytes, this.sizeBytes) - positionBytes : 0;
  }

  #punch(positionBytes: number, lengthBytes: number): boolean {
    // A file system without holes, or one too full for another extent, is not asked again.
    this.#mayPunch &&= punchHole(this.#fd, positionBytes, lengthBytes);
    return this.#mayPunch;
  }

  sync(): Promise<void> {
    return this.#syncs.run();
  }

  #sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const fd = this.#fd;
    if (fd < 0) return Promise.reject(new SyncError(`syncing ${this.path}: it is closed`));
    this.#inFlight += 1;
    return new Promise((resolve, reject) =>
      fs.fdatasync(fd, (error) => {
        this.#landed(fd);
        if (error === null) {
          resolve();
          return;
        }
        this.#failure = new SyncError(`syncing ${this.path}: ${error.message}`, { cause: error });
        reject(this.#failure);
      }),
    );
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0 && this.#inFlight === 0) fs.closeSync(fd);
  }
}

function endOfFile(path: string, positionBytes: number): Error {
  return Object.assign(new Error(`${path} ends before byte ${positionBytes}`), { code: "EIO" });
}

/** Size of what `fd` is open on; a block device tells 0 by stat, so its end is looked for. */
function sizeOf(fd: number): number {
  const stat = fs.fstatSync(fd);
  if (!stat.isBlockDevice()) return stat.size;
  return blockDeviceSize(fd);
}

function blockDeviceSize(fd: number): number {
  const probe = Buffer.allocUnsafe(512);
  const readable = (sector: number) => fs.readSync(fd, probe, 0, 512, sector * 512) === 512;
  if (!readable(0)) return 0;
  // Doubling, then halving: some fifty reads, whatever the size.
  let low = 0;
  let high = 1;
  while (high < 2 ** 41 && readable(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (readable(middle)) low = middle;
    else high = middle;
  }
  return (low + 1) * 512;
}

/** Bytes that are free on the disk that holds `path`. */
export function freeBytesAt(path: string): number {
  const { bavail, bsize } = fs.statfsSync(path);
  return bavail * bsize;
}

/**
 * Reads do not change the file's time of access where that can be: it would make them wait for the file system's journal
 * while that is being written.
 */
function openWithoutAtime(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags | fs.constants.O_NOATIME, FILE_MODE);
  } catch (error) {
    // Only the file's owner may ask for it.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    return fs.openSync(path, flags, FILE_MODE);
  }
}

/** The machine's own file system. */
export const systemDisk: Disk = {
  open(path, options = {}) {
    const flags = fs.constants.O_RDWR | (options.create ? fs.constants.O_CREAT : 0);
    const fd = openWithoutAtime(path, flags);
    try {
      const isRegular = fs.fstatSync(fd).isFile();
      if (isRegular && options.erase) fs.ftruncateSync(fd, 0);
      if (isRegular && options.sizeBytes !== undefined && fs.fstatSync(fd).size < options.sizeBytes) {
        fs.ftruncateSync(fd, options.sizeBytes);
        if (options.lazy !== true) fs.fsyncSync(fd);
      }
      return new SystemFile(path, fd, sizeOf(fd), isRegular);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  },

  readFile(path) {
    try {
      return fs.readFileSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  },

  replaceFile(path, content) {
    const temporary = `${path}.new`;
    const fd = fs.openSync(temporary, "w", FILE_MODE);
    try {
      let done = 0;
      while (done < content.length) done += fs.writeSync(fd, content, done);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, path);
    const folder = fs.openSync(dirname(path), "r");
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  },

  isRegularFile(path) {
    return fs.statSync(path).isFile();
  },

  remove(path) {
    fs.rmSync(path, { force: true });
  },

  list(folder) {
    try {
      return fs.readdirSync(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  },

  makeFolder(path) {
    fs.mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  },

  removeFolder(path) {
    fs.rmSync(path, { recursive: true, force: true });
  },

  async syncFolder(path) {
    const folder = await fs.promises.open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },

  get bootId() {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  },
};
