/** What the unit says of itself, on every page, is one story, and it keeps to it: 512-byte blocks, and 4Kn. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import { COMMAND_TRAITS } from "./command-table.ts";
import { SENSE } from "./sense.ts";

const SIZE_BYTES = 64 * 1024 * 1024;

/** One VPD page, its head checked and cut off. */
async function vpd(session: TestSession, code: number): Promise<Buffer> {
  const { status, data } = await session.send([0x12, 1, code, 4, 0]);
  assert.equal(status, 0, `page ${code.toString(16)}`);
  assert.equal(data.readUInt8(0), 0);
  assert.equal(data.readUInt8(1), code);
  assert.equal(data.readUInt16BE(2), data.length - 4);
  return data.subarray(4);
}

/** What REPORT SUPPORTED OPERATION CODES says of one command: its usage map, or undefined. */
async function supported(session: TestSession, opcode: number, action?: number): Promise<Buffer | undefined> {
  const cdb = [0xa3, 0x0c, action === undefined ? 1 : 2, opcode, 0, action ?? 0, 0, 0, 1, 0];
  const { status, data } = await session.send(cdb);
  assert.equal(status, 0);
  return (data.readUInt8(1) & 7) === 3 ? data.subarray(4, 4 + data.readUInt16BE(2)) : undefined;
}

