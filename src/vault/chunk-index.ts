/**
 * Where each chunk and page is: a local cache of the packs' directories, in SQLite. The same record may be in several
 * packs, as two gateways may have stored it at the same time; all of its copies are known.
 *
 * A pack is condemned while it is being decided whether it is collected (collector.ts): it can still be read, and nothing
 * new may be built on it. One that was collected is gone from here for good.
 *
 * A record is entered only after its pack's PUT was acknowledged, so what is found here is in the bucket, and an
 * upload that runs again after a crash finds what it has already sent. The file can be lost at any time: it is
 * rebuilt from the bucket.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { DirectoryEntry, RecordLocation } from "./pack.ts";

const SCHEMA_VERSION = 2;
/** SQLITE_CORRUPT and SQLITE_NOTADB: the only errors that a new file mends. */
const DAMAGE_CODES = new Set([11, 26]);

/** The index file is damaged: `reset` makes an empty one, to be rebuilt from the bucket. */
export class IndexDamagedError extends Error {
  override readonly name = "IndexDamagedError";
}

interface Row {
  pack: string;
  number: number;
  kind: number;
  compression: number;
  offset: number;
  stored: number;
  plain: number;
}

export interface IndexFigures {
  readonly packs: number;
  readonly chunks: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
}

/** In place of a path: an index that goes with the process. */
const IN_MEMORY = ":memory:";

export class ChunkIndex {
  readonly #path: string;
  #db: DatabaseSync;
  #find: StatementSync;
  #findUsable: StatementSync;
  #insert: StatementSync;

  private constructor(path: string, db: DatabaseSync) {
    this.#path = path;
    this.#db = db;
    this.#find = prepareFind(db);
    this.#findUsable = prepareFindUsable(db);
    this.#insert = prepareInsert(db);
  }

  /** Throws the damaged file away and goes on with an empty one. */
  reset(): void {
    this.#db.close();
    this.#db = createDatabase(this.#path);
    this.#find = prepareFind(this.#db);
    this.#findUsable = prepareFindUsable(this.#db);
    this.#insert = prepareInsert(this.#db);
  }

  /** Opens the index at `path` for this vault. `fresh` says that it is empty and has to be rebuilt. */
  static open(path: string, vaultId: string): { index: ChunkIndex; fresh: boolean } {
    const there = openExisting(path, vaultId);
    if (there !== undefined) return { index: new ChunkIndex(path, there), fresh: false };
    return { index: new ChunkIndex(path, createDatabase(path)), fresh: true };
  }

