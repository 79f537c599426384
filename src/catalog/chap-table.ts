/** CHAP credentials of volumes' targets. The secrets are kept as they are: the protocol needs them. */
import type { Kysely } from "kysely";
import type { VolumeId } from "../platform/ids.ts";
import type { CatalogSchema, ChapRow } from "./schema.ts";

export class ChapTable {
  readonly #db: Kysely<CatalogSchema>;
  readonly #onChange: () => void;

  constructor(db: Kysely<CatalogSchema>, onChange: () => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  all(): Promise<ChapRow[]> {
    return this.#db.selectFrom("chap_credentials").selectAll().orderBy("initiator_name").execute();
  }

  of(volumeId: VolumeId): Promise<ChapRow[]> {
    return this.#db
      .selectFrom("chap_credentials")
      .selectAll()
      .where("volume_id", "=", volumeId)
      .orderBy("initiator_name")
      .execute();
  }

  /** Adds it, in place of the one of the same initiator. */
  async put(row: ChapRow): Promise<void> {
    const { initiator_secret, target_secret } = row;
    await this.#db
      .insertInto("chap_credentials")
      .values(row)
      .onConflict((on) =>
        on.columns(["volume_id", "initiator_name"]).doUpdateSet({ initiator_secret, target_secret }),
      )
      .execute();
    this.#onChange();
  }

  /** Whether there was one. */
  async remove(volumeId: VolumeId, initiatorName: string): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom("chap_credentials")
      .where("volume_id", "=", volumeId)
      .where("initiator_name", "=", initiatorName)
      .executeTakeFirst();
    this.#onChange();
    return numDeletedRows > 0n;
  }
}
