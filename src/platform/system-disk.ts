/** The machine's own file system, as a Disk. */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { Arrivals } from "./arrivals.ts";
import { type Disk, type DiskFile, SyncError } from "./disk.ts";
import { GroupCommit } from "./group-commit.ts";
import { CACHED, readCached } from "./page-cache.ts";
import { holeEnd, punchHole } from "./punch-hole.ts";

const ZEROS = Buffer.alloc(64 * 1024);
/**
 * No more is written in one call. Linux keeps what a call writes to a new place in a page as large as that, where the
 * file system has such pages (ext4 since 6.16), and every small write into a large page costs as if more of it were
 * written: 4 KiB into one of a MiB take ten times as long as into one of 16 KiB.
 */
const WRITE_BYTES_MAX = 64 * 1024;
/** Takes what is read only to have it in memory; nobody looks at it. */
const UNWANTED = Buffer.allocUnsafeSlow(256 * 1024);
/** What is looked at of a range to tell whether it has come. */
const PROBE_BYTES_MAX = 4096;
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
  #mayPeek = true;
  readonly #arrivals = new Arrivals({
    isThere: (position, length) => {
      const probed = Math.min(length, PROBE_BYTES_MAX);
      if (this.#fd < 0 || !this.#mayPeek) return true;
      return readCached(this.#fd, UNWANTED, 0, probed, position + length - probed) !== CACHED.missing;
    },
    fetch: (position, length) => this.#fetch(position, length),
  });

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

  tryReadSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): boolean {
    if (this.#mayPeek) {
      const cached = readCached(this.#fd, target, targetOffset, lengthBytes, positionBytes);
      if (cached !== CACHED.refused) return cached === CACHED.read;
      this.#mayPeek = false;
    }
    this.readSync(target, targetOffset, lengthBytes, positionBytes);
    return true;
  }

  bring(positionBytes: number, lengthBytes: number): Promise<void> {
    return this.#arrivals.wait(positionBytes, lengthBytes);
  }

  #fetch(positionBytes: number, lengthBytes: number): Promise<void> {
    const fd = this.#fd;
    if (fd < 0) return Promise.resolve();
    this.#inFlight += 1;
    return new Promise((resolve, reject) => {
      const rest = (done: number): void => {
        const most = Math.min(UNWANTED.length, lengthBytes - done);
        fs.read(fd, UNWANTED, 0, most, positionBytes + done, (error, count) => {
          if (error === null && count > 0 && done + count < lengthBytes) {
            rest(done + count);
            return;
          }
          this.#landed(fd);
          const problem = error ?? (count === 0 ? endOfFile(this.path, positionBytes + done) : null);
          if (problem === null) resolve();
          else reject(problem);
        });
      };
      rest(0);
    });
  }

  writeSync(source: Buffer, sourceOffset: number, lengthBytes: number, positionBytes: number): void {
    let done = 0;
    while (done < lengthBytes) {
      const most = Math.min(WRITE_BYTES_MAX, lengthBytes - done);
      done += fs.writeSync(this.#fd, source, sourceOffset + done, most, positionBytes + done);
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
          Math.min(WRITE_BYTES_MAX, lengthBytes - done),
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
