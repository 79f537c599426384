/**
 * One process for one data folder. The lock is a file lock of SQLite's: the system lets go of it when the process
 * ends, however it ends, so none is ever left to clear by hand.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Clock, delay } from "./clock.ts";

const SQLITE_BUSY = 5;
const RETRY_MS = 100;
const WAIT_MS_MAX = 30_000;
const TRIES_BEFORE_WORDS = 10;

/** Another process uses the data folder. */
export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError";
}

export class DataFolderLock {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Takes the lock; rejects with a FolderInUseError when it is still taken after a while. A process that was killed
   * ends only when the system has finished what it was writing: `onWait` is called once when there is such a wait.
   */
  static async take(folder: string, clock: Clock, onWait: () => void): Promise<DataFolderLock> {
    const path = join(folder, "lock");
    closeSync(openSync(path, "a", 0o600));
    const startedMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      const db = new DatabaseSync(path);
      try {
        db.exec("PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE;");
        return new DataFolderLock(db);
      } catch (error) {
        db.close();
        if ((error as { errcode?: unknown }).errcode !== SQLITE_BUSY) throw error;
        if (clock.monotonicMs() - startedMs >= WAIT_MS_MAX) {
          throw new FolderInUseError(`${folder} is in use by another gateway`, { cause: error });
        }
      }
      if (attempt === TRIES_BEFORE_WORDS) onWait();
      await delay(clock, RETRY_MS);
    }
  }

  release(): void {
    this.#db.close();
  }
}
