/** The versions of the catalog's schema, oldest first. A released migration never changes; a new one follows it. */
import type { Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import type { CatalogSchema } from "./schema.ts";

/** The catalog was written by a newer version, or a migration failed. */
export class CatalogVersionError extends Error {
  override readonly name = "CatalogVersionError";
}

const first: Migration = {
  async up(db) {
    await db.schema
      .createTable("gateways")
      .addColumn("id", "varchar(32)", (c) => c.primaryKey())
      .addColumn("name", "varchar(255)", (c) => c.notNull().unique())
      .addColumn("kind", "varchar(16)", (c) => c.notNull())
      .addColumn("timezone", "varchar(16)", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .execute();
    await db.schema
      .createTable("disks")
      .addColumn("id", "varchar(300)", (c) => c.primaryKey())
      .addColumn("gateway_id", "varchar(32)", (c) => c.notNull().references("gateways.id"))
      .addColumn("allocation", "varchar(32)", (c) => c.notNull())
      .addColumn("path", "text", (c) => c.notNull())
      .addColumn("size_bytes", "bigint", (c) => c.notNull())
      .addColumn("volume_id", "varchar(32)")
      .execute();
    await db.schema
      .createTable("volumes")
      .addColumn("id", "varchar(32)", (c) => c.primaryKey())
      .addColumn("gateway_id", "varchar(32)", (c) => c.notNull().references("gateways.id"))
      .addColumn("kind", "varchar(16)", (c) => c.notNull())
      .addColumn("size_bytes", "bigint", (c) => c.notNull())
      .addColumn("target_name", "varchar(255)", (c) => c.notNull().unique())
      .addColumn("disk_id", "varchar(300)")
      .addColumn("preserve_existing_data", "integer", (c) => c.notNull())
      .addColumn("parent_root_key", "text")
      .addColumn("source_snapshot_id", "varchar(32)")
      .addColumn("state", "varchar(16)", (c) => c.notNull())
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .execute();
    await db.schema
      .createTable("snapshots")
      .addColumn("id", "varchar(32)", (c) => c.primaryKey())
      .addColumn("volume_id", "varchar(32)", (c) => c.notNull())
      .addColumn("volume_arn", "text", (c) => c.notNull())
      .addColumn("epoch", "bigint", (c) => c.notNull())
      .addColumn("state", "varchar(16)", (c) => c.notNull())
      .addColumn("reason", "text")
      .addColumn("description", "text", (c) => c.notNull())
      .addColumn("volume_size_bytes", "bigint", (c) => c.notNull())
      .addColumn("started_at", "bigint", (c) => c.notNull())
      .addColumn("completed_at", "bigint")
      .addColumn("root_key", "text")
      .addColumn("full_bytes", "bigint", (c) => c.notNull())
      .addColumn("deleted", "integer", (c) => c.notNull())
      .execute();
    await db.schema.createIndex("snapshots_by_volume").on("snapshots").column("volume_id").execute();
    await db.schema
      .createTable("tags")
      .addColumn("resource_id", "varchar(64)", (c) => c.notNull())
      .addColumn("key", "varchar(128)", (c) => c.notNull())
      .addColumn("value", "varchar(256)", (c) => c.notNull())
      .addPrimaryKeyConstraint("tags_pk", ["resource_id", "key"])
      .execute();
    await db.schema
      .createTable("client_tokens")
      .addColumn("gateway_id", "varchar(32)", (c) => c.notNull())
      .addColumn("token", "varchar(100)", (c) => c.notNull())
      .addColumn("fingerprint", "varchar(64)", (c) => c.notNull())
      .addColumn("volume_id", "varchar(32)", (c) => c.notNull())
      .addPrimaryKeyConstraint("client_tokens_pk", ["gateway_id", "token"])
      .execute();
  },
};

const recoveryPoints: Migration = {
  async up(db) {
    await db.schema.alterTable("volumes").addColumn("recovery_point_every_ms", "bigint").execute();
  },
};

const directSnapshots: Migration = {
  async up(db) {
    const add = (
      name: string,
      type: "bigint" | "text" | "varchar(16)" | "varchar(32)" | "varchar(64)" | "integer",
    ) => db.schema.alterTable("snapshots").addColumn(name, type).execute();
    await db.schema
      .alterTable("snapshots")
      .addColumn("origin", "varchar(16)", (c) => c.notNull().defaultTo("cut"))
      .execute();
    await db.schema
      .alterTable("snapshots")
      .addColumn("shared_with", "text", (c) => c.notNull().defaultTo("[]"))
      .execute();
    await add("lineage_id", "varchar(32)");
    await add("lock_mode", "varchar(16)");
    await add("lock_days", "integer");
    await add("locked_at", "bigint");
    await add("lock_until", "bigint");
    await add("cool_off_until", "bigint");
    await add("policy_id", "varchar(64)");
    await add("policy_schedule", "text");
    await db.schema
      .createTable("started_snapshots")
      .addColumn("snapshot_id", "varchar(32)", (c) => c.primaryKey())
      .addColumn("client_token", "varchar(255)", (c) => c.unique())
      .addColumn("fingerprint", "varchar(64)", (c) => c.notNull())
      .addColumn("timeout_ms", "bigint", (c) => c.notNull())
      .addColumn("parent_snapshot_id", "varchar(32)")
      .addColumn("parent_root_key", "text")
      .addColumn("state", "varchar(16)", (c) => c.notNull())
      .execute();
    await db.schema
      .createTable("policies")
      .addColumn("id", "varchar(64)", (c) => c.primaryKey())
      .addColumn("description", "text", (c) => c.notNull())
      .addColumn("role_arn", "text", (c) => c.notNull())
      .addColumn("enabled", "integer", (c) => c.notNull())
      .addColumn("details", "text", (c) => c.notNull())
      .addColumn("status", "text")
      .addColumn("created_at", "bigint", (c) => c.notNull())
      .addColumn("modified_at", "bigint", (c) => c.notNull())
      .execute();
  },
};

const controlPlane: Migration = {
  async up(db) {
    await db.schema
      .alterTable("gateways")
      .addColumn("state", "varchar(16)", (c) => c.notNull().defaultTo("running"))
      .execute();
    await db.schema
      .alterTable("gateways")
      .addColumn("settings", "text", (c) => c.notNull().defaultTo("{}"))
      .execute();
    await db.schema
      .alterTable("volumes")
      .addColumn("attachment", "varchar(16)", (c) => c.notNull().defaultTo("attached"))
      .execute();
    await db.schema.alterTable("volumes").addColumn("network_interface", "varchar(64)").execute();
    await db.schema.alterTable("volumes").addColumn("detached_used_bytes", "bigint").execute();
    await db.schema.alterTable("snapshots").addColumn("schedule_run", "varchar(128)").execute();
    // A schedule never makes two snapshots of a volume for one moment, whatever happens in between.
    await db.schema
      .createIndex("snapshots_by_schedule_run")
      .unique()
      .on("snapshots")
      .columns(["schedule_run", "volume_id"])
      .execute();
    await db.schema.createIndex("snapshots_by_state").on("snapshots").column("state").execute();
    await db.schema
      .createTable("chap_credentials")
      .addColumn("volume_id", "varchar(32)", (c) => c.notNull())
      .addColumn("initiator_name", "varchar(255)", (c) => c.notNull())
      .addColumn("initiator_secret", "varchar(100)", (c) => c.notNull())
      .addColumn("target_secret", "varchar(100)")
      .addPrimaryKeyConstraint("chap_credentials_pk", ["volume_id", "initiator_name"])
      .execute();
    await db.schema
      .createTable("schedules")
      .addColumn("id", "varchar(64)", (c) => c.primaryKey())
      .addColumn("volume_id", "varchar(32)", (c) => c.notNull())
      .addColumn("kind", "varchar(16)", (c) => c.notNull())
      .addColumn("name", "varchar(128)", (c) => c.notNull())
      .addColumn("start_hour", "integer")
      .addColumn("recurrence_hours", "integer")
      .addColumn("cron", "varchar(256)")
      .addColumn("timezone", "varchar(64)")
      .addColumn("description", "text", (c) => c.notNull())
      .addColumn("tags", "text", (c) => c.notNull())
      .addColumn("enabled", "integer", (c) => c.notNull())
      .addColumn("settled_until", "bigint", (c) => c.notNull())
      .addColumn("last_run_at", "bigint")
      .addColumn("last_snapshot_id", "varchar(32)")
      .addColumn("missed_runs", "integer", (c) => c.notNull())
      .addColumn("problem", "text")
      .execute();
    await db.schema.createIndex("schedules_by_volume").on("schedules").column("volume_id").execute();
    await db.schema
      .createTable("settings")
      .addColumn("key", "varchar(64)", (c) => c.primaryKey())
      .addColumn("value", "text", (c) => c.notNull())
      .execute();
  },
};

const policySchedules: Migration = {
  async up(db) {
    // Nothing has made a policy before this version.
    await db.schema.alterTable("policies").dropColumn("status").execute();
    await db.schema
      .alterTable("policies")
      .addColumn("rules", "text", (c) => c.notNull().defaultTo("{}"))
      .execute();
    await db.schema
      .createTable("policy_schedules")
      .addColumn("policy_id", "varchar(64)", (c) => c.notNull())
      .addColumn("name", "varchar(128)", (c) => c.notNull())
      .addColumn("settled_until", "bigint", (c) => c.notNull())
      .addColumn("last_run_at", "bigint")
      .addColumn("missed_runs", "integer", (c) => c.notNull())
      .addColumn("problem", "text")
      .addPrimaryKeyConstraint("policy_schedules_pk", ["policy_id", "name"])
      .execute();
  },
};

const volumeTypes: Migration = {
  async up(db) {
    await db.schema.alterTable("volumes").addColumn("ec2_type", "text").execute();
  },
};

const volumeModifications: Migration = {
  async up(db) {
    await db.schema.alterTable("volumes").addColumn("modification", "text").execute();
  },
};

const MIGRATIONS: Record<string, Migration> = {
  "0001-first-light": first,
  "0002-recovery-points": recoveryPoints,
  "0003-direct-snapshots": directSnapshots,
  "0004-control-plane": controlPlane,
  "0005-policy-schedules": policySchedules,
  "0006-volume-types": volumeTypes,
  "0007-volume-modifications": volumeModifications,
};

/** Brings the schema to this version. Throws a CatalogVersionError where it is newer than what is known here. */
export async function migrate(db: Kysely<CatalogSchema>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const reason = error instanceof Error ? error.message : String(error);
  const later = /previously executed migration (\S+) is missing/.exec(reason)?.[1];
  if (later !== undefined) {
    const advice = "install that version again, or put the data folder back as it was before it";
    throw new CatalogVersionError(`the catalog is a newer version's (it has "${later}"): ${advice}`, {
      cause: error,
    });
  }
  throw new CatalogVersionError(`the catalog can't be brought to this version: ${reason}`, { cause: error });
}
