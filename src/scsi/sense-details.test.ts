/** What is wrong with a command, said to the bit: field pointers and the INFORMATION field (SPC-4, 4.5; SBC-4, 4.18). */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { TestUnit } from "../../test/kit/unit-kit.ts";
import { encodeSense, SENSE } from "./sense.ts";

const BLOCKS = 128;
const BLOCK = Buffer.alloc(512, 1);

/** A CDB: its first bytes, and others by their offset. */
function cdbOf(first: readonly number[], others: Readonly<Record<number, number>> = {}): Buffer {
  const cdb = Buffer.alloc(16);
  Buffer.from(first).copy(cdb);
  for (const [at, value] of Object.entries(others)) cdb.writeUInt8(value, Number(at));
  return cdb;
}

/** A 16-byte CDB for a range. */
function range16(opcode: number, lba: bigint, blocks: number): Buffer {
  const cdb = cdbOf([opcode]);
  cdb.writeBigUInt64BE(lba, 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

function sessionOf(logicalBlockBytes = 512) {
  return new TestUnit(new MemoryDevice(BLOCKS * logicalBlockBytes, logicalBlockBytes)).login(1);
}

/** The field pointer of sense data in fixed format: C/D, byte, and bit where BPV is set. */
function pointerOf(sense: Buffer | undefined): [where: string, byte: number, bit?: number] {
  assert(sense !== undefined);
  const flags = sense.readUInt8(15);
  assert.equal(flags & 0x80, 0x80, "SKSV");
  const where = (flags & 0x40) !== 0 ? "cdb" : "list";
  const byte = sense.readUInt16BE(16);
  return (flags & 0x08) !== 0 ? [where, byte, flags & 0x07] : [where, byte];
}

const INVALID_IN_CDB: readonly [string, Buffer, Buffer | undefined, number, number?][] = [
  ["READ(10), RDPROTECT", cdbOf([0x28, 0x20], { 8: 1 }), undefined, 1, 7],
  ["WRITE(10), WRPROTECT", cdbOf([0x2a, 0xe0], { 8: 1 }), BLOCK, 1, 7],
  ["READ(6), NACA", cdbOf([0x08, 0, 0, 0, 1, 0x04]), undefined, 5, 2],
  ["READ(10), NACA", cdbOf([0x28], { 8: 1, 9: 0x04 }), undefined, 9, 2],
  ["READ(12), NACA", cdbOf([0xa8], { 9: 1, 11: 0x04 }), undefined, 11, 2],
  ["READ(16), NACA", cdbOf([0x88], { 13: 1, 15: 0x04 }), undefined, 15, 2],
  ["TEST UNIT READY, NACA", cdbOf([0x00], { 5: 0x04 }), undefined, 5, 2],
  ["INQUIRY, a page that there is not", cdbOf([0x12, 1, 0xb7, 0, 255]), undefined, 2],
  ["INQUIRY, a page code without EVPD", cdbOf([0x12, 0, 0x80, 0, 255]), undefined, 2],
  ["INQUIRY, CMDDT", cdbOf([0x12, 2, 0x00, 0, 255]), undefined, 1, 1],
  ["MODE SENSE(6), no such page", cdbOf([0x1a, 0, 0x02, 0, 255]), undefined, 2, 5],
  ["MODE SENSE(6), no such subpage", cdbOf([0x1a, 0, 0x0a, 5, 255]), undefined, 3],
  ["MODE SELECT(6) without PF", cdbOf([0x15, 0, 0, 0, 4]), Buffer.alloc(4), 1, 4],
  ["MODE SELECT(6) with SP", cdbOf([0x15, 0x11, 0, 0, 4]), Buffer.alloc(4), 1, 0],
  ["LOG SENSE, no such page", cdbOf([0x4d, 0, 0x4d], { 8: 255 }), undefined, 2, 5],
  ["LOG SENSE, no such subpage", cdbOf([0x4d, 0, 0x6f, 1], { 8: 255 }), undefined, 3],
  ["LOG SENSE, SP", cdbOf([0x4d, 1, 0x40], { 8: 255 }), undefined, 1, 0],
  ["LOG SENSE, a parameter that there is not", cdbOf([0x4d, 0, 0x6f], { 6: 1, 8: 255 }), undefined, 5],
  ["SEND DIAGNOSTIC, a self-test in the background", cdbOf([0x1d, 0x20]), undefined, 1, 7],
  ["SEND DIAGNOSTIC, a page", cdbOf([0x1d, 0x10, 0, 0, 4]), Buffer.alloc(4), 3],
  ["REPORT LUNS, too little room", cdbOf([0xa0], { 9: 15 }), undefined, 6],
  ["REPORT LUNS, no such report", cdbOf([0xa0, 0, 0x10], { 9: 16 }), undefined, 2],
  ["REPORT SUPPORTED OPERATION CODES, reserved option", cdbOf([0xa3, 0x0c, 4], { 9: 255 }), undefined, 2, 2],
  [
    "REPORT SUPPORTED OPERATION CODES, an action missing",
    cdbOf([0xa3, 0x0c, 1, 0x9e], { 9: 255 }),
    undefined,
    2,
    2,
  ],
  [
    "REPORT SUPPORTED OPERATION CODES, an action too many",
    cdbOf([0xa3, 0x0c, 2, 0x28], { 9: 255 }),
    undefined,
    2,
    2,
  ],
  ["MAINTENANCE IN, no such action", cdbOf([0xa3, 0x1e], { 9: 255 }), undefined, 1, 4],
  ["SERVICE ACTION IN(16), no such action", cdbOf([0x9e, 0x11], { 13: 255 }), undefined, 1, 4],
  ["POPULATE TOKEN", cdbOf([0x83, 0x10], { 13: 0 }), undefined, 1, 4],
  ["WRITE USING TOKEN", cdbOf([0x83, 0x11], { 13: 0 }), undefined, 1, 4],
  ["RECEIVE ROD TOKEN INFORMATION", cdbOf([0x84, 0x07], { 13: 255 }), undefined, 1, 4],
  ["READ CAPACITY(10), an LBA without PMI", cdbOf([0x25, 0, 0, 0, 0, 1]), undefined, 2],
  ["RESERVE(6), an extent", cdbOf([0x16, 0x01]), undefined, 1, 4],
  ["VERIFY(10), BYTCHK 10b", cdbOf([0x2f, 0x04], { 8: 1 }), undefined, 1, 2],
  ["WRITE AND VERIFY(10), BYTCHK 11b", cdbOf([0x2e, 0x06], { 8: 1 }), BLOCK, 1, 2],
  ["UNMAP, ANCHOR", cdbOf([0x42, 0x01], { 8: 8 }), Buffer.alloc(8), 1, 0],
  ["WRITE SAME(10), ANCHOR", cdbOf([0x41, 0x18], { 8: 1 }), BLOCK, 1, 4],
  ["WRITE SAME(10), LBDATA", cdbOf([0x41, 0x02], { 8: 1 }), BLOCK, 1, 2],
  ["WRITE SAME(16), PBDATA", cdbOf([0x93, 0x04], { 13: 1 }), BLOCK, 1, 2],
  ["WRITE SAME(16), NDOB and data", cdbOf([0x93, 0x01], { 13: 1 }), BLOCK, 1, 0],
  ["COMPARE AND WRITE, half of its data", cdbOf([0x89], { 13: 1 }), BLOCK, 13],
  ["WRITE ATOMIC(16), a boundary", cdbOf([0x9c], { 11: 1, 13: 1 }), BLOCK, 10],
  ["SANITIZE, a bit that means nothing", cdbOf([0x48, 0x02, 1]), undefined, 2],
];

const INVALID_IN_LIST: readonly [string, Buffer, Buffer, number, number?][] = [
  [
    "MODE SELECT(6), a page that there is not",
    cdbOf([0x15, 0x10, 0, 0, 8]),
    Buffer.from([0, 0, 0, 0, 0x19, 2, 0, 0]),
    4,
    5,
  ],
  [
    "MODE SELECT(6), a page of the wrong length",
    cdbOf([0x15, 0x10, 0, 0, 8]),
    Buffer.from([0, 0, 0, 0, 0x0a, 2, 0, 0]),
    5,
  ],
  [
    "MODE SELECT(6), a bit that can't be changed",
    cdbOf([0x15, 0x10, 0, 0, 16]),
    Buffer.from([0, 0, 0, 0, 0x0a, 0x0a, 0x22, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]),
    6,
    5,
  ],
  [
    "MODE SELECT(10), another block length",
    cdbOf([0x55, 0x10], { 8: 16 }),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0]),
    13,
  ],
];

