/** All snapshots with their tags, read again only when one of them, or a tag, has changed: lists are asked for often. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";

export interface KnownSnapshot {
  readonly row: SnapshotRow;
  readonly tags: readonly Tag[];
}

export class KnownSnapshots {
  readonly #catalog: Catalog;
  #known: { readonly version: number; readonly snapshots: readonly KnownSnapshot[] } | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Those that were not deleted, by their ids. */
  async all(): Promise<readonly KnownSnapshot[]> {
    const version = this.#catalog.snapshotsVersion;
    if (this.#known?.version === version) return this.#known.snapshots;
    const snapshots = await this.#read();
    // What has changed while it was read is read again the next time.
    this.#known = { version, snapshots };
    return snapshots;
  }

  async #read(): Promise<KnownSnapshot[]> {
    const [rows, tagRows] = await Promise.all([this.#catalog.snapshots(), this.#catalog.tagsOfAll("snap-")]);
    const tags = new Map<string, Tag[]>();
    for (const { resource_id, key, value } of tagRows) {
      const list = tags.get(resource_id) ?? [];
      list.push({ key, value });
      tags.set(resource_id, list);
    }
    return rows.map((row) => ({ row, tags: tags.get(row.id) ?? [] }));
  }
}
