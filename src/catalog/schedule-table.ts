/** Schedules of snapshots. */
import type { Kysely } from "kysely";
import type { VolumeId } from "../platform/ids.ts";
import type { CatalogSchema, ScheduleRow } from "./schema.ts";

export class ScheduleTable {
  readonly #db: Kysely<CatalogSchema>;
  readonly #onChange: () => void;

  constructor(db: Kysely<CatalogSchema>, onChange: () => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  all(): Promise<ScheduleRow[]> {
    return this.#db.selectFrom("schedules").selectAll().orderBy("id").execute();
  }

  of(volumeId: VolumeId): Promise<ScheduleRow[]> {
    return this.#db
      .selectFrom("schedules")
      .selectAll()
      .where("volume_id", "=", volumeId)
      .orderBy("id")
      .execute();
  }

  get(id: string): Promise<ScheduleRow | undefined> {
    return this.#db.selectFrom("schedules").selectAll().where("id", "=", id).executeTakeFirst();
  }

  /** Adds it, in place of the one of the same id. */
  async put(row: ScheduleRow): Promise<void> {
    const { id: _, ...change } = row;
    await this.#db
      .insertInto("schedules")
      .values(row)
      .onConflict((on) => on.column("id").doUpdateSet(change))
      .execute();
    this.#onChange();
  }

  /** What a run has changed: nothing that the bucket has to know of. */
  async update(id: string, change: Partial<Omit<ScheduleRow, "id">>): Promise<void> {
    await this.#db.updateTable("schedules").set(change).where("id", "=", id).execute();
  }

  /** Whether there was one. */
  async remove(id: string): Promise<boolean> {
    const { numDeletedRows } = await this.#db.deleteFrom("schedules").where("id", "=", id).executeTakeFirst();
    this.#onChange();
    return numDeletedRows > 0n;
  }
}
