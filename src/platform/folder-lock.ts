/**
 * One process for one data folder. The lock is a file lock of SQLite's: the system lets go of it when the process
 * ends, however it ends, so none is ever left to clear by hand.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const WAIT_MS = 3_000;

/** Another process uses the data folder. */
export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError";
}

export class DataFolderLock {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Takes the lock, or throws a FolderInUseError. Waits a little: a killed process takes a moment to be gone. */
  static take(folder: string): DataFolderLock {
    const path = join(folder, "lock");
    closeSync(openSync(path, "a", 0o600));
    const db = new DatabaseSync(path);
    try {
      db.exec(`PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = ${WAIT_MS}; BEGIN EXCLUSIVE;`);
    } catch (error) {
      db.close();
      throw new FolderInUseError(`${folder} is in use by another gateway`, { cause: error });
    }
    return new DataFolderLock(db);
  }

  release(): void {
    this.#db.close();
  }
}
