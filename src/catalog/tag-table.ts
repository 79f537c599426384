/** Tags of gateways, volumes, snapshots and policies, by the ids of what has them. */
import type { Kysely } from "kysely";
import type { CatalogSchema, TagRow } from "./schema.ts";

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export class TagTable {
  readonly #db: Kysely<CatalogSchema>;
  readonly #onChange: (resourceId: string) => void;

  constructor(db: Kysely<CatalogSchema>, onChange: (resourceId: string) => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  /** By their keys. */
  of(resourceId: string): Promise<Tag[]> {
    return this.#db
      .selectFrom("tags")
      .select(["key", "value"])
      .where("resource_id", "=", resourceId)
      .orderBy("key")
      .execute();
  }

  /** The tags of some hundred resources. */
  ofMany(resourceIds: readonly string[]): Promise<TagRow[]> {
    return this.#db
      .selectFrom("tags")
      .selectAll()
      .where("resource_id", "in", resourceIds)
      .orderBy("resource_id")
      .orderBy("key")
      .execute();
  }

  /** Tags of the resources whose ids begin so. */
  ofAll(idPrefix: "vol-" | "sgw-" | "snap-"): Promise<TagRow[]> {
    return this.#db
      .selectFrom("tags")
      .selectAll()
      .where("resource_id", "like", `${idPrefix}%`)
      .orderBy("resource_id")
      .orderBy("key")
      .execute();
  }

  /** The tags of everything but snapshots, which are by far the most. */
  besideSnapshots(): Promise<TagRow[]> {
    return this.#db
      .selectFrom("tags")
      .selectAll()
      .where("resource_id", "not like", "snap-%")
      .orderBy("resource_id")
      .orderBy("key")
      .execute();
  }

  /** Adds the tags; a key that is there gets the new value. */
  async put(resourceId: string, tags: readonly Tag[]): Promise<void> {
    if (tags.length === 0) return;
    await this.#db
      .insertInto("tags")
      .values(tagRows(resourceId, tags))
      .onConflict((on) =>
        on.columns(["resource_id", "key"]).doUpdateSet({ value: (eb) => eb.ref("excluded.value") }),
      )
      .execute();
    this.#onChange(resourceId);
  }

  async remove(resourceId: string, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.#db
      .deleteFrom("tags")
      .where("resource_id", "=", resourceId)
      .where("key", "in", [...keys])
      .execute();
    this.#onChange(resourceId);
  }
}

export function tagRows(resourceId: string, tags: readonly Tag[]): TagRow[] {
  return tags.map(({ key, value }) => ({ resource_id: resourceId, key, value }));
}
