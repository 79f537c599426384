import { strict as assert } from "node:assert";
import { test } from "node:test";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import { oldestKeptMs, type PolicySchedule, retire, tagsFor, timesOf } from "./policy-rules.ts";

const DAY_MS = 24 * 3_600_000;
const NOW_MS = Date.UTC(2026, 2, 31, 12);
let made = 0;

function snapshot(daysOld: number, more: Partial<SnapshotRow> = {}): SnapshotRow {
  made += 1;
  return {
    ...PLAIN_SNAPSHOT,
    id: `snap-${String(made).padStart(17, "0")}`,
    volume_id: "vol-00000000000000001",
    state: "completed",
    started_at: NOW_MS - daysOld * DAY_MS,
    ...more,
  } as SnapshotRow;
}

const ids = (rows: readonly { readonly row: SnapshotRow }[]) => rows.map(({ row }) => row.id);

test("by count: the newest of each volume stay, and only completed ones count", () => {
  const rows = [snapshot(1), snapshot(2), snapshot(3), snapshot(4)];
  const other = snapshot(9, { volume_id: "vol-00000000000000002" as SnapshotRow["volume_id"] });
  const pending = snapshot(0, { state: "pending" });
  const gone = retire({ count: 2 }, [other, pending, ...rows], NOW_MS);
  assert.deepEqual(ids(gone), [rows[3]?.id, rows[2]?.id]);
  assert.deepEqual(ids(retire({ count: 4 }, rows, NOW_MS)), []);
});

test("by age: what is older goes, but never the newest completed one", () => {
  const rows = [snapshot(6), snapshot(7), snapshot(8)];
  assert.deepEqual(ids(retire({ age: 1, unit: "WEEKS" }, rows, NOW_MS)), [rows[2]?.id]);
  assert.deepEqual(ids(retire({ age: 1, unit: "DAYS" }, rows, NOW_MS)), [rows[2]?.id, rows[1]?.id]);
});

test("a locked one is named and spared; a failed one goes when a newer one is there", () => {
  const locked = snapshot(5, { lock_mode: "governance", lock_until: NOW_MS + 1 });
  const expired = snapshot(6, { lock_mode: "compliance", lock_until: NOW_MS });
  const failed = snapshot(3, { state: "error" });
  const newestFailed = snapshot(0, { state: "error" });
  const gone = retire({ count: 1 }, [snapshot(1), locked, expired, failed, newestFailed], NOW_MS);
  assert.deepEqual(
    gone.map(({ row, isLocked }) => [row.id, isLocked]),
    [
      [expired.id, false],
      [locked.id, true],
      [failed.id, false],
    ],
  );
});

test("months and years are the calendar's", () => {
  const at = (age: number, unit: "MONTHS" | "YEARS", nowMs = NOW_MS) =>
    new Date(oldestKeptMs({ age, unit }, nowMs)).toISOString();
  assert.equal(at(1, "MONTHS"), "2026-02-28T12:00:00.000Z");
  assert.equal(at(3, "MONTHS"), "2025-12-31T12:00:00.000Z");
  assert.equal(at(1, "YEARS", Date.UTC(2024, 1, 29)), "2023-02-28T00:00:00.000Z");
});

test("times: every so many hours from a minute of the day on, or by cron", () => {
  const next = (when: Parameters<typeof timesOf>[0], afterMs: number) =>
    new Date(timesOf(when, NOW_MS).nextAfter(afterMs) ?? 0).toISOString().slice(0, 16);
  const every = { everyHours: 8, startMinute: 9 * 60 + 30 };
  assert.equal(next(every, NOW_MS), "2026-03-31T17:30");
  assert.equal(next(every, Date.UTC(2026, 2, 31, 17, 30)), "2026-04-01T01:30");
  assert.equal(next({ everyHours: 24, startMinute: 0 }, NOW_MS), "2026-04-01T00:00");
  assert.equal(next({ cron: "cron(15 6 ? * MON *)" }, NOW_MS), "2026-04-06T06:15");
});

test("tags: the schedule's own win over the volume's, variables are filled in", () => {
  const schedule: PolicySchedule = {
    name: "daily",
    when: { everyHours: 24, startMinute: 0 },
    keep: { count: 1 },
    copyTags: true,
    tags: [{ key: "made-by", value: "policy" }],
    variableTags: [{ key: "of", value: "$(volume-id) on $(instance-id) at $(timestamp)" }],
    sharedWith: [],
  };
  const volume = {
    id: "vol-1",
    instanceId: "i-1",
    tags: [
      { key: "made-by", value: "hand" },
      { key: "team", value: "db" },
    ],
  };
  assert.deepEqual(
    Object.fromEntries(tagsFor("policy-1", schedule, volume, 0).map((t) => [t.key, t.value])),
    {
      "made-by": "policy",
      team: "db",
      of: "vol-1 on i-1 at 1970-01-01T00:00:00.000Z",
      "aws:dlm:lifecycle-policy-id": "policy-1",
      "aws:dlm:lifecycle-schedule-name": "daily",
      "dlm:managed": "true",
    },
  );
  const plain = tagsFor("policy-1", { ...schedule, copyTags: false }, volume, 0);
  assert(!plain.some(({ key }) => key === "team"));
});
