import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { type SnapshotSearch, searchSnapshots } from "./snapshot-search.ts";
import type { SnapshotView } from "./snapshots.ts";

function view(i: number, more: Partial<SnapshotRow> = {}, tags: SnapshotView["tags"] = []): SnapshotView {
  const row: SnapshotRow = {
    ...PLAIN_SNAPSHOT,
    id: `snap-${String(i).padStart(17, "0")}` as SnapshotId,
    volume_id: "vol-00000000000000001" as VolumeId,
    volume_arn: "",
    epoch: i,
    state: "completed",
    reason: null,
    description: `number ${i}`,
    volume_size_bytes: 1,
    started_at: 1000 * i,
    completed_at: null,
    root_key: null,
    full_bytes: 0,
    deleted: 0,
    ...more,
  };
  return { row, tags, progressPercent: 100 };
}

const NEWEST_FIRST: SnapshotSearch = { orderBy: "StartTime", isAscending: false, offset: 0, limit: 10 };
const epochs = (found: { page: readonly SnapshotView[] }) => found.page.map(({ row }) => row.epoch);

describe("searchSnapshots", () => {
  const all = [
    view(1, { description: "Before the Upgrade", state: "error" }),
    view(2, { volume_id: "vol-0000000000000000a" as VolumeId, full_bytes: 5 }),
    view(3, {}, [{ key: "owner", value: "Ops" }]),
    view(4, { state: "pending", full_bytes: 9 }),
  ];

  test("newest first, in pages that don't overlap, with the number of all", () => {
    const first = searchSnapshots(all, { ...NEWEST_FIRST, limit: 3 });
    const second = searchSnapshots(all, { ...NEWEST_FIRST, offset: 3, limit: 3 });
    assert.deepEqual([epochs(first), epochs(second)], [[4, 3, 2], [1]]);
    assert.deepEqual([first.total, second.total], [4, 4]);
  });

  test("words in descriptions, ids and tags, in any case; all have to be there", () => {
    const find = (text: string) => epochs(searchSnapshots(all, { ...NEWEST_FIRST, text }));
    assert.deepEqual(find("upgrade BEFORE"), [1]);
    assert.deepEqual(find("upgrade after"), []);
    assert.deepEqual(find("owner=ops"), [3]);
    assert.deepEqual(find("snap-00000000000000002"), [2]);
    assert.deepEqual(find("  "), [4, 3, 2, 1]);
  });

  test("by state and by volume, whatever its spelling", () => {
    assert.deepEqual(epochs(searchSnapshots(all, { ...NEWEST_FIRST, states: ["pending", "error"] })), [4, 1]);
    assert.deepEqual(
      epochs(searchSnapshots(all, { ...NEWEST_FIRST, volumeId: "VOL-0000000000000000A" })),
      [2],
    );
  });

  test("in other orders; equal ones by time", () => {
    const order = (orderBy: SnapshotSearch["orderBy"], isAscending: boolean) =>
      epochs(searchSnapshots(all, { ...NEWEST_FIRST, orderBy, isAscending }));
    assert.deepEqual(order("FullSize", false), [4, 2, 3, 1]);
    assert.deepEqual(order("State", true), [2, 3, 1, 4]);
    assert.deepEqual(order("VolumeSize", true), [1, 2, 3, 4]);
    assert.deepEqual(order("Description", true), [1, 2, 3, 4]);
  });

  test("the page around one, in whatever order", () => {
    const around = (id: number, limit: number) =>
      epochs(
        searchSnapshots(all, { ...NEWEST_FIRST, around: `snap-${String(id).padStart(17, "0")}`, limit }),
      );
    assert.deepEqual(around(2, 3), [3, 2, 1]);
    assert.deepEqual(around(4, 3), [4, 3, 2]);
    assert.deepEqual(around(9, 2), [4, 3]);
  });
});
