/** Lifecycle policies, and how far each of their schedules has come. */
import type { Kysely } from "kysely";
import type { CatalogSchema, PolicyRow, PolicyScheduleRow } from "./schema.ts";

export class PolicyTable {
  readonly #db: Kysely<CatalogSchema>;
  readonly #onChange: () => void;

  constructor(db: Kysely<CatalogSchema>, onChange: () => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  all(): Promise<PolicyRow[]> {
    return this.#db.selectFrom("policies").selectAll().orderBy("id").execute();
  }

  get(id: string): Promise<PolicyRow | undefined> {
    return this.#db.selectFrom("policies").selectAll().where("id", "=", id).executeTakeFirst();
  }

  /**
   * Keeps the policy, in place of the one of its id, and the state of these schedules in place of those that it had, all
   * or nothing.
   */
  async put(row: PolicyRow, schedules: readonly PolicyScheduleRow[]): Promise<void> {
    const { id, ...change } = row;
    await this.#db.transaction().execute(async (db) => {
      await db
        .insertInto("policies")
        .values(row)
        .onConflict((on) => on.column("id").doUpdateSet(change))
        .execute();
      await db.deleteFrom("policy_schedules").where("policy_id", "=", id).execute();
      if (schedules.length > 0)
        await db
          .insertInto("policy_schedules")
          .values([...schedules])
          .execute();
    });
    this.#onChange();
  }

  /** Removes a policy and its tags. What it has made stays. Answers whether there was one. */
  async remove(id: string): Promise<boolean> {
    const removed = await this.#db.transaction().execute(async (db) => {
      await db.deleteFrom("tags").where("resource_id", "=", id).execute();
      await db.deleteFrom("policy_schedules").where("policy_id", "=", id).execute();
      return db.deleteFrom("policies").where("id", "=", id).executeTakeFirst();
    });
    this.#onChange();
    return removed.numDeletedRows > 0n;
  }

  schedules(policyId: string): Promise<PolicyScheduleRow[]> {
    return this.#db
      .selectFrom("policy_schedules")
      .selectAll()
      .where("policy_id", "=", policyId)
      .orderBy("name")
      .execute();
  }

  /** What a run has changed: nothing that the bucket has to know of. */
  async updateSchedule(
    policyId: string,
    name: string,
    change: Partial<Omit<PolicyScheduleRow, "policy_id" | "name">>,
  ): Promise<void> {
    await this.#db
      .updateTable("policy_schedules")
      .set(change)
      .where("policy_id", "=", policyId)
      .where("name", "=", name)
      .execute();
  }
}