/** A parameter list of UNMAP: so many descriptors for so many blocks each. */
function unmapOf(descriptors: number, blocks: number): Buffer {
  const list = Buffer.alloc(8 + 16 * descriptors);
  list.writeUInt16BE(list.length - 2, 0);
  list.writeUInt16BE(list.length - 8, 2);
  for (let i = 0; i < descriptors; i++) list.writeUInt32BE(blocks, 8 + 16 * i + 8);
  return list;
}

describe("what is wrong is told to the bit", () => {
  for (const [name, cdb, dataOut, byte, bit] of INVALID_IN_CDB) {
    test(name, async () => {
      const { sense, senseData } = await sessionOf().send(cdb, dataOut);
      assert.deepEqual(sense, SENSE.invalidFieldInCdb);
      assert.deepEqual(pointerOf(senseData), bit === undefined ? ["cdb", byte] : ["cdb", byte, bit]);
    });
  }

  for (const [name, cdb, dataOut, byte, bit] of INVALID_IN_LIST) {
    test(name, async () => {
      const { sense, senseData } = await sessionOf().send(cdb, dataOut);
      assert.deepEqual(sense, SENSE.invalidFieldInParameterList);
      assert.deepEqual(pointerOf(senseData), bit === undefined ? ["list", byte] : ["list", byte, bit]);
    });
  }

  test("a range that goes too far: the first LBA that there is not, whatever the command", async () => {
    const session = sessionOf();
    /** [command, first LBA, blocks, the LBA that is told; undefined where four bytes do not hold it] */
    const ranges: readonly [bigint, number, number | undefined][] = [
      [BigInt(BLOCKS), 1, BLOCKS],
      [BigInt(BLOCKS), 0, BLOCKS],
      [BigInt(BLOCKS - 1), 2, BLOCKS],
      [0n, BLOCKS + 1, BLOCKS],
      [5000n, 1, 5000],
      [0xffff_ffffn, 1, 0xffff_ffff],
      [0x1_0000_0000n, 1, undefined],
      [(1n << 64n) - 1n, 1, undefined],
    ];
    const commands = [0x88, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93];
    for (const opcode of commands) {
      for (const [lba, blocks, told] of ranges) {
        const what = `${opcode.toString(16)} ${lba}+${blocks}`;
        const { sense, senseData } = await session.send(range16(opcode, lba, blocks), BLOCK);
        assert.deepEqual(sense, SENSE.lbaOutOfRange, what);
        assert.equal((senseData?.readUInt8(0) ?? 0) & 0x80, told === undefined ? 0 : 0x80, what);
        if (told !== undefined) assert.equal(senseData?.readUInt32BE(3), told, what);
      }
    }
    const ten = (opcode: number, lba: number, blocks: number) =>
      session.send(
        cdbOf([opcode, 0, 0, 0, lba >> 8, lba & 0xff], { 7: blocks >> 8, 8: blocks & 0xff }),
        BLOCK,
      );
    for (const opcode of [0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x41]) {
      const { senseData } = await ten(opcode, BLOCKS - 1, 2);
      assert.equal(senseData?.readUInt32BE(3), BLOCKS, opcode.toString(16));
    }
  });

  test("descriptor format holds all of it: an LBA of 64 bits, a pointer into a list", () => {
    const lba = encodeSense(SENSE.lbaOutOfRange, { information: (1n << 64n) - 1n }, true);
    assert.equal(lba.toString("hex"), "720521000000000c000a8000ffffffffffffffff");
    const field = { in: "list", byte: 21, bit: 3 } as const;
    const pointer = encodeSense(SENSE.invalidFieldInParameterList, { field }, true);
    assert.equal(pointer.toString("hex"), "7205260000000008020600008b001500");
  });

  test("a miscompare tells the offset of the first byte that differs", async () => {
    const session = sessionOf();
    const expected = Buffer.alloc(1024);
    expected[700] = 1;
    const verify = await session.send(cdbOf([0x2f, 0x02], { 8: 2 }), expected);
    assert.deepEqual(verify.sense, SENSE.miscompareDuringVerify);
    assert.equal(verify.senseData?.readUInt8(0), 0xf0);
    assert.equal(verify.senseData?.readUInt32BE(3), 700);
    const swap = await session.send(cdbOf([0x89], { 13: 1 }), Buffer.concat([BLOCK, BLOCK]));
    assert.deepEqual(swap.sense, SENSE.miscompareDuringVerify);
    assert.equal(swap.senseData?.readUInt8(0), 0xf0);
    assert.equal(swap.senseData?.readUInt32BE(3), 0);
  });

  test("UNMAP: all of its list or nothing, and its limits", async () => {
    const device = new MemoryDevice(BLOCKS * 512);
    device.content.fill(7);
    const session = new TestUnit(device).login(1);
    const send = (list: Buffer, length = list.length) =>
      session.send(cdbOf([0x42], { 7: length >> 8, 8: length & 0xff }), list);
    const one = unmapOf(1, 8);
    const tooShort = [one.subarray(0, 4), one.subarray(0, 8), one.subarray(0, 23)];
    for (const part of tooShort) {
      assert.deepEqual((await send(part, one.length)).sense, SENSE.parameterListLengthError);
    }
    assert.deepEqual((await send(one.subarray(0, 7))).sense, SENSE.parameterListLengthError);
    const many = await send(unmapOf(65, 0));
    assert.deepEqual(many.sense, SENSE.invalidFieldInParameterList);
    assert.deepEqual(pointerOf(many.senseData), ["list", 2]);
    const beyond = unmapOf(2, 8);
    beyond.writeBigUInt64BE(BigInt(BLOCKS), 8 + 16);
    const refused = await send(beyond);
    assert.deepEqual(refused.sense, SENSE.lbaOutOfRange);
    assert.equal(refused.senseData?.readUInt32BE(3), BLOCKS);
    assert(device.content.every((byte) => byte === 7));
    for (const nothing of [Buffer.alloc(0), Buffer.alloc(8), unmapOf(64, 0)]) {
      assert.equal((await send(nothing)).status, 0);
    }
    assert(device.content.every((byte) => byte === 7));
    // The last descriptor, where a part of it is missing, is passed over (SBC-3, 5.28.2).
    const incomplete = Buffer.concat([unmapOf(1, 8), Buffer.alloc(15)]);
    incomplete.writeUInt16BE(31, 2);
    assert.equal((await send(incomplete)).status, 0);
    assert.equal(device.content.lastIndexOf(0), 8 * 512 - 1);
  });
});
