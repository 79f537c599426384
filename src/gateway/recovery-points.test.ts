import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Catalog } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import type { StoredRoot } from "./ports.ts";
import { RecoveryPoints, type RecoveryPointsOptions } from "./recovery-points.ts";
import type { Snapshots } from "./snapshots.ts";
import { parseThinningRule } from "./thinning.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-points-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const DAY_MS = 86_400_000;
let catalogs = 0;

/** Volumes with three old roots and a new one each, and a store that counts what it is asked. */
async function bench(volumes: number) {
  catalogs += 1;
  const catalog = await Catalog.open({ sqlitePath: join(folder, `${catalogs}.sqlite`) });
  const clock = new ManualClock();
  const gateway_id = "sgw-00000001" as GatewayId;
  await catalog.addGateway(
    {
      ...{ id: gateway_id, name: "g", kind: "CACHED", timezone: "GMT" },
      created_at: 0,
      state: "running",
      settings: "{}",
    },
    [],
  );
  const there = new Map<VolumeId, StoredRoot[]>();
  const asked = { pins: 0 };
  const elsewhere = new Set<string>();
  let onListed: () => Promise<void> = async () => {};
  for (let i = 0; i < volumes; i++) {
    const id = `vol-${String(i).padStart(17, "0")}` as VolumeId;
    await catalog.addVolume(
      {
        ...{ id, gateway_id, kind: "cached", size_bytes: 1, target_name: `t${i}`, disk_id: null },
        ...{ preserve_existing_data: 0, parent_root_key: null, source_snapshot_id: null, state: "active" },
        ...{
          created_at: 0,
          recovery_point_every_ms: null,
          ec2_type: null,
          modification: null,
          attachment: "attached",
          network_interface: null,
        },
        detached_used_bytes: null,
      },
      { tags: [] },
    );
    there.set(
      id,
      [40, 39, 38, 0].map((days, epoch) => ({
        ...{
          rootKey: `${id}/${epoch}`,
          generation: 1,
          epoch,
          kind: "checkpoint",
          sizeBytes: 1,
          fullBytes: 1,
        },
        cutAtMs: clock.nowMs() - days * DAY_MS,
      })),
    );
  }
  const points = new RecoveryPoints({
    catalog,
    clock,
    rule: parseThinningRule("30d"),
    snapshots: {} as Snapshots,
    host: { report: async () => ({ status: "AVAILABLE" }) } as unknown as RecoveryPointsOptions["host"],
    roots: {
      listRoots: async (id: VolumeId) => there.get(id) ?? [],
      deleteRoots: async (id: VolumeId, keys: readonly string[]) =>
        void there.set(
          id,
          (there.get(id) ?? []).filter(({ rootKey }) => !keys.includes(rootKey)),
        ),
      listPins: async () => {
        asked.pins += 1;
        await onListed();
        return [...elsewhere];
      },
      listOwnVolumes: async () => [...there.keys()],
    },
    onProblem: (message, error) => assert.fail(`${message}: ${error}`),
  });
  const epochsOf = (i: number) => ([...there.values()][i] ?? []).map(({ epoch }) => epoch);
  const snapshot = (i: number, epoch: number, state: SnapshotRow["state"]): SnapshotRow => {
    const volume_id = [...there.keys()][i] as VolumeId;
    return {
      ...PLAIN_SNAPSHOT,
      ...{
        id: `snap-${String(i).padStart(17, "0")}` as SnapshotId,
        volume_id,
        volume_arn: "arn",
        epoch,
        state,
      },
      ...{
        reason: null,
        description: "",
        volume_size_bytes: 1,
        started_at: 0,
        completed_at: 0,
        full_bytes: 0,
      },
      ...{ root_key: state === "pending" ? null : `${volume_id}/${epoch}`, deleted: 0 },
    };
  };
  const onPins = (action: () => Promise<void>) => {
    onListed = action;
  };
  return { catalog, points, asked, elsewhere, epochsOf, snapshot, there, onPins };
}

test("what is old goes, and who needs what is asked once for many volumes", async () => {
  const { catalog, points, asked, epochsOf } = await bench(200);
  await points.thin();
  for (let i = 0; i < 200; i++) assert.deepEqual(epochsOf(i), [3]);
  assert(asked.pins <= 4, `${asked.pins} times`);
  // Nothing can go any more: nobody is asked.
  asked.pins = 0;
  await points.thin();
  assert.equal(asked.pins, 0);
  await catalog.close();
});

test("what has a name, is about to get one, or is needed elsewhere stays", async () => {
  const { catalog, points, elsewhere, epochsOf, snapshot, there } = await bench(4);
  await catalog.addSnapshots([snapshot(0, 0, "completed"), snapshot(1, 1, "pending")], []);
  elsewhere.add(`${[...there.keys()][2]}/2`);
  await points.thin();
  assert.deepEqual([0, 1, 2, 3].map(epochsOf), [[0, 3], [1, 3], [2, 3], [3]]);
  await catalog.close();
});

test("a name that is given while the bucket is asked holds its root", async () => {
  const { catalog, points, epochsOf, snapshot, onPins } = await bench(2);
  onPins(() => catalog.addSnapshots([snapshot(0, 1, "completed")], []));
  await points.thin();
  assert.deepEqual([0, 1].map(epochsOf), [[1, 3], [3]]);
  await catalog.close();
});

test("a root that comes while the bucket is asked is not looked at", async () => {
  const { catalog, points, epochsOf, there, onPins } = await bench(1);
  const [id] = there.keys();
  onPins(async () => {
    const roots = there.get(id as VolumeId) ?? [];
    const late = { ...(roots[0] as StoredRoot), rootKey: "late", epoch: 9 };
    there.set(id as VolumeId, [late, ...roots]);
  });
  await points.thin();
  assert.deepEqual(epochsOf(0), [9, 3]);
  await catalog.close();
});
