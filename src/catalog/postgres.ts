/** The catalog in PostgreSQL, for several gateways that share one. */
import { PostgresDialect } from "kysely";
import pg from "pg";

const INT8_OID = 20;
const CONNECTIONS_MAX = 4;

/** A dialect over a small pool. Sizes and times fit 53 bits, so int8 comes as a number. */
export function postgresDialect(url: string): PostgresDialect {
  const types = {
    getTypeParser: (oid: number, format?: "text" | "binary") =>
      oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format),
  };
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS_MAX,
    types: types as pg.CustomTypesConfig,
  });
  return new PostgresDialect({ pool });
}
