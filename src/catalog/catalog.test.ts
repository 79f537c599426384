import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { postgresPrograms, type RunningPostgres, startPostgres } from "../../test/servers/postgres.ts";
import type { DiskId, GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import { Catalog, type CatalogLocation } from "./catalog.ts";
import { type DiskRow, type GatewayRow, PLAIN_SNAPSHOT, type SnapshotRow, type VolumeRow } from "./schema.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-catalog-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const GATEWAY = "sgw-00000001" as GatewayId;
const VOLUME = "vol-00000000000000001" as VolumeId;
const SNAPSHOT = "snap-00000000000000001" as SnapshotId;

const disk = (id: string, volume: VolumeId | null = null): DiskRow => ({
  id: id as DiskId,
  gateway_id: GATEWAY,
  allocation: volume === null ? "CACHE_STORAGE" : "STORED_iSCSI_VOLUME",
  path: `/disks/${id}`,
  size_bytes: 2 ** 45,
  volume_id: volume,
});
const volumeRow: VolumeRow = {
  id: VOLUME,
  gateway_id: GATEWAY,
  kind: "stored",
  size_bytes: 16 * 2 ** 40,
  target_name: "one",
  disk_id: "d1" as DiskId,
  preserve_existing_data: 0,
  parent_root_key: null,
  source_snapshot_id: null,
  state: "creating",
  created_at: 1_700_000_000_123,
  recovery_point_every_ms: null,
  ec2_type: null,
  modification: null,
  attachment: "attached",
  network_interface: null,
  detached_used_bytes: null,
};
const snapshotRow: SnapshotRow = {
  ...PLAIN_SNAPSHOT,
  id: SNAPSHOT,
  volume_id: VOLUME,
  volume_arn: "arn:aws:storagegateway:x",
  epoch: 1,
  state: "pending",
  reason: null,
  description: "Größe: 'quoted'; -- \u{1F4BE}",
  volume_size_bytes: 16 * 2 ** 40,
  started_at: 1_700_000_000_456,
  completed_at: null,
  root_key: null,
  full_bytes: 0,
  deleted: 0,
};

const programs = postgresPrograms();
contract("SQLite", false, async () => ({
  location: { sqlitePath: join(folder, "catalog.sqlite") },
  stop: () => {},
}));
contract("PostgreSQL", programs === undefined ? "PostgreSQL is not installed" : false, async () => {
  const server: RunningPostgres = await startPostgres(programs ?? "");
  return { location: { postgresUrl: server.url }, stop: () => server.stop() };
});

function contract(
  name: string,
  skip: string | false,
  start: () => Promise<{ location: CatalogLocation; stop: () => void }>,
): void {
  describe(`the catalog in ${name}`, { skip }, () => {
    let location: CatalogLocation;
    let stop = () => {};
    let catalog: Catalog;
    before(async () => {
      ({ location, stop } = await start());
      catalog = await Catalog.open(location);
    });
    after(async () => {
      await catalog?.close();
      stop();
    });
    const reopen = async () => {
      await catalog.close();
      catalog = await Catalog.open(location);
    };

    test("keeps gateways, disks, volumes, tokens and tags, across a restart", async () => {
      const gateway: GatewayRow = {
        id: GATEWAY,
        name: "g",
        kind: "STORED",
        timezone: "GMT",
        created_at: 1,
        state: "running",
        settings: "{}",
      };
      await catalog.addGateway(gateway, [disk("cache")]);
      const tags = [
        { key: "b", value: "2" },
        { key: "a", value: "" },
      ];
      const token = { gateway_id: GATEWAY, token: "t", fingerprint: "f", volume_id: VOLUME };
      await catalog.addVolume(volumeRow, { disk: disk("d1", VOLUME), tags, token });
      await reopen();
      assert.deepEqual({ ...(await catalog.gateway(GATEWAY)) }, gateway);
      assert.deepEqual({ ...(await catalog.volume(VOLUME)) }, volumeRow);
      assert.deepEqual(
        (await catalog.disks()).map((d) => ({ ...d })),
        [disk("cache"), disk("d1", VOLUME)],
      );
      assert.deepEqual(
        (await catalog.tags.of(VOLUME)).map((t) => ({ ...t })),
        [
          { key: "a", value: "" },
          { key: "b", value: "2" },
        ],
      );
      assert.equal((await catalog.clientToken(GATEWAY, "t"))?.fingerprint, "f");
      assert.equal(await catalog.clientToken(GATEWAY, "other"), undefined);
    });

    test("adds a volume whole or not at all", async () => {
      const other = { ...volumeRow, id: "vol-00000000000000002" as VolumeId, target_name: "two" };
      // Its disk is taken already.
      await assert.rejects(
        catalog.addVolume(other, { disk: disk("d1", other.id), tags: [{ key: "k", value: "v" }] }),
      );
      assert.equal(await catalog.volume(other.id), undefined);
      assert.deepEqual(await catalog.tags.of(other.id), []);
      // Its target's name is taken already.
      const twin = { ...other, target_name: "one", disk_id: null };
      await assert.rejects(catalog.addVolume(twin, { tags: [] }));
    });

    test("keeps snapshots, changes them, and forgets them with their tags", async () => {
      await catalog.addSnapshots([snapshotRow], [{ key: "k", value: "v" }]);
      assert.deepEqual(
        (await catalog.pendingSnapshots()).map((s) => ({ ...s })),
        [snapshotRow],
      );
      await catalog.updateSnapshot(SNAPSHOT, {
        state: "completed",
        root_key: "r",
        completed_at: 5,
        full_bytes: 2 ** 44,
      });
      await reopen();
      const changed = await catalog.snapshot(SNAPSHOT);
      assert.deepEqual(
        [changed?.state, changed?.full_bytes, changed?.description],
        ["completed", 2 ** 44, snapshotRow.description],
      );
      await catalog.updateSnapshot(SNAPSHOT, { deleted: 1 });
      assert.deepEqual(await catalog.snapshots(), []);
      assert.equal((await catalog.deletedSnapshots()).length, 1);
      await catalog.removeSnapshot(SNAPSHOT);
      assert.equal(await catalog.snapshot(SNAPSHOT), undefined);
      assert.deepEqual(await catalog.tags.of(SNAPSHOT), []);
    });

    test("a tag that is there gets the new value", async () => {
      await catalog.tags.put(VOLUME, [
        { key: "a", value: "new" },
        { key: "c", value: "3" },
      ]);
      await catalog.tags.remove(VOLUME, ["b", "never"]);
      assert.deepEqual(
        (await catalog.tags.of(VOLUME)).map((t) => ({ ...t })),
        [
          { key: "a", value: "new" },
          { key: "c", value: "3" },
        ],
      );
    });

    test("a removed volume leaves its disk free and nothing of its own", async () => {
      await catalog.removeVolume(VOLUME);
      assert.equal(await catalog.volume(VOLUME), undefined);
      assert.equal(await catalog.diskInUse("d1" as DiskId), undefined);
      assert.deepEqual(await catalog.tags.of(VOLUME), []);
      assert.equal(await catalog.clientToken(GATEWAY, "t"), undefined);
    });
  });
}

test("the catalog's file is for its owner only", () => {
  assert.equal(statSync(join(folder, "catalog.sqlite")).mode & 0o777, 0o600);
});
