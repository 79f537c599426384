/** Which commands a persistent reservation of another forbids: SPC-4, table 65, and SBC-4, table 13, row by row. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import { COMMAND_TRAITS } from "./command-table.ts";
import { STATUS } from "./sense.ts";
import { encodeTransportId } from "./transport-id.ts";

const PR_OUT = 0x5f;
const MOVE = 7;
/** Carried out whatever is reserved; MODE SENSE among them, so that its writer learns of the write cache. */
const ALWAYS = new Set([
  "TEST UNIT READY",
  "REQUEST SENSE",
  "INQUIRY",
  "MODE SENSE(6)",
  "MODE SENSE(10)",
  "LOG SENSE",
  "READ CAPACITY(10)",
  "READ CAPACITY(16)",
  "PERSISTENT RESERVE IN, READ KEYS",
  "PERSISTENT RESERVE IN, READ RESERVATION",
  "PERSISTENT RESERVE IN, REPORT CAPABILITIES",
  "PERSISTENT RESERVE IN, READ FULL STATUS",
  "RECEIVE COPY STATUS(LID1)",
  "RECEIVE COPY OPERATING PARAMETERS",
  "REPORT LUNS",
  "REPORT TARGET PORT GROUPS",
]);
/** Carried out where only writes are reserved. */
const READING = new Set([
  "READ(6)",
  "READ(10)",
  "READ(12)",
  "READ(16)",
  "PRE-FETCH(10)",
  "PRE-FETCH(16)",
  "VERIFY(10)",
  "VERIFY(12)",
  "VERIFY(16)",
  "GET LBA STATUS",
  "READ DEFECT DATA(10)",
  "READ DEFECT DATA(12)",
  "REPORT SUPPORTED OPERATION CODES",
  "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
]);
/** These have rules of their own: RESERVE(6) and RELEASE(6) by SPC-2, the others by a field of the CDB. */
const BY_THEMSELVES = new Set([
  "RESERVE(6)",
  "RELEASE(6)",
  "START STOP UNIT",
  "PREVENT ALLOW MEDIUM REMOVAL",
]);

async function reserveOut(session: TestSession, action: number, type: number, key: bigint, newKey: bigint) {
  const basic = Buffer.alloc(24);
  basic.writeBigUInt64BE(key, 0);
  basic.writeBigUInt64BE(newKey, 8);
  const moveTo =
    action === MOVE ? encodeTransportId("iqn.2026-01.test:else,i,0x000000000001") : Buffer.alloc(0);
  if (action === MOVE) {
    basic.writeUInt16BE(1, 18);
    basic.writeUInt32BE(moveTo.length, 20);
  }
  const list = Buffer.concat([basic, moveTo]);
  return (await session.send([PR_OUT, action, type, 0, 0, 0, 0, 0, list.length], list)).status;
}

/** A unit that the first of three sessions has reserved; the second is registered, too. */
async function reserved(type: number): Promise<[TestSession, TestSession, TestSession]> {
  const unit = new TestUnit(new MemoryDevice(65_536));
  const sessions: [TestSession, TestSession, TestSession] = [unit.login(1), unit.login(2), unit.login(3)];
  assert.equal(await reserveOut(sessions[0], 0, 0, 0n, 1n), 0);
  assert.equal(await reserveOut(sessions[1], 0, 0, 0n, 2n), 0);
  assert.equal(await reserveOut(sessions[0], 1, type, 1n, 0n), 0);
  return sessions;
}

describe("commands that a persistent reservation forbids", () => {
  for (const type of [1, 3, 5, 6, 7, 8]) {
    test(`type ${type}`, async () => {
      const [holder, registered, stranger] = await reserved(type);
      const isWriteExclusive = type % 2 === 1 && type !== 3;
      for (const { name, opcode, serviceAction } of COMMAND_TRAITS) {
        if (opcode === PR_OUT || BY_THEMSELVES.has(name)) continue;
        const cdb = [opcode, serviceAction ?? 0];
        const isAllowed = ALWAYS.has(name) || (READING.has(name) && isWriteExclusive);
        const isConflict = async (session: TestSession) =>
          (await session.send(cdb)).status === STATUS.reservationConflict;
        assert.equal(await isConflict(stranger), !isAllowed, `${name}, not registered`);
        assert.equal(await isConflict(registered), !isAllowed && type < 5, `${name}, registered`);
        // One that succeeded would go on for long.
        if (opcode !== 0x48) assert.equal(await isConflict(holder), false, `${name}, holder`);
      }
    });

    test(`type ${type}: those that go by a field of the CDB, and those of SPC-2`, async () => {
      const [holder, registered, stranger] = await reserved(type);
      const status = async (session: TestSession, ...cdb: number[]) => (await session.send(cdb)).status;
      const conflict = STATUS.reservationConflict;
      const shut = type < 5 ? conflict : 0;
      for (const [session, expected] of [
        [holder, 0],
        [registered, shut],
        [stranger, conflict],
      ] as const) {
        assert.equal(await status(session, 0x1b, 0, 0, 0, 0x01), 0, "START STOP UNIT, start");
        assert.equal(await status(session, 0x1b, 0, 0, 0, 0x00), expected, "START STOP UNIT, stop");
        assert.equal(
          await status(session, 0x1b, 0, 0, 0, 0x31),
          expected,
          "START STOP UNIT, power condition",
        );
        assert.equal(await status(session, 0x1e, 0, 0, 0, 0), 0, "PREVENT ALLOW, allow");
        assert.equal(await status(session, 0x1e, 0, 0, 0, 1), expected, "PREVENT ALLOW, prevent");
        assert.equal(await status(session, 0x16), expected, "RESERVE(6)");
        assert.equal(await status(session, 0x17), expected, "RELEASE(6)");
      }
    });

    test(`type ${type}: PERSISTENT RESERVE OUT (SPC-4, table 66)`, async () => {
      const conflict = STATUS.reservationConflict;
      const isAll = type >= 7;
      /** Action, its status for one that is registered, and for one that is not. */
      const rows: readonly [number, number, number][] = [
        [0, 0, 0],
        [1, isAll ? 0 : conflict, conflict],
        [2, 0, conflict],
        [3, 0, conflict],
        [4, 0, conflict],
        [5, 0, conflict],
        [6, 0, 0],
        [MOVE, conflict, conflict],
      ];
      for (const [action, ofRegistered, ofStranger] of rows) {
        const [, registered, stranger] = await reserved(type);
        assert.equal(await reserveOut(registered, action, type, 2n, 2n), ofRegistered, `action ${action}`);
        const key = action === 0 ? 0n : 9n;
        assert.equal(await reserveOut(stranger, action, type, key, 2n), ofStranger, `action ${action}`);
      }
    });
  }
});
