/** The catalog in one SQLite file, by the SQLite that is built into Node. */
import { chmodSync, closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { type SqliteDatabase, SqliteDialect } from "kysely";

/** Opens (or makes, mode 0600) the file. Every commit is on stable storage before it returns. */
export function sqliteDialect(path: string): SqliteDialect {
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const db = new DatabaseSync(path);
  db.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
  );
  return new SqliteDialect({ database: adapt(db) });
}

type Prepared = ReturnType<SqliteDatabase["prepare"]>;

/** Texts differ by the length of a list at most: there are not many. */
const STATEMENTS_MAX = 300;
/** Only these are prepared once: what changes the schema makes others mean something else. */
const LASTING = /^(select|insert|update|delete) /i;

/** Node's database in the shape that Kysely asks for. */
function adapt(db: DatabaseSync): SqliteDatabase {
  const prepared = new Map<string, Prepared>();
  return {
    close: () => db.close(),
    prepare(sql) {
      const known = prepared.get(sql);
      if (known !== undefined) return known;
      const statement = prepare(db, sql);
      if (!LASTING.test(sql)) {
        if (!/^(begin|commit|rollback|savepoint|release)/i.test(sql)) prepared.clear();
      } else {
        if (prepared.size >= STATEMENTS_MAX) prepared.clear();
        prepared.set(sql, statement);
      }
      return statement;
    },
  };
}

function prepare(db: DatabaseSync, sql: string): Prepared {
  const statement = db.prepare(sql);
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)) as IterableIterator<unknown>,
  };
}