for (const blockBytes of [512, 4096]) {
  describe(`pages of a unit with blocks of ${blockBytes} bytes`, () => {
    const device = new MemoryDevice(SIZE_BYTES, blockBytes);
    const session = new TestUnit(device).login(1);

    test("page 00h lists exactly the pages that there are, in order", async () => {
      const listed = [...(await vpd(session, 0))];
      assert.deepEqual(
        listed,
        [...listed].sort((a, b) => a - b),
      );
      for (let code = 0; code < 256; code++) {
        const { status, sense } = await session.send([0x12, 1, code, 4, 0]);
        if (listed.includes(code)) await vpd(session, code);
        else assert.deepEqual([status, sense], [2, SENSE.invalidFieldInCdb], code.toString(16));
      }
    });

    test("an allocation length cuts off what is returned, and changes nothing in it", async () => {
      const answers: readonly [string, number[], number, number][] = [
        ["INQUIRY", [0x12, 0, 0], 3, 2],
        ["INQUIRY, 83h", [0x12, 1, 0x83], 3, 2],
        ["MODE SENSE(6)", [0x1a, 0, 0x3f], 4, 1],
        ["MODE SENSE(10)", [0x5a, 0x10, 0x3f, 0xff], 7, 2],
        ["LOG SENSE", [0x4d, 0, 0x40], 7, 2],
        ["READ CAPACITY(16)", [0x9e, 0x10], 10, 4],
        ["REPORT TARGET PORT GROUPS", [0xa3, 0x2a], 6, 4],
        ["REPORT SUPPORTED OPERATION CODES", [0xa3, 0x0c], 6, 4],
        ["REPORT SUPPORTED OPERATION CODES, one", [0xa3, 0x0c, 0x82, 0x9e, 0, 0x10], 6, 4],
        ["REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", [0xa3, 0x0d, 0x80], 6, 4],
        ["PERSISTENT RESERVE IN", [0x5e, 2], 7, 2],
        ["RECEIVE COPY OPERATING PARAMETERS", [0x84, 3], 10, 4],
        ["READ DEFECT DATA(10)", [0x37, 0, 0x1c], 7, 2],
        ["READ DEFECT DATA(12)", [0xb7, 0x1c], 6, 4],
        ["REQUEST SENSE", [0x03], 4, 1],
      ];
      for (const [name, first, at, bytes] of answers) {
        const send = async (length: number) => {
          const cdb = Buffer.alloc(16);
          Buffer.from(first).copy(cdb);
          cdb.writeUIntBE(length, at, bytes);
          const { status, data } = await session.send(cdb);
          assert.equal(status, 0, name);
          return data;
        };
        const whole = await send(2 ** (8 * bytes) - 1);
        assert(whole.length >= 4, name);
        for (const length of [0, 1, 3, whole.length - 1, whole.length, whole.length + 1]) {
          const data = await send(Math.min(length, 255));
          assert(data.equals(whole.subarray(0, Math.min(length, 255))), `${name}, ${length} bytes`);
        }
      }
    });

    test("block limits are kept to, to the block", async () => {
      const limits = await vpd(session, 0xb0);
      const transferMax = limits.readUInt32BE(4);
      const sameMax = Number(limits.readBigUInt64BE(32));
      const swapMax = limits.readUInt8(1);
      const atomicMax = limits.readUInt32BE(40);
      const prefetchMax = limits.readUInt32BE(12);
      assert.equal(limits.readUInt32BE(24) * blockBytes, 4096);
      const range = async (opcode: number, blocks: number, dataBytes = 0, lengthAt = 10, bytes = 4) => {
        const cdb = Buffer.alloc(16);
        cdb.writeUInt8(opcode, 0);
        cdb.writeUIntBE(blocks, lengthAt, bytes);
        const { status, sense } = await session.send(cdb, Buffer.alloc(dataBytes));
        return status === 0 ? 0 : sense;
      };
      const tooMuch = SENSE.invalidFieldInCdb;
      assert.equal(await range(0x88, transferMax), 0);
      assert.deepEqual(await range(0x88, transferMax + 1), tooMuch);
      assert.deepEqual(await range(0x8a, transferMax + 1), tooMuch);
      assert.equal(await range(0x93, sameMax, blockBytes), 0);
      assert.deepEqual(await range(0x93, sameMax + 1, blockBytes), tooMuch);
      // From here to the end of the unit is more than one command writes.
      assert.deepEqual(await range(0x93, 0, blockBytes), tooMuch);
      assert.equal(await range(0x89, swapMax, 2 * swapMax * blockBytes, 13, 1), 0);
      assert.equal(await range(0x9c, atomicMax, atomicMax * blockBytes, 12, 2), 0);
      assert.deepEqual(await range(0x9c, atomicMax + 1, (atomicMax + 1) * blockBytes, 12, 2), tooMuch);
      const bytes = SIZE_BYTES / blockBytes;
      assert.equal(await range(0x90, Math.min(prefetchMax, bytes)), 0);
    });

    test("READ CAPACITY and the block descriptor agree with each other and with the limits", async () => {
      const blocks = SIZE_BYTES / blockBytes;
      const { data: ten } = await session.send([0x25]);
      const { data: sixteen } = await session.send([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32]);
      assert.deepEqual([ten.readUInt32BE(0), ten.readUInt32BE(4)], [blocks - 1, blockBytes]);
      assert.deepEqual(
        [Number(sixteen.readBigUInt64BE(0)), sixteen.readUInt32BE(8)],
        [blocks - 1, blockBytes],
      );
      const physical = blockBytes << (sixteen.readUInt8(13) & 0x0f);
      assert.equal(physical, 4096);
      const { data: short } = await session.send([0x1a, 0, 0x08, 0, 255]);
      assert.deepEqual([short.readUInt32BE(4), short.readUIntBE(9, 3)], [blocks, blockBytes]);
      const { data: long } = await session.send([0x5a, 0x10, 0x08, 0, 0, 0, 0, 1, 0]);
      assert.equal(long.readUInt8(4) & 1, 1, "LONGLBA");
      assert.deepEqual([Number(long.readBigUInt64BE(8)), long.readUInt32BE(20)], [blocks, blockBytes]);
      // Told back as it is, either form is taken; with nothing changed nobody is told.
      for (const [cdb, list] of [
        [[0x15, 0x10, 0, 0, short.length], short],
        [[0x55, 0x10, 0, 0, 0, 0, 0, 0, long.length], long],
      ] as const) {
        list.fill(0, 0, cdb[0] === 0x15 ? 1 : 2);
        assert.equal((await session.send(cdb, list)).status, 0);
      }
      const provisioning = await vpd(session, 0xb2);
      assert.equal(provisioning.readUInt8(1) >> 5, 7, "UNMAP, WRITE SAME(16) and (10)");
      assert.equal((provisioning.readUInt8(1) >> 2) & 1, (sixteen.readUInt8(14) >> 6) & 1, "LBPRZ");
    });

    test("commands that pages promise are in the table, and those that are not, are not", async () => {
      const copies = await vpd(session, 0x8f);
      assert.equal(copies.readUInt16BE(0), 1);
      for (let at = 5, end = 5 + copies.readUInt8(4); at < end; at += 2 + copies.readUInt8(at + 1)) {
        for (const action of copies.subarray(at + 2, at + 2 + copies.readUInt8(at + 1))) {
          assert(await supported(session, copies.readUInt8(at), action), "a service action of page 8Fh");
        }
      }
      const types: number[] = [];
      for (let at = 0; at < copies.length; at += 4 + copies.readUInt16BE(at + 2)) {
        types.push(copies.readUInt16BE(at));
        assert.equal(copies.readUInt16BE(at + 2) % 4, 0);
      }
      // All that SPC-4, 7.8.17.3, asks of who supports EXTENDED COPY; none of what makes Windows try ODX.
      assert.deepEqual(types, [0x0001, 0x0004, 0x0008, 0x000c, 0x8001]);
      const { data: parameters } = await session.send([0x84, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
      assert.equal(1 << parameters.readUInt8(37), blockBytes);
      assert.equal(await supported(session, 0x83, 0x10), undefined, "POPULATE TOKEN");
      for (const opcode of [0x04, 0x3b, 0x3c, 0x3e, 0x3f, 0x4c, 0xa2, 0xb5, 0x07, 0x1c]) {
        assert.equal(await supported(session, opcode), undefined, opcode.toString(16));
        assert.deepEqual((await session.send([opcode])).sense, SENSE.invalidCommandOperationCode);
      }
    });

    test("the table of commands: each is known one by one as it is listed, with what it looks at", async () => {
      const { data } = await session.send([0xa3, 0x0c, 0x80, 0, 0, 0, 0, 1, 0, 0]);
      assert.equal(data.readUInt32BE(0), data.length - 4);
      let listed = 0;
      for (let at = 4; at < data.length; at += 20, listed++) {
        const flags = data.readUInt8(at + 5);
        assert.equal(flags & 2, 2, "CTDP");
        assert.equal(data.readUInt16BE(at + 8), 10);
        const action = (flags & 1) !== 0 ? data.readUInt16BE(at + 2) : undefined;
        const usage = await supported(session, data.readUInt8(at), action);
        assert.equal(usage?.length, data.readUInt16BE(at + 6));
        assert.equal((usage?.at(-1) ?? 0) & 0x04, 0x04, "NACA");
      }
      assert.equal(listed, COMMAND_TRAITS.length);
      // Every opcode that is not listed is refused as such, and only those.
      const known = new Set(COMMAND_TRAITS.map(({ opcode }) => opcode));
      for (let opcode = 0; opcode < 256; opcode++) {
        if (known.has(opcode)) continue;
        assert.deepEqual((await session.send([opcode])).sense, SENSE.invalidCommandOperationCode);
      }
    });

    test("reserved bits, which no usage map has, change no answer of a command that only tells", async () => {
      const telling = COMMAND_TRAITS.filter(({ access, opcode }) => access === "any" && opcode !== 0x5f);
      for (const { name, opcode, serviceAction } of telling) {
        const usage = await supported(session, opcode, serviceAction);
        assert(usage, name);
        const cdb = Buffer.alloc(16);
        cdb.writeUInt8(opcode, 0);
        if (serviceAction !== undefined) cdb.writeUInt8(serviceAction, 1);
        // Room enough in every field that is an allocation length of one of these commands.
        if (opcode === 0xa0) cdb.writeUInt32BE(64, 6);
        const plain = await session.send(cdb);
        for (let i = 1; i < usage.length; i++) cdb[i]! |= ~usage[i]! & 0xff;
        const noisy = await session.send(cdb);
        assert.deepEqual([noisy.status, noisy.sense], [plain.status, plain.sense], name);
        assert(noisy.data.equals(plain.data), name);
      }
    });
  });
}
