/**
 * One process for one data folder. The lock is a file lock of SQLite's: the system lets go of it when the process
 * ends, however it ends, so none is ever left to clear by hand.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Another process uses the data folder. */
export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError";
}

export class DataFolderLock {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Takes the lock, or throws a FolderInUseError. */
  static take(folder: string): DataFolderLock {
    const db = new DatabaseSync(join(folder, "lock"));
    try {
      db.exec("PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE;");
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
