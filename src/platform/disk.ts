/**
 * Local files: the small part of a file system that the volume engine and the vault's caches stand on.
 * Injected, so that a simulation can crash it, tear it and fill it.
 */
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
   * The same where nothing has to be waited for: answers false, with `target` undefined in content, where some of it has
   * to come from the disk, which has been told to bring it. On the hot path.
   */
  tryReadSync(target: Buffer, targetOffset: number, lengthBytes: number, positionBytes: number): boolean;
  /**
   * Resolves when what `tryReadSync` lacked has come, so that another try will find it: unless memory was needed for
   * something else since, so tries have to be counted. Rejects with the system's error where the range can't be read:
   * trying again would only make the disk try again, which may take it half a minute.
   */
  bring(positionBytes: number, lengthBytes: number): Promise<void>;
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
