/** CHAP credentials of volumes' targets. The secrets are kept as they are: the protocol needs them. */
import type { Kysely } from "kysely";
import type { VolumeId } from "../platform/ids.ts";
import { KeptRows } from "./kept-rows.ts";
import type { CatalogSchema, ChapRow } from "./schema.ts";

export class ChapTable {
  readonly #db: Kysely<CatalogSchema>;
  readonly #rows: KeptRows<ChapRow>;
  readonly #onChange: () => void;

  /** `isOurs`: no other process writes to the database. */
  constructor(db: Kysely<CatalogSchema>, isOurs: boolean, onChange: () => void) {
    this.#db = db;
    this.#rows = new KeptRows(
      () => db.selectFrom("chap_credentials").selectAll().orderBy("initiator_name").execute(),
      ({ volume_id }) => volume_id,
      isOurs,
    );
    this.#onChange = onChange;
  }

  /** By the initiators' names. */
  all(): Promise<readonly ChapRow[]> {
    return this.#rows.all();
  }

  of(volumeId: VolumeId): Promise<readonly ChapRow[]> {
    return this.#rows.of(volumeId);
  }

  /** Carries out what takes a volume's credentials away with the volume. */
  changing<T>(write: () => Promise<T>): Promise<T> {
    return this.#rows.changing(write);
  }

  /** Adds it, in place of the one of the same initiator. */
  async put(row: ChapRow): Promise<void> {
    const { initiator_secret, target_secret } = row;
    await this.#rows.changing(() =>
      this.#db
        .insertInto("chap_credentials")
        .values(row)
        .onConflict((on) =>
          on.columns(["volume_id", "initiator_name"]).doUpdateSet({ initiator_secret, target_secret }),
        )
        .execute(),
    );
    this.#onChange();
  }

  /** Whether there was one. */
  async remove(volumeId: VolumeId, initiatorName: string): Promise<boolean> {
    const { numDeletedRows } = await this.#rows.changing(() =>
      this.#db
        .deleteFrom("chap_credentials")
        .where("volume_id", "=", volumeId)
        .where("initiator_name", "=", initiatorName)
        .executeTakeFirst(),
    );
    this.#onChange();
    return numDeletedRows > 0n;
  }
}
