/**
 * What was measured, over months and over restarts: a row for each minute of the last day and for each hour of the last
 * quarter, of each resource. A file beside the catalog that nothing depends on: one that is damaged is begun anew.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";

/** How long a row stands for. */
export type Tier = "minute" | "hour";

export const TIER_MS: Readonly<Record<Tier, number>> = { minute: 60_000, hour: 3_600_000 };
const DAY_MS = 24 * 3_600_000;
export const KEPT_MS: Readonly<Record<Tier, number>> = { minute: DAY_MS, hour: 92 * DAY_MS };
const SCHEMA_VERSION = 1;

/** The lines of a resource in one row; NaN: nothing was measured. */
export interface Row {
  readonly resource: string;
  readonly names: readonly string[];
  readonly values: Float32Array;
}

export interface DatedRow extends Row {
  /** When the minute, or the hour, ended. */
  readonly atMs: number;
}

interface StoredRow {
  readonly resource: string;
  readonly at: number;
  readonly layout: number;
  readonly data: Uint8Array;
}

export class LongHistory {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #layoutIds = new Map<string, number>();
  readonly #layouts = new Map<number, readonly string[]>();

  private constructor(db: DatabaseSync) {
    this.#db = db;
    this.#put = db.prepare(
      "INSERT OR REPLACE INTO samples (tier, resource, at, layout, data) VALUES (?, ?, ?, ?, ?)",
    );
    for (const { id, names } of db.prepare("SELECT id, names FROM layouts").all()) {
      this.#layoutIds.set(String(names), Number(id));
      this.#layouts.set(Number(id), JSON.parse(String(names)) as string[]);
    }
  }

  /** Opens the file, or makes it (mode 0600); what can't be read as one is thrown away and told to `onProblem`. */
  static open(path: string, onProblem: (message: string, error: unknown) => void): LongHistory {
    try {
      return new LongHistory(opened(path));
    } catch (error) {
      onProblem("the history of metrics is begun anew", error);
      for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
      return new LongHistory(opened(path));
    }
  }

  /** Adds the rows of a minute or an hour, all of them or none, and drops what is too old. */
  add(tier: Tier, atMs: number, rows: readonly Row[]): void {
    this.#db.exec("BEGIN");
    try {
      for (const { resource, names, values } of rows) {
        const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
        this.#put.run(TIER_MS[tier], resource, atMs, this.#layoutOf(names), data);
      }
      this.#db
        .prepare("DELETE FROM samples WHERE tier = ? AND at <= ?")
        .run(TIER_MS[tier], atMs - KEPT_MS[tier]);
      this.#db.exec("COMMIT");
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** The rows of (fromMs, toMs], oldest first: of one resource, or of all. */
  rows(tier: Tier, fromMs: number, toMs: number, resource?: string): DatedRow[] {
    const range = [TIER_MS[tier], Math.max(0, fromMs), Math.min(toMs, Number.MAX_SAFE_INTEGER)] as const;
    const found =
      resource === undefined
        ? this.#db
            .prepare("SELECT * FROM samples WHERE tier = ? AND at > ? AND at <= ? ORDER BY at")
            .all(...range)
        : this.#db
            .prepare(
              "SELECT * FROM samples WHERE tier = ? AND at > ? AND at <= ? AND resource = ? ORDER BY at",
            )
            .all(...range, resource);
    return (found as unknown as StoredRow[]).map(({ at, layout, data, resource: id }) => ({
      atMs: at,
      resource: id,
      names: this.#layouts.get(layout) ?? [],
      // A copy: what SQLite gives need not lie where floats may.
      values: new Float32Array(data.slice().buffer),
    }));
  }

  /** When the newest row ended; undefined where there is none. */
  newestMs(tier: Tier): number | undefined {
    const row = this.#db.prepare("SELECT max(at) AS at FROM samples WHERE tier = ?").get(TIER_MS[tier]);
    return row?.at === null || row?.at === undefined ? undefined : Number(row.at);
  }

  close(): void {
    this.#db.close();
  }

  /** Names are kept once for all rows that have the same. */
  #layoutOf(names: readonly string[]): number {
    const text = JSON.stringify(names);
    const known = this.#layoutIds.get(text);
    if (known !== undefined) return known;
    const { lastInsertRowid } = this.#db.prepare("INSERT INTO layouts (names) VALUES (?)").run(text);
    this.#layoutIds.set(text, Number(lastInsertRowid));
    this.#layouts.set(Number(lastInsertRowid), names);
    return Number(lastInsertRowid);
  }
}

function opened(path: string): DatabaseSync {
  if (!existsSync(path)) closeSync(openSync(path, "wx", 0o600));
  const db = new DatabaseSync(path);
  try {
    // What a loss of power takes of it is a few minutes of charts.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    const version = Number(db.prepare("PRAGMA user_version").get()?.user_version);
    if (version !== 0 && version !== SCHEMA_VERSION) throw new Error(`version ${version} is not known here`);
    db.exec(
      "CREATE TABLE IF NOT EXISTS layouts (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);" +
        "CREATE TABLE IF NOT EXISTS samples (tier INTEGER NOT NULL, resource TEXT NOT NULL, at INTEGER NOT NULL, " +
        "layout INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (tier, at, resource)) WITHOUT ROWID;" +
        "CREATE INDEX IF NOT EXISTS samples_of_resource ON samples (tier, resource, at);" +
        `PRAGMA user_version = ${SCHEMA_VERSION};`,
    );
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}
