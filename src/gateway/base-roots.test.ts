import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { VolumeRow } from "../catalog/schema.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { RecoveryPointStore, StoredRoot, VolumeHost, VolumeReport } from "./ports.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import type { Snapshots } from "./snapshots.ts";
import { parseThinningRule } from "./thinning.ts";

const VOLUME = "vol-00000000000000001" as VolumeId;
const DAY_MS = 86_400_000;

/** A volume with four roots in the bucket, of which only the newest is young; it has heard of three. */
function bench(report: Partial<VolumeReport>, volumes: readonly Partial<VolumeRow>[], own: VolumeId[] = []) {
  const clock = new ManualClock();
  let roots = [1, 2, 3, 4].map(
    (epoch): StoredRoot => ({
      ...{ rootKey: `r${epoch}`, generation: 1, epoch, kind: "checkpoint", sizeBytes: 1, fullBytes: 1 },
      cutAtMs: clock.nowMs() - (epoch === 4 ? 0 : 90 * DAY_MS - epoch),
    }),
  );
  const store: RecoveryPointStore = {
    listRoots: async () => roots,
    deleteRoots: async (_, keys) => {
      roots = roots.filter(({ rootKey }) => !keys.includes(rootKey));
    },
    listPins: async () => [],
    listOwnVolumes: async () => own,
  };
  const catalog = {
    volumes: async () => volumes,
    volume: async () => volumes[0],
    snapshotRoots: async () => new Set(),
    pendingSnapshots: async () => [],
    started: { unended: async () => [] },
  } as unknown as Catalog;
  const problems: unknown[] = [];
  const points = new RecoveryPoints({
    ...{ catalog, clock, roots: store, rule: parseThinningRule("1h"), snapshots: {} as Snapshots },
    host: { report: async () => report } as unknown as Pick<VolumeHost, "report">,
    onProblem: (_, error) => problems.push(error),
  });
  return {
    points,
    left: () => {
      assert.deepEqual(problems, []);
      return roots.map(({ rootKey }) => rootKey);
    },
  };
}

const attached = { id: VOLUME, attachment: "attached", parent_root_key: null } as const;
const open = {
  status: "AVAILABLE",
  recoveryPoint: { rootKey: "r3", cutAtMs: 0, fullBytes: 1 },
} as const;
const closed = { status: "IRRECOVERABLE" } as const;

describe("recovery points that nothing needs", () => {
  test("the root that a volume stands on is not one, though the bucket has a newer one", async () => {
    const { points, left } = bench(open, [attached]);
    await points.thin();
    assert.deepEqual(left(), ["r3", "r4"]);
    await points.dropUnnamed(VOLUME, "r3");
    assert.deepEqual(left(), ["r3", "r4"]);
  });

  test("of a volume that is not open nobody knows which they are", async () => {
    const { points, left } = bench(closed, [attached]);
    await points.thin();
    await points.dropUnnamed(VOLUME, "r2");
    assert.deepEqual(left(), ["r1", "r2", "r3", "r4"]);
  });

  test("those of a detached volume and of one that is gone are told by what is pinned", async () => {
    const detached = bench(closed, [{ id: VOLUME, attachment: "detached", parent_root_key: "r2" }]);
    await detached.points.thin();
    assert.deepEqual(detached.left(), ["r2", "r4"]);
    const gone = bench(closed, [], [VOLUME]);
    await gone.points.dropUnnamed(VOLUME, "r2");
    assert.deepEqual(gone.left(), ["r1", "r3", "r4"]);
  });

  test("those of another gateway's volume are left to that one", async () => {
    const { points, left } = bench(closed, []);
    await points.dropUnnamed(VOLUME, "r2");
    assert.deepEqual(left(), ["r1", "r2", "r3", "r4"]);
  });
});
