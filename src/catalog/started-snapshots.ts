/** The catalog's part for snapshots whose blocks clients send. */
import type { Kysely } from "kysely";
import type { SnapshotId } from "../platform/ids.ts";
import type { CatalogSchema, SnapshotRow, StartedSnapshotRow, TagRow } from "./schema.ts";

export class StartedSnapshots {
  readonly #db: Kysely<CatalogSchema>;
  readonly #onChange: (id: string) => void;

  constructor(db: Kysely<CatalogSchema>, onChange: (id: string) => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  /** Adds a snapshot, its tags and what is known of its start, all or nothing. Rejects where the token is taken. */
  async add(
    snapshot: SnapshotRow,
    tags: readonly Omit<TagRow, "resource_id">[],
    started: StartedSnapshotRow,
  ): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      await db.insertInto("started_snapshots").values(started).execute();
      await db.insertInto("snapshots").values(snapshot).execute();
      const rows = tags.map(({ key, value }) => ({ resource_id: snapshot.id, key, value }));
      if (rows.length > 0) await db.insertInto("tags").values(rows).execute();
    });
    this.#onChange(snapshot.id);
  }

  /** All that have not ended. */
  unended(): Promise<StartedSnapshotRow[]> {
    return this.#db.selectFrom("started_snapshots").selectAll().where("state", "!=", "ended").execute();
  }

  of(snapshotId: SnapshotId): Promise<StartedSnapshotRow | undefined> {
    return this.#db
      .selectFrom("started_snapshots")
      .selectAll()
      .where("snapshot_id", "=", snapshotId)
      .executeTakeFirst();
  }

  byToken(clientToken: string): Promise<StartedSnapshotRow | undefined> {
    return this.#db
      .selectFrom("started_snapshots")
      .selectAll()
      .where("client_token", "=", clientToken)
      .executeTakeFirst();
  }

  async setState(snapshotId: SnapshotId, state: StartedSnapshotRow["state"]): Promise<void> {
    await this.#db
      .updateTable("started_snapshots")
      .set({ state })
      .where("snapshot_id", "=", snapshotId)
      .execute();
  }
}
