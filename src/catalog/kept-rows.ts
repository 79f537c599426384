/**
 * The rows of a small table, kept at hand: what lists and descriptions ask for all the time is read from the database
 * once, until one of the rows is written.
 *
 * Never stale: whoever begins to read after a write has resolved sees it, because what was read while a write was under
 * way is not kept. There must be no other writer than this process.
 */
export class KeptRows<Row extends object> {
  readonly #read: () => Promise<Row[]>;
  readonly #keyOf: (row: Row) => string;
  readonly #isKept: boolean;
  #kept: Kept<Row> | undefined;
  #reading: Promise<Kept<Row>> | undefined;
  /** Counts beginnings and ends of writes. */
  #version = 0;
  #writing = 0;

  /** `keyOf`: what rows are looked up by. `isKept` false: every question is put to the database. */
  constructor(read: () => Promise<Row[]>, keyOf: (row: Row) => string, isKept: boolean) {
    this.#read = read;
    this.#keyOf = keyOf;
    this.#isKept = isKept;
  }

  async all(): Promise<readonly Row[]> {
    return (this.#kept ?? (await this.#load())).rows;
  }

  /** The rows of that key, in the order of `all`. */
  async of(key: string): Promise<readonly Row[]> {
    return (this.#kept ?? (await this.#load())).byKey.get(key) ?? [];
  }

  /** Carries out something that writes rows of the table. */
  async changing<T>(write: () => Promise<T>): Promise<T> {
    this.#forget();
    this.#writing += 1;
    try {
      return await write();
    } finally {
      this.#writing -= 1;
      this.#forget();
    }
  }

  #forget(): void {
    this.#version += 1;
    this.#kept = undefined;
    this.#reading = undefined;
  }

  #load(): Promise<Kept<Row>> {
    if (this.#reading !== undefined) return this.#reading;
    const version = this.#version;
    const reading = this.#read()
      .then((rows) => {
        const kept = keep(rows, this.#keyOf);
        if (this.#isKept && this.#version === version && this.#writing === 0) this.#kept = kept;
        return kept;
      })
      .finally(() => {
        if (this.#reading === reading) this.#reading = undefined;
      });
    // Others who ask now are answered with it; whoever asks after a write is not.
    this.#reading = reading;
    return reading;
  }
}

interface Kept<Row> {
  readonly rows: readonly Row[];
  readonly byKey: ReadonlyMap<string, readonly Row[]>;
}

function keep<Row extends object>(found: Row[], keyOf: (row: Row) => string): Kept<Row> {
  // Rows that come from SQLite are dictionaries, ten times as slow to look into as other objects.
  const rows = JSON.parse(JSON.stringify(found)) as Row[];
  const byKey = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const list = byKey.get(key);
    if (list === undefined) byKey.set(key, [row]);
    else list.push(row);
  }
  return { rows, byKey };
}
