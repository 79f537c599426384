/** All snapshots with their tags, kept at hand: of what has changed since the last look, only that is read again. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { SnapshotRow, TagRow } from "../catalog/schema.ts";
import { SerialQueue } from "../platform/serial-queue.ts";

export interface KnownSnapshot {
  readonly row: SnapshotRow;
  readonly tags: readonly Tag[];
}

/** Where more than this has changed, everything is read again. */
const CHANGES_MAX = 500;

export class KnownSnapshots {
  readonly #catalog: Catalog;
  readonly #queue = new SerialQueue();
  readonly #changed = new Set<string>();
  #known: Map<string, KnownSnapshot> | undefined;
  /** By their ids; made anew when one has come or gone. */
  #sorted: KnownSnapshot[] | undefined;

  /** There is one for a catalog: it is told of every change there. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    catalog.watchSnapshots((id) => this.#changed.add(id));
  }

  /** Those that were not deleted, by their ids. */
  all(): Promise<readonly KnownSnapshot[]> {
    return this.#queue.run(() => this.#all());
  }

  async #all(): Promise<readonly KnownSnapshot[]> {
    if (this.#sorted !== undefined && this.#changed.size === 0) return this.#sorted;
    // What changes while this is read is read again the next time.
    const changed = [...this.#changed];
    this.#changed.clear();
    try {
      if (this.#known === undefined || changed.length > CHANGES_MAX) this.#known = await this.#readAll();
      else if (changed.length > 0) await this.#readAgain(this.#known, changed);
    } catch (error) {
      for (const id of changed) this.#changed.add(id);
      throw error;
    }
    const sorted = [...this.#known.values()].sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
    this.#sorted = sorted;
    return sorted;
  }

  async #readAll(): Promise<Map<string, KnownSnapshot>> {
    const [rows, tags] = await Promise.all([this.#catalog.snapshots(), this.#catalog.tagsOfAll("snap-")]);
    return together(rows, tags);
  }

  async #readAgain(known: Map<string, KnownSnapshot>, ids: readonly string[]): Promise<void> {
    const [rows, tags] = await Promise.all([this.#catalog.snapshotsOf(ids), this.#catalog.tagsOf(ids)]);
    const found = together(rows, tags);
    for (const id of ids) {
      const now = found.get(id);
      if (now === undefined) known.delete(id);
      else known.set(id, now);
    }
  }
}

function together(rows: readonly SnapshotRow[], tagRows: readonly TagRow[]): Map<string, KnownSnapshot> {
  const tags = new Map<string, Tag[]>();
  for (const { resource_id, key, value } of tagRows) {
    const list = tags.get(resource_id) ?? [];
    list.push({ key, value });
    tags.set(resource_id, list);
  }
  return new Map(rows.map((row) => [row.id, { row, tags: tags.get(row.id) ?? [] }]));
}
