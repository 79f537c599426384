import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow } from "../catalog/schema.ts";
import { GatewayError } from "./errors.ts";
import { checkLock } from "./lock-check.ts";
import { lockOver, type WantedLock } from "./snapshot-locks.ts";
import { isLocked, lockState, marksOf, rowOfMarks } from "./snapshot-marks.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = 1_700_000_000_000;
const plain = { ...PLAIN_SNAPSHOT } as unknown as SnapshotRow;
const locked = (wanted: WantedLock, row = plain, nowMs = START_MS) => ({
  ...row,
  ...lockOver(row, wanted, nowMs),
});
const refused = (call: () => unknown, code: string) =>
  assert.throws(call, (error) => error instanceof GatewayError && error.code === code);

test("a lock holds to the last millisecond, and then no longer", () => {
  const row = locked({ mode: "governance", days: 3 });
  assert.equal(lockState(plain, START_MS), undefined);
  assert.equal(lockState(row, START_MS + 3 * DAY_MS - 1), "governance");
  assert.equal(isLocked(row, START_MS + 3 * DAY_MS - 1), true);
  assert.equal(lockState(row, START_MS + 3 * DAY_MS), "expired");
  assert.equal(isLocked(row, START_MS + 3 * DAY_MS), false);
  // One that has expired is as good as none.
  assert.equal(locked({ mode: "governance", days: 1 }, row, START_MS + 3 * DAY_MS).lock_days, 1);
});

test("governance can be changed in every way; compliance only until it has cooled off, then it only grows", () => {
  const governance = locked({ mode: "governance", days: 9 });
  assert.equal(locked({ mode: "governance", days: 1 }, governance).lock_until, START_MS + DAY_MS);
  const cooling = locked({ mode: "compliance", days: 9, coolOffHours: 2 }, governance);
  assert.equal(lockState(cooling, START_MS), "compliance-cooloff");
  assert.equal(locked({ mode: "governance", days: 1 }, cooling).lock_mode, "governance");
  const later = START_MS + 2 * HOUR_MS;
  assert.equal(lockState(cooling, later), "compliance");
  refused(() => locked({ mode: "governance", days: 99 }, cooling, later), "SnapshotLocked");
  refused(() => locked({ mode: "compliance", days: 8 }, cooling, later), "SnapshotLocked");
  refused(() => locked({ mode: "compliance", days: 99, coolOffHours: 1 }, cooling, later), "SnapshotLocked");
  assert.equal(lockState(locked({ mode: "compliance", days: 10 }, cooling, later), later), "compliance");
  refused(() => locked({ mode: "governance", untilMs: START_MS }), "InvalidParameters");
});

test("marks go into the bucket and come back as they were; what there is nothing to tell of takes no room", () => {
  assert.deepEqual(marksOf(plain), {});
  const marked = {
    ...locked({ mode: "compliance", days: 9, coolOffHours: 2 }),
    lineage_id: "vol-00000000000000001" as SnapshotRow["lineage_id"],
    shared_with: '["111111111111"]',
    policy_id: "policy-1",
    policy_schedule: "daily",
  };
  const back = rowOfMarks(JSON.parse(JSON.stringify(marksOf(marked).marks)));
  assert.deepEqual({ ...plain, ...back }, { ...plain, ...marked });
  assert.deepEqual({ ...plain, ...rowOfMarks(undefined) }, plain);
});

test("a lock that another gateway has put into the bucket holds here too; a damaged record locks nothing", async () => {
  const row = { ...plain, id: "snap-1", state: "completed" } as unknown as SnapshotRow;
  const changes: object[] = [];
  const check = (snapshot: () => Promise<unknown>) =>
    checkLock(row, {
      catalog: { updateSnapshot: async (_: string, change: object) => void changes.push(change) } as never,
      store: { snapshot } as never,
      clock: new ManualClock(START_MS),
    });
  await check(async () => undefined);
  await check(async () => ({
    marks: marksOf(locked({ mode: "governance", days: 1 }, plain, START_MS - 2 * DAY_MS)).marks,
  }));
  await check(() => Promise.reject(Object.assign(new Error("rotten"), { kind: "corrupt" })));
  await assert.rejects(
    check(() => Promise.reject(Object.assign(new Error("no"), { kind: "unavailable" }))),
    /no/,
  );
  assert.deepEqual(changes, []);
  const { marks } = marksOf(locked({ mode: "compliance", days: 1 }));
  await assert.rejects(
    check(async () => ({ marks })),
    { code: "SnapshotLocked" },
  );
  assert.deepEqual(changes, [rowOfMarks(marks)]);
});