  /** Records that the rebuild is done: from now on the index is believed when it is opened. */
  markComplete(vaultId: string): void {
    this.#guarded(() => {
      this.#db.exec("DELETE FROM state");
      this.#db.prepare("INSERT INTO state (value) VALUES (?)").run(completeState(vaultId));
    });
  }

  /** Where a record can be read: of several copies one in a pack that is not condemned. */
  find(name: Buffer): RecordLocation | undefined {
    const row = this.#guarded(() => this.#find.get(name)) as unknown as Row | undefined;
    return row === undefined ? undefined : locationOf(row);
  }

  /** The pack of a copy that new roots may be built on; undefined where there is none. */
  findUsable(name: Buffer): string | undefined {
    const row = this.#guarded(() => this.#findUsable.get(name)) as unknown as { pack: string } | undefined;
    return row?.pack;
  }

  /** Whether the pack was dropped for good. */
  isDead(packId: string): boolean {
    return this.#guarded(
      () => this.#db.prepare("SELECT 1 FROM dead WHERE pack_id = ?").get(packId) !== undefined,
    );
  }

  /** Enters a pack that is in the bucket; `indexed`: an index object names it too. A dead one is not entered. */
  addPack(packId: string, entries: readonly DirectoryEntry[], indexed: boolean): void {
    if (this.isDead(packId)) return;
    this.#transaction(() => {
      const isNew = this.#db.prepare("SELECT 1 FROM packs WHERE pack_id = ?").get(packId) === undefined;
      this.#db
        .prepare(
          "INSERT INTO packs (pack_id, indexed, condemned) " +
            "VALUES (?1, ?2, EXISTS (SELECT 1 FROM condemned c WHERE c.pack_id = ?1)) " +
            "ON CONFLICT (pack_id) DO UPDATE SET indexed = max(indexed, excluded.indexed)",
        )
        .run(packId, indexed ? 1 : 0);
      const row = this.#db.prepare("SELECT id FROM packs WHERE pack_id = ?").get(packId) as { id: number };
      const added = { packs: isNew ? 1 : 0, chunks: 0, plainBytes: 0, storedBytes: 0 };
      for (const e of entries) {
        const { changes } = this.#insert.run(
          e.name,
          row.id,
          e.number,
          e.kind,
          e.compression,
          e.offsetBytes,
          e.storedBytes,
          e.plainBytes,
        );
        if (changes === 0) continue;
        added.chunks += 1;
        added.plainBytes += e.plainBytes;
        added.storedBytes += e.storedBytes;
      }
      this.#count(added, 1);
    });
  }

  /**
   * That copy was not what it should be. Nothing new is built on it: the same content, met again, is stored anew. It
   * stays known, as it may have been the line that was bad.
   */
  suspect(name: Buffer, packId: string): void {
    this.#guarded(() =>
      this.#db
        .prepare(
          "UPDATE chunks SET suspect = 1 WHERE name = ? AND pack = (SELECT id FROM packs WHERE pack_id = ?)",
        )
        .run(name, packId),
    );
  }

  /** Every pack that is known. */
  packIds(): string[] {
    const rows = this.#guarded(() => this.#db.prepare("SELECT pack_id FROM packs").all());
    return rows.map((row) => String(row.pack_id));
  }

  /**
   * The packs are not in the bucket any more. `forGood`: they never come back, even if some of them can still be seen
   * there.
   */
  dropPacks(packIds: Iterable<string>, forGood = false): void {
    this.#transaction(() => {
      const dead = this.#db.prepare("INSERT OR IGNORE INTO dead (pack_id) VALUES (?)");
      const chunks = this.#db.prepare(
        "DELETE FROM chunks WHERE pack = (SELECT id FROM packs WHERE pack_id = ?)",
      );
      const packs = this.#db.prepare("DELETE FROM packs WHERE pack_id = ?");
      const size = this.#db.prepare(
        "SELECT count(*) AS chunks, total(c.plain) AS plain, total(c.stored) AS stored " +
          "FROM chunks c JOIN packs p ON p.id = c.pack WHERE p.pack_id = ?",
      );
      for (const packId of packIds) {
        const gone = size.get(packId);
        chunks.run(packId);
        const { changes } = packs.run(packId);
        this.#count({ packs: Number(changes), ...sizesOf(gone) }, -1);
        if (forGood) dead.run(packId);
      }
    });
  }

  /** From now on exactly these packs are condemned. Survives a restart. */
  condemn(packIds: Iterable<string>): void {
    this.#transaction(() => {
      this.#db.exec("UPDATE packs SET condemned = 0 WHERE condemned = 1; DELETE FROM condemned");
      const pack = this.#db.prepare("UPDATE packs SET condemned = 1 WHERE pack_id = ?");
      // Also those that are not known yet: they may be found later.
      const name = this.#db.prepare("INSERT OR IGNORE INTO condemned (pack_id) VALUES (?)");
      for (const packId of packIds) {
        pack.run(packId);
        name.run(packId);
      }
    });
  }

  /** The last cycle of the collection whose verdict has been carried out here; undefined for an index that is new. */
  get settledCycle(): number | undefined {
    const row = this.#guarded(() => this.#db.prepare("SELECT cycle FROM cycles").get());
    return row === undefined ? undefined : Number(row.cycle);
  }

  setSettledCycle(cycle: number): void {
    this.#transaction(() => {
      this.#db.exec("DELETE FROM cycles");
      this.#db.prepare("INSERT INTO cycles (cycle) VALUES (?)").run(cycle);
    });
  }

  hasPack(packId: string): boolean {
    return this.#guarded(
      () => this.#db.prepare("SELECT 1 FROM packs WHERE pack_id = ?").get(packId) !== undefined,
    );
  }

  /** Packs in the bucket that no index object names yet, at most `limit`. */
  unindexedPacks(limit: number): string[] {
    const rows = this.#guarded(() =>
      this.#db.prepare("SELECT pack_id FROM packs WHERE indexed = 0 ORDER BY id LIMIT ?").all(limit),
    );
    return rows.map((row) => String(row.pack_id));
  }

  /** The pack's directory, in the order of its records. */
  entriesOf(packId: string): DirectoryEntry[] {
    const rows = this.#guarded(() =>
      this.#db
        .prepare(
          "SELECT c.name, p.pack_id AS pack, c.number, c.kind, c.compression, c.offset, c.stored, c.plain " +
            "FROM chunks c JOIN packs p ON p.id = c.pack WHERE p.pack_id = ? ORDER BY c.number",
        )
        .all(packId),
    ) as unknown as (Row & { name: Uint8Array })[];
    return rows.map((row) => ({ name: Buffer.from(row.name), ...locationOf(row) }));
  }

  /** Where the last record of the pack ends, as far as is known. */
  endOf(packId: string): number {
    const row = this.#guarded(() =>
      this.#db
        .prepare(
          "SELECT max(c.offset + c.stored) AS end FROM chunks c JOIN packs p ON p.id = c.pack WHERE p.pack_id = ?",
        )
        .get(packId),
    );
    return Number(row?.end ?? 0);
  }

  markIndexed(packIds: readonly string[]): void {
    this.#transaction(() => {
      const statement = this.#db.prepare("UPDATE packs SET indexed = 1 WHERE pack_id = ?");
      for (const packId of packIds) statement.run(packId);
    });
  }

  /** How many packs and records there are, and of how many bytes. They are counted as they come and go. */
  figures(): IndexFigures {
    const row = this.#guarded(() =>
      this.#db.prepare("SELECT packs, chunks, plain, stored FROM totals").get(),
    );
    return { packs: Number(row?.packs ?? 0), ...sizesOf(row) };
  }

  #count({ packs, chunks, plainBytes, storedBytes }: IndexFigures, sign: 1 | -1): void {
    this.#db
      .prepare(
        "UPDATE totals SET packs = packs + ?, chunks = chunks + ?, plain = plain + ?, stored = stored + ?",
      )
      .run(sign * packs, sign * chunks, sign * plainBytes, sign * storedBytes);
  }

  close(): void {
    this.#db.close();
  }

  #transaction(action: () => void): void {
    this.#guarded(() => {
      this.#db.exec("BEGIN");
      try {
        action();
        this.#db.exec("COMMIT");
      } catch (error) {
        // Some errors end the transaction by themselves.
        if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  #guarded<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!isDamage(error)) throw error;
      throw new IndexDamagedError(`${this.#path} is damaged`, { cause: error });
    }
  }
}

