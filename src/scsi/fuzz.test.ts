/** Any bytes as a CDB, any bytes as a parameter list: a status, with sense data where there has to be some, no more. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { MemoryStore, type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import type { Clock } from "../platform/clock.ts";
import { TRANSFER_BYTES_MAX } from "./command.ts";
import { COMMAND_TRAITS } from "./command-table.ts";
import { SENSE, STATUS } from "./sense.ts";

const SIZE_BYTES = 256 * 1024;
const RUNS = Number(process.env.SLUICEGATE_FUZZ_RUNS ?? 40_000);
const STATUSES: ReadonlySet<number> = new Set(Object.values(STATUS));

/** Waiting takes no time: a SANITIZE lasts as long as its writes. */
const hurried: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  after: (_, callback) => {
    const soon = setImmediate(callback);
    return () => clearImmediate(soon);
  },
};

/** CDBs of commands that there are, with the bits that they look at; and any bytes. */
const cdbs = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...COMMAND_TRAITS),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.boolean(),
      )
      .map(([traits, noise, isSparse]) => {
        const usage = Buffer.from(traits.usage.replaceAll(" ", ""), "hex");
        const cdb = Buffer.alloc(16);
        // Small numbers in most fields: otherwise hardly a range would ever be one of the unit's.
        for (let i = 0; i < usage.length; i++) cdb[i] = usage[i]! & (isSparse ? noise[i]! & 0x03 : noise[i]!);
        cdb[0] = traits.opcode;
        if (traits.serviceAction !== undefined) cdb[1] = (cdb[1]! & 0xe0) | traits.serviceAction;
        return cdb;
      }),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  },
);

/** Data-Out: nothing, whole blocks, or a parameter list whose numbers are small. */
const dataOuts = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.integer({ min: 1, max: 8 }).map((blocks) => Buffer.alloc(512 * blocks, blocks)),
  fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes.map((byte) => byte & 0x1d))),
);

function check(cdb: Buffer, { status, sense, data }: Awaited<ReturnType<TestSession["send"]>>): void {
  const what = cdb.toString("hex");
  assert(STATUSES.has(status), what);
  assert.equal(sense !== undefined, status === STATUS.checkCondition, what);
  assert.notDeepEqual(sense, SENSE.internalTargetFailure, `${what}: a fault of our own`);
  assert(data.length <= TRANSFER_BYTES_MAX, what);
}

describe("any bytes are answered", () => {
  for (const inline of [true, false]) {
    test(inline ? "by a device that is quick" : "by a device that takes its time", async () => {
      const commands = fc.array(fc.tuple(cdbs, dataOuts, fc.boolean()), { minLength: 1, maxLength: 12 });
      const property = fc.asyncProperty(commands, fc.constantFrom(512, 4096), async (list, blockBytes) => {
        const device = new MemoryDevice(SIZE_BYTES, blockBytes);
        device.inline = inline;
        const unit = new TestUnit(device, new MemoryStore(), hurried);
        const sessions = [unit.login(1), unit.login(2)];
        for (const [cdb, dataOut, second] of list) {
          // A copy, as the target gives one: a command may change it.
          const session = sessions[second ? 1 : 0];
          check(cdb, await session!.send(cdb, Buffer.from(dataOut)));
        }
        assert.equal(device.content.length, SIZE_BYTES);
        // Whatever was stored can be loaded again.
        assert(unit.unit.locks.isFree || unit.unit.sanitizer.isActive);
      });
      await fc.assert(property, { numRuns: Math.ceil(RUNS / 12) });
    });
  }

  test("what the unit has stored of it can be loaded again", async () => {
    const isChange = ({ opcode }: { opcode: number }) => opcode === 0x5f || opcode === 0x48;
    const changes = COMMAND_TRAITS.filter(isChange);
    const list = fc.uint8Array({ minLength: 24, maxLength: 24 }).map((bytes) => {
      const parameters = Buffer.from(bytes.map((byte) => byte & 0x01));
      parameters[20] = 0x01;
      return parameters;
    });
    const command = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: 0, max: 8 }), list);
    const property = fc.asyncProperty(
      fc.array(command, { minLength: 1, maxLength: 10 }),
      async (commands) => {
        const store = new MemoryStore();
        const device = new MemoryDevice(SIZE_BYTES);
        const unit = new TestUnit(device, store, hurried);
        const session = unit.login(1);
        for (const [{ opcode, serviceAction }, type, parameters] of commands) {
          const cdb = Buffer.from([opcode, serviceAction ?? 0, type, 0, 0, 0, 0, 0, 24, 0]);
          check(cdb, await session.send(cdb, Buffer.from(parameters)));
        }
        const again = new TestUnit(device, store, hurried);
        if (unit.unit.reservations.aptpl) {
          assert.deepEqual(again.unit.reservations, unit.unit.reservations);
        }
      },
    );
    await fc.assert(property, { numRuns: Math.ceil(RUNS / 20) });
  });

  test("ranges beyond the end, and lengths beyond every limit, are refused before anything is done", async () => {
    const device = new MemoryDevice(SIZE_BYTES);
    const session = new TestUnit(device, undefined, hurried).login(1);
    const blocks = SIZE_BYTES / 512;
    for (const { opcode, usage, name } of COMMAND_TRAITS) {
      const isRange16 =
        usage.split(" ").length === 16 && usage.includes("ff ff ff ff ff ff ff ff ff ff ff ff");
      if (!isRange16 || opcode === 0x9e) continue;
      for (const [lba, length] of [
        [0n, 0xffff_ffff],
        [BigInt(blocks), 1],
        [BigInt(blocks - 1), 2],
        [(1n << 64n) - 1n, 1],
        [(1n << 63n) + 5n, 0],
        [BigInt(blocks) + 1n, 0],
      ] as const) {
        const cdb = Buffer.alloc(16);
        cdb.writeUInt8(opcode, 0);
        cdb.writeBigUInt64BE(lba, 2);
        cdb.writeUInt32BE(length, 10);
        const { status, sense } = await session.send(cdb, Buffer.alloc(512, 1));
        const isFlush = name.startsWith("SYNCHRONIZE CACHE") && lba === 0n;
        const isBoundary = name.startsWith("SYNCHRONIZE") && lba < BigInt(blocks);
        if (isFlush || isBoundary) continue;
        assert.equal(status, STATUS.checkCondition, `${name} ${lba} ${length}`);
        assert.equal(sense?.key, 5, `${name} ${lba} ${length}`);
      }
    }
    assert(device.content.every((byte) => byte === 0));
  });
});
