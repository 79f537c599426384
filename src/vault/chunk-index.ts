/**
 * Where each chunk and page is: a local cache of the packs' directories, in SQLite.
 *
 * A record is entered only after its pack's PUT was acknowledged, so what is found here is in the bucket, and an
 * upload that runs again after a crash finds what it has already sent. The file can be lost at any time: it is
 * rebuilt from the bucket.
 */
import { rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { DirectoryEntry, RecordLocation } from "./pack.ts";

const SCHEMA_VERSION = 1;

interface Row {
  pack: string;
  number: number;
  kind: number;
  compression: number;
  offset: number;
  stored: number;
  plain: number;
}

export class ChunkIndex {
  readonly #db: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
    this.#find = db.prepare(
      "SELECT p.pack_id AS pack, c.number, c.kind, c.compression, c.offset, c.stored, c.plain " +
        "FROM chunks c JOIN packs p ON p.id = c.pack WHERE c.name = ?",
    );
    this.#insert = db.prepare(
      "INSERT OR IGNORE INTO chunks (name, pack, number, kind, compression, offset, stored, plain) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
  }

  /** Opens the index at `path` for this vault. `fresh` says that it is empty and has to be rebuilt. */
  static open(path: string, vaultId: string): { index: ChunkIndex; fresh: boolean } {
    try {
      const db = openDatabase(path);
      if (stateOf(db) === `${SCHEMA_VERSION} ${vaultId} complete`)
        return { index: new ChunkIndex(db), fresh: false };
      db.close();
    } catch {
      // A damaged index is worth nothing but also holds nothing that the bucket does not: it is made anew below.
    }
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    const db = openDatabase(path);
    db.exec(
      "CREATE TABLE state (value TEXT NOT NULL);" +
        "CREATE TABLE packs (id INTEGER PRIMARY KEY, pack_id TEXT NOT NULL UNIQUE, indexed INTEGER NOT NULL);" +
        "CREATE TABLE chunks (name BLOB PRIMARY KEY, pack INTEGER NOT NULL, number INTEGER NOT NULL, " +
        "kind INTEGER NOT NULL, compression INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL, " +
        "plain INTEGER NOT NULL) WITHOUT ROWID;" +
        "CREATE INDEX chunks_by_pack ON chunks (pack);",
    );
    return { index: new ChunkIndex(db), fresh: true };
  }

  /** Records that the rebuild is done: from now on the index is believed when it is opened. */
  markComplete(vaultId: string): void {
    this.#db.exec("DELETE FROM state");
    this.#db.prepare("INSERT INTO state (value) VALUES (?)").run(`${SCHEMA_VERSION} ${vaultId} complete`);
  }

  find(name: Buffer): RecordLocation | undefined {
    const row = this.#find.get(name) as unknown as Row | undefined;
    return row === undefined ? undefined : locationOf(row);
  }

  /** Enters a pack that is in the bucket; `indexed`: an index object names it too. */
  addPack(packId: string, entries: readonly DirectoryEntry[], indexed: boolean): void {
    this.#db.exec("BEGIN");
    try {
      this.#db
        .prepare(
          "INSERT INTO packs (pack_id, indexed) VALUES (?, ?) " +
            "ON CONFLICT (pack_id) DO UPDATE SET indexed = max(indexed, excluded.indexed)",
        )
        .run(packId, indexed ? 1 : 0);
      const row = this.#db.prepare("SELECT id FROM packs WHERE pack_id = ?").get(packId) as { id: number };
      for (const e of entries) {
        this.#insert.run(
          e.name,
          row.id,
          e.number,
          e.kind,
          e.compression,
          e.offsetBytes,
          e.storedBytes,
          e.plainBytes,
        );
      }
      this.#db.exec("COMMIT");
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  hasPack(packId: string): boolean {
    return this.#db.prepare("SELECT 1 FROM packs WHERE pack_id = ?").get(packId) !== undefined;
  }

  /** Packs in the bucket that no index object names yet. */
  unindexedPacks(): string[] {
    const rows = this.#db.prepare("SELECT pack_id FROM packs WHERE indexed = 0 ORDER BY id").all();
    return rows.map((row) => String(row.pack_id));
  }

  /** The pack's directory, in the order of its records. */
  entriesOf(packId: string): DirectoryEntry[] {
    const rows = this.#db
      .prepare(
        "SELECT c.name, p.pack_id AS pack, c.number, c.kind, c.compression, c.offset, c.stored, c.plain " +
          "FROM chunks c JOIN packs p ON p.id = c.pack WHERE p.pack_id = ? ORDER BY c.number",
      )
      .all(packId) as unknown as (Row & { name: Uint8Array })[];
    return rows.map((row) => ({ name: Buffer.from(row.name), ...locationOf(row) }));
  }

  markIndexed(packIds: readonly string[]): void {
    const statement = this.#db.prepare("UPDATE packs SET indexed = 1 WHERE pack_id = ?");
    for (const packId of packIds) statement.run(packId);
  }

  close(): void {
    this.#db.close();
  }
}

function locationOf(row: Row): RecordLocation {
  return {
    packId: row.pack,
    number: row.number,
    kind: row.kind,
    compression: row.compression,
    offsetBytes: row.offset,
    storedBytes: row.stored,
    plainBytes: row.plain,
  };
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    // NORMAL with a WAL: right after the death of the process, and consistent, if perhaps a little old, after a loss
    // of power. An old index only means that a chunk is sent again.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;");
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

function stateOf(db: DatabaseSync): string | undefined {
  const row = db.prepare("SELECT value FROM state").get();
  return row === undefined ? undefined : String(row.value);
}