function completeState(vaultId: string): string {
  return `${SCHEMA_VERSION} ${vaultId} complete`;
}

function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  // The low byte is the primary result code.
  return typeof code === "number" && DAMAGE_CODES.has(code & 0xff);
}

/** The index at `path`, if it is whole and this vault's. A damaged one is worth nothing, but also loses nothing. */
function openExisting(path: string, vaultId: string): DatabaseSync | undefined {
  if (!existsSync(path)) return undefined;
  let db: DatabaseSync | undefined;
  try {
    db = openDatabase(path);
    const hasState = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'state'").get() !== undefined;
    const state = hasState ? db.prepare("SELECT value FROM state").get()?.value : undefined;
    if (state === completeState(vaultId)) {
      addTotals(db);
      return db;
    }
    db.close();
    return undefined;
  } catch (error) {
    if (db?.isOpen === true) db.close();
    if (isDamage(error)) return undefined;
    throw error;
  }
}

function createDatabase(path: string): DatabaseSync {
  if (path !== IN_MEMORY) {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    closeSync(openSync(path, "wx", 0o600));
  }
  const db = openDatabase(path);
  db.exec(
    "CREATE TABLE state (value TEXT NOT NULL);" +
      "CREATE TABLE packs (id INTEGER PRIMARY KEY, pack_id TEXT NOT NULL UNIQUE, indexed INTEGER NOT NULL, " +
      "condemned INTEGER NOT NULL);" +
      "CREATE TABLE condemned (pack_id TEXT PRIMARY KEY) WITHOUT ROWID;" +
      "CREATE TABLE dead (pack_id TEXT PRIMARY KEY) WITHOUT ROWID;" +
      "CREATE TABLE cycles (cycle INTEGER NOT NULL);" +
      "CREATE TABLE chunks (name BLOB NOT NULL, pack INTEGER NOT NULL, number INTEGER NOT NULL, " +
      "kind INTEGER NOT NULL, compression INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL, " +
      "plain INTEGER NOT NULL, suspect INTEGER NOT NULL, PRIMARY KEY (name, pack)) WITHOUT ROWID;" +
      "CREATE INDEX chunks_by_pack ON chunks (pack);",
  );
  addTotals(db);
  return db;
}

/** An index from before there were totals is counted through once. */
function addTotals(db: DatabaseSync): void {
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'totals'").get() !== undefined) return;
  db.exec(
    "BEGIN; CREATE TABLE totals (packs INTEGER NOT NULL, chunks INTEGER NOT NULL, plain INTEGER NOT NULL, " +
      "stored INTEGER NOT NULL); INSERT INTO totals SELECT (SELECT count(*) FROM packs), count(*), " +
      "ifnull(sum(plain), 0), ifnull(sum(stored), 0) FROM chunks; COMMIT",
  );
}

function sizesOf(row: Record<string, unknown> | undefined): Omit<IndexFigures, "packs"> {
  return {
    chunks: Number(row?.chunks ?? 0),
    plainBytes: Number(row?.plain ?? 0),
    storedBytes: Number(row?.stored ?? 0),
  };
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    // With a WAL, NORMAL is right after the death of the process, and after a loss of power consistent, if a little
    // old. An old index only means that a chunk is sent again, or that its pack's directory is read.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;");
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

function prepareFind(db: DatabaseSync): StatementSync {
  return db.prepare(
    "SELECT p.pack_id AS pack, c.number, c.kind, c.compression, c.offset, c.stored, c.plain " +
      "FROM chunks c JOIN packs p ON p.id = c.pack WHERE c.name = ? ORDER BY c.suspect, p.condemned, c.pack LIMIT 1",
  );
}

function prepareFindUsable(db: DatabaseSync): StatementSync {
  return db.prepare(
    "SELECT p.pack_id AS pack FROM chunks c JOIN packs p ON p.id = c.pack " +
      "WHERE c.name = ? AND c.suspect = 0 AND p.condemned = 0 LIMIT 1",
  );
}

function prepareInsert(db: DatabaseSync): StatementSync {
  return db.prepare(
    "INSERT OR IGNORE INTO chunks (name, pack, number, kind, compression, offset, stored, plain, suspect) " +
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
  );
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
