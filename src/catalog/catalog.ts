/**
 * What exists: gateways, disks in use, volumes, snapshots, tags. The only place with SQL.
 *
 * A method that resolves has committed: what it wrote survives loss of power.
 */
import { Kysely } from "kysely";
import type { DiskId, GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import { ChapTable } from "./chap-table.ts";
import { KeptRows } from "./kept-rows.ts";
import { migrate } from "./migrations.ts";
import { PolicyTable } from "./policy-table.ts";
import { postgresDialect } from "./postgres.ts";
import { ScheduleTable } from "./schedule-table.ts";
import type {
  CatalogSchema,
  ClientTokenRow,
  DiskRow,
  GatewayRow,
  ScheduleRow,
  SnapshotRow,
  VolumeRow,
} from "./schema.ts";
import { sqliteDialect } from "./sqlite.ts";
import { StartedSnapshots } from "./started-snapshots.ts";
import { type Tag, TagTable, tagRows } from "./tag-table.ts";

export type { Tag } from "./tag-table.ts";

export type CatalogLocation = { readonly sqlitePath: string } | { readonly postgresUrl: string };

export interface SnapshotCount {
  readonly volume_id: VolumeId;
  readonly state: SnapshotRow["state"];
  readonly count: number;
  readonly newest: number;
}

export class Catalog {
  /** Snapshots whose blocks clients send. */
  readonly started: StartedSnapshots;
  readonly policies: PolicyTable;
  /** Who may log in where. */
  readonly chap: ChapTable;
  /** When snapshots are made by themselves. */
  readonly schedules: ScheduleTable;
  /** Of everything that has any. */
  readonly tags: TagTable;
  readonly #db: Kysely<CatalogSchema>;
  readonly #gateways: KeptRows<GatewayRow>;
  readonly #volumes: KeptRows<VolumeRow>;
  #onChange: () => void = () => {};
  #onSnapshotChange: (id: string) => void = () => {};

  /** `isOurs`: no other process writes to the database. */
  private constructor(db: Kysely<CatalogSchema>, isOurs: boolean) {
    this.#db = db;
    this.#gateways = new KeptRows(
      () => db.selectFrom("gateways").selectAll().orderBy("id").execute(),
      ({ id }) => id,
      isOurs,
    );
    this.#volumes = new KeptRows(
      () => db.selectFrom("volumes").selectAll().orderBy("id").execute(),
      ({ id }) => id,
      isOurs,
    );
    this.started = new StartedSnapshots(db, (id) => this.#onSnapshotChange(id));
    this.policies = new PolicyTable(db, () => this.#onChange());
    this.chap = new ChapTable(db, isOurs, () => this.#onChange());
    this.schedules = new ScheduleTable(db, () => this.#onChange());
    this.tags = new TagTable(db, (id) => {
      if (id.startsWith("snap-")) this.#onSnapshotChange(id);
      else this.#onChange();
    });
  }

  /** Opens the catalog and brings its schema to this version. */
  static async open(location: CatalogLocation): Promise<Catalog> {
    const dialect =
      "sqlitePath" in location ? sqliteDialect(location.sqlitePath) : postgresDialect(location.postgresUrl);
    const db = new Kysely<CatalogSchema>({ dialect });
    try {
      await migrate(db);
    } catch (error) {
      await db.destroy();
      throw error;
    }
    return new Catalog(db, "sqlitePath" in location);
  }

  /** From now on `onChange` is called whenever a gateway, a volume or a tag has changed. */
  watch(onChange: () => void): void {
    this.#onChange = onChange;
  }

  /** From now on `onChange` is called with the id whenever a snapshot, or a tag of one, has changed. */
  watchSnapshots(onChange: (id: string) => void): void {
    this.#onSnapshotChange = onChange;
  }

  close(): Promise<void> {
    return this.#db.destroy();
  }

  /** By their ids. */
  gateways(): Promise<readonly GatewayRow[]> {
    return this.#gateways.all();
  }

  async gateway(id: GatewayId): Promise<GatewayRow | undefined> {
    return (await this.#gateways.of(id))[0];
  }

  /** Adds a gateway and the disks it begins with, all or nothing. */
  async addGateway(gateway: GatewayRow, disks: readonly DiskRow[]): Promise<void> {
    await this.#gateways.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.insertInto("gateways").values(gateway).execute();
        for (const disk of disks) await db.insertInto("disks").values(disk).execute();
      }),
    );
    this.#onChange();
  }

  async updateGateway(id: GatewayId, change: Partial<Omit<GatewayRow, "id">>): Promise<void> {
    await this.#gateways.changing(() =>
      this.#db.updateTable("gateways").set(change).where("id", "=", id).execute(),
    );
    this.#onChange();
  }

  /** Removes a gateway and its tags, and frees its disks. It must have no volumes; where it has, nothing is changed. */
  async removeGateway(id: GatewayId): Promise<void> {
    await this.#gateways.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.deleteFrom("disks").where("gateway_id", "=", id).execute();
        await db.deleteFrom("tags").where("resource_id", "=", id).execute();
        await db.deleteFrom("client_tokens").where("gateway_id", "=", id).execute();
        await db.deleteFrom("gateways").where("id", "=", id).execute();
      }),
    );
    this.#onChange();
  }

  disks(): Promise<DiskRow[]> {
    return this.#db.selectFrom("disks").selectAll().orderBy("id").execute();
  }

  async addDisks(disks: readonly DiskRow[]): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      for (const disk of disks) await db.insertInto("disks").values(disk).execute();
    });
  }

  /** By their ids. The same row is the same object as long as no volume is changed. */
  volumes(): Promise<readonly VolumeRow[]> {
    return this.#volumes.all();
  }

  async volume(id: VolumeId): Promise<VolumeRow | undefined> {
    return (await this.#volumes.of(id))[0];
  }

  /** Adds a volume with the disk it takes, its tags and the token that made it, all or nothing. */
  async addVolume(
    volume: VolumeRow,
    parts: {
      readonly disk?: DiskRow;
      readonly tags: readonly Tag[];
      readonly token?: ClientTokenRow;
      readonly schedule?: ScheduleRow;
    },
  ): Promise<void> {
    await this.#volumes.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.insertInto("volumes").values(volume).execute();
        if (parts.disk !== undefined) await db.insertInto("disks").values(parts.disk).execute();
        const tags = tagRows(volume.id, parts.tags);
        if (tags.length > 0) await db.insertInto("tags").values(tags).execute();
        if (parts.token !== undefined) await db.insertInto("client_tokens").values(parts.token).execute();
        if (parts.schedule !== undefined) await db.insertInto("schedules").values(parts.schedule).execute();
      }),
    );
    this.#onChange();
  }

  async setVolumeState(id: VolumeId, state: VolumeRow["state"]): Promise<void> {
    await this.#volumes.changing(() =>
      this.#db.updateTable("volumes").set({ state }).where("id", "=", id).execute(),
    );
    this.#onChange();
  }

  /** The volume and its disk, if it has one, have this size from now on. */
  async setVolumeSize(id: VolumeId, sizeBytes: number): Promise<void> {
    await this.#volumes.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.updateTable("volumes").set({ size_bytes: sizeBytes }).where("id", "=", id).execute();
        await db.updateTable("disks").set({ size_bytes: sizeBytes }).where("volume_id", "=", id).execute();
      }),
    );
    this.#onChange();
  }

  async setRecoveryPoints(id: VolumeId, everyMs: number | null): Promise<void> {
    const change = { recovery_point_every_ms: everyMs };
    await this.#volumes.changing(() =>
      this.#db.updateTable("volumes").set(change).where("id", "=", id).execute(),
    );
    this.#onChange();
  }

  async setModified(
    id: VolumeId,
    change: Partial<Pick<VolumeRow, "ec2_type" | "modification">>,
  ): Promise<void> {
    await this.#volumes.changing(() =>
      this.#db.updateTable("volumes").set(change).where("id", "=", id).execute(),
    );
    this.#onChange();
  }

  /** The volume is nowhere from now on: its content is the root, and its disk is free. */
  async detachVolume(id: VolumeId, rootKey: string, usedBytes: number): Promise<void> {
    const change = {
      attachment: "detached",
      parent_root_key: rootKey,
      detached_used_bytes: usedBytes,
      disk_id: null,
      preserve_existing_data: 0,
    } as const;
    await this.#volumes.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.updateTable("volumes").set(change).where("id", "=", id).execute();
        await db.deleteFrom("disks").where("volume_id", "=", id).execute();
      }),
    );
    this.#onChange();
  }

  async setAttachment(id: VolumeId, attachment: VolumeRow["attachment"]): Promise<void> {
    await this.#volumes.changing(() =>
      this.#db.updateTable("volumes").set({ attachment }).where("id", "=", id).execute(),
    );
    this.#onChange();
  }

  /** The volume belongs to this gateway from now on, and is still to be made there. */
  async attachVolume(
    id: VolumeId,
    to: Pick<VolumeRow, "gateway_id" | "target_name" | "disk_id" | "network_interface">,
    disk: DiskRow | undefined,
  ): Promise<void> {
    const change = { ...to, attachment: "attached", state: "creating", detached_used_bytes: null } as const;
    await this.#volumes.changing(() =>
      this.#db.transaction().execute(async (db) => {
        await db.updateTable("volumes").set(change).where("id", "=", id).execute();
        if (disk !== undefined) await db.insertInto("disks").values(disk).execute();
      }),
    );
    this.#onChange();
  }

  /** Frees a gateway's disks of one kind of use. */
  async removeDisks(gatewayId: GatewayId, allocation: DiskRow["allocation"]): Promise<void> {
    await this.#db
      .deleteFrom("disks")
      .where("gateway_id", "=", gatewayId)
      .where("allocation", "=", allocation)
      .execute();
  }

  /** Removes a volume, its tags, token, credentials and schedules, and frees its disk. Its snapshots stay. */
  async removeVolume(id: VolumeId): Promise<void> {
    const remove = () =>
      this.#db.transaction().execute(async (db) => {
        await db.deleteFrom("disks").where("volume_id", "=", id).execute();
        await db.deleteFrom("tags").where("resource_id", "=", id).execute();
        await db.deleteFrom("client_tokens").where("volume_id", "=", id).execute();
        await db.deleteFrom("chap_credentials").where("volume_id", "=", id).execute();
        await db.deleteFrom("schedules").where("volume_id", "=", id).execute();
        await db.deleteFrom("volumes").where("id", "=", id).execute();
      });
    await this.#volumes.changing(() => this.chap.changing(remove));
    this.#onChange();
  }

  clientToken(gatewayId: GatewayId, token: string): Promise<ClientTokenRow | undefined> {
    return this.#db
      .selectFrom("client_tokens")
      .selectAll()
      .where("gateway_id", "=", gatewayId)
      .where("token", "=", token)
      .executeTakeFirst();
  }

  /** All snapshots that were not deleted. */
  snapshots(): Promise<SnapshotRow[]> {
    return this.#db.selectFrom("snapshots").selectAll().where("deleted", "=", 0).orderBy("id").execute();
  }

  /** How many snapshots each volume has in each state, and the newest moment that one of them is of. */
  async snapshotCounts(): Promise<SnapshotCount[]> {
    const rows = await this.#db
      .selectFrom("snapshots")
      .select(({ fn }) => [
        "volume_id",
        "state",
        fn.countAll().as("count"),
        fn.max("started_at").as("newest"),
      ])
      .where("deleted", "=", 0)
      .groupBy(["volume_id", "state"])
      .execute();
    // PostgreSQL answers sums and counts as text.
    return rows.map((row) => ({ ...row, count: Number(row.count), newest: Number(row.newest) }));
  }

  /** Those of the ids that were not deleted. Not more than some hundred at a time. */
  snapshotsOf(ids: readonly string[]): Promise<SnapshotRow[]> {
    return this.#db
      .selectFrom("snapshots")
      .selectAll()
      .where("deleted", "=", 0)
      .where("id", "in", ids as readonly SnapshotId[])
      .execute();
  }

  /** All snapshots, also those that were deleted and are still to be taken away. */
  allSnapshots(): Promise<SnapshotRow[]> {
    return this.#db.selectFrom("snapshots").selectAll().execute();
  }

  /** Snapshots whose upload has not ended, deleted ones too. */
  pendingSnapshots(): Promise<SnapshotRow[]> {
    return this.#db
      .selectFrom("snapshots")
      .selectAll()
      .where("state", "=", "pending")
      .orderBy("epoch")
      .execute();
  }

  /** Snapshots that were deleted and are still to be taken away. */
  deletedSnapshots(): Promise<SnapshotRow[]> {
    return this.#db.selectFrom("snapshots").selectAll().where("deleted", "=", 1).execute();
  }

  /** The volumes of which a run of a schedule has made a snapshot, deleted or not. */
  async volumesOfRun(run: string): Promise<Set<VolumeId>> {
    const rows = await this.#db
      .selectFrom("snapshots")
      .select("volume_id")
      .where("schedule_run", "=", run)
      .execute();
    return new Set(rows.map(({ volume_id }) => volume_id));
  }

  /** Where the content of the volume's snapshots began, if it was with another volume. */
  async lineageOf(volumeId: VolumeId): Promise<VolumeId | undefined> {
    const row = await this.#db
      .selectFrom("snapshots")
      .select("lineage_id")
      .where("volume_id", "=", volumeId)
      .where("lineage_id", "is not", null)
      .executeTakeFirst();
    return row?.lineage_id ?? undefined;
  }

  snapshot(id: SnapshotId): Promise<SnapshotRow | undefined> {
    return this.#db.selectFrom("snapshots").selectAll().where("id", "=", id).executeTakeFirst();
  }

  /** Adds snapshots that all have these tags, and what they change of a schedule, all or nothing. */
  async addSnapshots(
    snapshots: readonly SnapshotRow[],
    tags: readonly Tag[] | ((snapshot: SnapshotRow) => readonly Tag[]),
    schedule?: { readonly id: string; readonly change: Partial<Omit<ScheduleRow, "id">> },
  ): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      if (schedule !== undefined) {
        await db.updateTable("schedules").set(schedule.change).where("id", "=", schedule.id).execute();
      }
      for (const snapshot of snapshots) {
        await db.insertInto("snapshots").values(snapshot).execute();
        const rows = tagRows(snapshot.id, typeof tags === "function" ? tags(snapshot) : tags);
        if (rows.length > 0) await db.insertInto("tags").values(rows).execute();
      }
    });
    for (const { id } of snapshots) this.#onSnapshotChange(id);
  }

  async updateSnapshot(id: SnapshotId, change: Partial<Omit<SnapshotRow, "id">>): Promise<void> {
    await this.#db.updateTable("snapshots").set(change).where("id", "=", id).execute();
    this.#onSnapshotChange(id);
  }

  async removeSnapshot(id: SnapshotId): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      await db.deleteFrom("tags").where("resource_id", "=", id).execute();
      await db.deleteFrom("started_snapshots").where("snapshot_id", "=", id).execute();
      await db.deleteFrom("snapshots").where("id", "=", id).execute();
    });
    this.#onSnapshotChange(id);
  }

  /** What was remembered under the key, or undefined. */
  async setting(key: string): Promise<string | undefined> {
    const row = await this.#db.selectFrom("settings").selectAll().where("key", "=", key).executeTakeFirst();
    return row?.value;
  }

  async setSetting(key: string, value: string): Promise<void> {
    await this.#db
      .insertInto("settings")
      .values({ key, value })
      .onConflict((on) => on.column("key").doUpdateSet({ value }))
      .execute();
  }

  /** The roots that a snapshot needs, deleted ones too: all of them, or those among `keys`. */
  async snapshotRoots(keys?: readonly string[]): Promise<Set<string>> {
    let query = this.#db.selectFrom("snapshots").select("root_key").where("root_key", "is not", null);
    if (keys !== undefined) query = query.where("root_key", "in", [...keys]);
    const rows = await query.execute();
    return new Set(rows.flatMap(({ root_key }) => (root_key === null ? [] : [root_key])));
  }

  async diskInUse(id: DiskId): Promise<DiskRow | undefined> {
    return this.#db.selectFrom("disks").selectAll().where("id", "=", id).executeTakeFirst();
  }
}
