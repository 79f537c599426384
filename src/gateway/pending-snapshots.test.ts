import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { Catalog } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow, type VolumeRow } from "../catalog/schema.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import type { CutState, SnapshotStore, VolumeHost } from "./ports.ts";
import { Snapshots } from "./snapshots.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-pending-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const VOLUME = "vol-00000000000000001" as VolumeId;
const GONE = "vol-00000000000000002" as VolumeId;

function pending(n: number, volume_id: VolumeId): SnapshotRow {
  return {
    ...PLAIN_SNAPSHOT,
    ...{ id: `snap-${String(n).padStart(17, "0")}` as SnapshotId, volume_id, volume_arn: "arn", epoch: n },
    ...{ state: "pending", reason: null, description: "", volume_size_bytes: 0, started_at: n },
    ...{ completed_at: null, root_key: null, full_bytes: 0, deleted: 0 },
  };
}

test("the snapshot of a volume that can't be opened now waits, and is completed when it can", async () => {
  const catalog = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
  const gateway_id = "sgw-00000001" as GatewayId;
  const gateway = { id: gateway_id, name: "g", kind: "CACHED", timezone: "GMT", created_at: 0 } as const;
  await catalog.addGateway({ ...gateway, state: "shutdown", settings: "{}" }, []);
  const volume: VolumeRow = {
    ...{ id: VOLUME, gateway_id, kind: "cached", size_bytes: 2 ** 30, target_name: "t", disk_id: null },
    ...{ preserve_existing_data: 0, parent_root_key: null, source_snapshot_id: null, state: "active" },
    ...{ created_at: 0, recovery_point_every_ms: null, attachment: "attached" },
    ...{ network_interface: null, detached_used_bytes: null, ec2_type: null, modification: null },
  };
  await catalog.addVolume(volume, { tags: [] });
  const [one, two] = [pending(1, VOLUME), pending(2, GONE)];
  await catalog.addSnapshots([one, two], []);

  let cut: CutState = { state: "closed" };
  const begin = () =>
    new Snapshots({
      ...{
        catalog,
        clock: new ManualClock(),
        random: new SeededRandom(1),
        volumes: { arnOf: () => "a" } as never,
      },
      host: { cutState: async () => cut } as unknown as VolumeHost,
      store: { putSnapshot: async () => {}, listSnapshots: async () => [] } as unknown as SnapshotStore,
      onProblem: (message) => assert.fail(message),
      onDirectGone: () => {},
      onNameGone: async () => {},
    });
  const snapshots = begin();
  await snapshots.reconcile();
  await snapshots.close();
  assert.equal((await catalog.snapshot(one.id))?.state, "pending");
  assert.equal((await catalog.snapshot(two.id))?.state, "error");

  cut = { state: "uploaded", volumeId: VOLUME, epoch: 1, rootKey: "r", uploadedBytes: 0, fullBytes: 0 };
  const later = begin();
  await later.reconcilePending();
  while ((await catalog.snapshot(one.id))?.state === "pending") await new Promise((go) => setImmediate(go));
  assert.equal((await catalog.snapshot(one.id))?.root_key, "r");
  await later.close();
  await catalog.close();
});
