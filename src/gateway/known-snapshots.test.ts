import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { Catalog } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import type { SnapshotId, VolumeId } from "../platform/ids.ts";
import { KnownSnapshots } from "./known-snapshots.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-known-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const idOf = (n: number) => `snap-${String(n).padStart(17, "0")}` as SnapshotId;

function rowOf(n: number): SnapshotRow {
  return {
    ...PLAIN_SNAPSHOT,
    id: idOf(n),
    volume_id: "vol-00000000000000001" as VolumeId,
    volume_arn: "arn",
    epoch: n,
    state: "completed",
    reason: null,
    description: "",
    volume_size_bytes: 0,
    started_at: n,
    completed_at: n,
    root_key: "r",
    full_bytes: 0,
    deleted: 0,
  };
}

test("is what the catalog holds, whatever has changed since the last look", async () => {
  const catalog = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
  const known = new KnownSnapshots(catalog);
  const random = new SeededRandom(3);
  const draw = (below: number) => random.bytes(4).readUInt32BE() % below;
  const there = new Set<number>();
  let next = 0;
  const add = async (count: number) => {
    const numbers = Array.from({ length: count }, () => next++);
    await catalog.addSnapshots(numbers.map(rowOf), [{ key: "a", value: String(count) }]);
    for (const n of numbers) there.add(n);
  };
  const actions: ((n: number) => Promise<void>)[] = [
    () => add(1),
    (n) => catalog.updateSnapshot(idOf(n), { description: `changed ${draw(1000)}` }),
    (n) => catalog.tags.put(idOf(n), [{ key: "b", value: String(draw(1000)) }]),
    (n) => catalog.tags.remove(idOf(n), ["a"]),
    async (n) => {
      await catalog.removeSnapshot(idOf(n));
      there.delete(n);
    },
    async (n) => {
      await catalog.updateSnapshot(idOf(n), { deleted: 1 });
      there.delete(n);
    },
  ];
  await add(600);
  for (let round = 0; round < 60; round++) {
    for (let i = draw(6); i >= 0; i--) {
      const all = [...there];
      await actions[draw(actions.length)]?.(all[draw(all.length)] ?? 0);
    }
    if (round === 30) await add(600);
    const [rows, fresh] = [await catalog.snapshots(), new Map<string, object[]>()];
    for (const { resource_id, key, value } of await catalog.tags.ofAll("snap-"))
      fresh.set(resource_id, [...(fresh.get(resource_id) ?? []), { key, value }]);
    const expected = rows.map((row) => ({
      row: { ...row },
      tags: fresh.get(row.id) ?? [],
      progressPercent: 100,
    }));
    const { all: listed, pending } = await known.list();
    assert.deepEqual(listed, expected);
    assert.deepEqual(
      [...pending].sort(),
      rows.filter(({ state }) => state === "pending").map(({ id }) => id),
    );
    const completed = rows.filter(({ state }) => state === "completed");
    assert.deepEqual(await known.completed(), {
      count: completed.length,
      fullBytes: completed.reduce((sum, { full_bytes }) => sum + full_bytes, 0),
    });
    for (const volumeId of new Set(rows.map(({ volume_id }) => volume_id))) {
      const own = expected.filter(({ row }) => row.volume_id === volumeId);
      assert.deepEqual(await known.ofVolumes([volumeId, volumeId]), own);
    }
    const some = rows.filter((_, i) => i % 7 === 0).map(({ id }) => id);
    const found = await known.of([...some, "snap-none"].reverse());
    assert.deepEqual(
      found.map(({ row }) => row.id),
      some.reverse(),
    );
  }
  await catalog.close();
});
