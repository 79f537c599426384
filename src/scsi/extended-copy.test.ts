/** EXTENDED COPY(LID1) as VMware (XCOPY) and sg_xcopy send it: what is copied, and what is refused before it is. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { IDENTITY, type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import { SENSE } from "./sense.ts";

const BLOCKS = 2048;
const BLOCK = 512;
const THIS_UNIT = 0xffff;
const LIST_ID = 7;

/** An identification descriptor with the unit's NAA designator. */
function target(naa = IDENTITY.naa, blockBytes = BLOCK): Buffer {
  const descriptor = Buffer.alloc(32);
  descriptor.writeUInt8(0xe4, 0);
  descriptor.writeUInt8(1, 4);
  descriptor.writeUInt8(3, 5);
  descriptor.writeUInt8(8, 7);
  descriptor.writeBigUInt64BE(naa, 8);
  descriptor.writeUIntBE(blockBytes, 29, 3);
  return descriptor;
}

/** A block to block segment. */
function segment(from: number, to: number, blocks: number, source = 0, destination = 0): Buffer {
  const descriptor = Buffer.alloc(28);
  descriptor.writeUInt8(0x02, 0);
  descriptor.writeUInt16BE(24, 2);
  descriptor.writeUInt16BE(source, 4);
  descriptor.writeUInt16BE(destination, 6);
  descriptor.writeUInt16BE(blocks, 10);
  descriptor.writeBigUInt64BE(BigInt(from), 12);
  descriptor.writeBigUInt64BE(BigInt(to), 20);
  return descriptor;
}

function listOf(targets: readonly Buffer[], segments: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt8(LIST_ID, 0);
  head.writeUInt16BE(32 * targets.length, 2);
  head.writeUInt32BE(28 * segments.length, 8);
  return Buffer.concat([head, ...targets, ...segments]);
}

function send(session: TestSession, list: Buffer, length = list.length) {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x83, 0);
  cdb.writeUInt32BE(length, 10);
  return session.send(cdb, list);
}

/** RECEIVE COPY STATUS(LID1): status, segments and bytes, or undefined where there is no such list. */
async function statusOf(session: TestSession): Promise<[number, number, number] | undefined> {
  const { status, data } = await session.send([0x84, 0, LIST_ID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12]);
  return status === 0 ? [data.readUInt8(4), data.readUInt16BE(5), data.readUInt32BE(8)] : undefined;
}

function numbered(): MemoryDevice {
  const device = new MemoryDevice(BLOCKS * BLOCK);
  for (let i = 0; i < BLOCKS; i++) device.content.writeUInt32BE(i + 1, i * BLOCK);
  return device;
}

function blockAt(device: MemoryDevice, lba: number): number {
  return device.content.readUInt32BE(lba * BLOCK) - 1;
}

describe("EXTENDED COPY", () => {
  for (const ids of [
    [0, 0],
    [THIS_UNIT, THIS_UNIT],
    [0, THIS_UNIT],
  ] as const) {
    test(`several segments, in order, by the descriptors ${ids.join(" and ")}`, async () => {
      const device = numbered();
      const session = new TestUnit(device).login(1);
      const targets = ids[0] === 0 ? [target()] : [];
      const segments = [
        segment(0, 1000, 100, ...ids),
        segment(1000, 1500, 100, ...ids),
        segment(3, 5, 0, ...ids),
      ];
      assert.equal((await send(session, listOf(targets, segments))).status, 0);
      for (const start of [1000, 1500]) {
        for (let i = 0; i < 100; i++) assert.equal(blockAt(device, start + i), i);
      }
      assert.equal(blockAt(device, 1100), 1100);
      assert.deepEqual(await statusOf(session), [1, 3, 200 * BLOCK]);
      assert.equal(await statusOf(session), undefined, "told once");
    });
  }

  for (const [from, to] of [
    [100, 700],
    [700, 100],
  ] as const) {
    test(`ranges that overlap, ${from} to ${to}: as if all had been read first`, async () => {
      const device = numbered();
      const session = new TestUnit(device).login(1);
      assert.equal((await send(session, listOf([target()], [segment(from, to, 1200)]))).status, 0);
      for (let i = 0; i < 1200; i++) assert.equal(blockAt(device, to + i), from + i);
    });
  }

  test("a segment that fails ends it, what came before is told", async () => {
    const device = numbered();
    const session = new TestUnit(device).login(1);
    const segments = [segment(0, 1000, 10), segment(0, BLOCKS - 5, 10), segment(0, 500, 10)];
    assert.deepEqual((await send(session, listOf([target()], segments))).sense, SENSE.copyAborted);
    assert.equal(blockAt(device, 1009), 9);
    assert.equal(blockAt(device, BLOCKS - 1), BLOCKS - 1);
    assert.equal(blockAt(device, 500), 500);
    assert.deepEqual(await statusOf(session), [2, 1, 10 * BLOCK]);
  });

  test("what is refused, and nothing is copied", async () => {
    const device = numbered();
    const before = Buffer.from(device.content);
    const session = new TestUnit(device).login(1);
    const whole = listOf([target()], [segment(0, 1000, 10)]);
    const wrongType = Buffer.from(whole);
    wrongType[16] = 0xe5;
    const wrongSegment = Buffer.from(whole);
    wrongSegment[48] = 0x0a;
    const many = Array.from({ length: 9 }, () => target());
    const cases: readonly [string, Buffer, number, object][] = [
      ["a list cut off", whole.subarray(0, 60), whole.length, SENSE.parameterListLengthError],
      ["no whole head", whole.subarray(0, 15), 15, SENSE.parameterListLengthError],
      ["a segment cut off", whole.subarray(0, 60), 60, SENSE.parameterListLengthError],
      ["a target of another kind", wrongType, whole.length, SENSE.unsupportedTargetDescriptor],
      ["a segment of another kind", wrongSegment, whole.length, SENSE.unsupportedSegmentDescriptor],
      ["too many targets", listOf(many, []), 16 + 9 * 32, SENSE.tooManyTargetDescriptors],
      [
        "blocks of another size",
        listOf([target(IDENTITY.naa, 4096)], [segment(0, 1000, 10)]),
        whole.length,
        SENSE.invalidFieldInParameterList,
      ],
      [
        "a unit that nobody knows",
        listOf([target(5n)], [segment(0, 1000, 10)]),
        whole.length,
        SENSE.copyTargetNotReachable,
      ],
      [
        "a descriptor that there is not",
        listOf([target()], [segment(0, 1000, 10, 0, 1)]),
        whole.length,
        SENSE.copyTargetNotReachable,
      ],
    ];
    for (const [name, list, length, expected] of cases) {
      assert.deepEqual((await send(session, list, length)).sense, expected, name);
    }
    assert.equal((await send(session, Buffer.alloc(0))).status, 0, "no list");
    assert(device.content.equals(before));
  });

  test("to another unit: as the initiator could write there by itself, by any of its ports", async () => {
    const [device, otherDevice] = [numbered(), new MemoryDevice(BLOCKS * BLOCK)];
    const unit = new TestUnit(device);
    const naa = IDENTITY.naa + 1n;
    const other = new TestUnit(otherDevice, undefined, undefined, false, { ...IDENTITY, naa });
    unit.others.push(other);
    const session = unit.login(1);
    const list = listOf([target(), target(naa)], [segment(0, 10, 5, 0, 1)]);
    const copy = async () => (await send(session, list)).sense;
    const register = (port: TestSession, action: number, key: bigint, newKey: bigint) => {
      const parameters = Buffer.alloc(24);
      parameters.writeBigUInt64BE(key, 0);
      parameters.writeBigUInt64BE(newKey, 8);
      return port.send([0x5f, action, 1, 0, 0, 0, 0, 0, 24], parameters);
    };
    assert.deepEqual(await copy(), SENSE.copyTargetNotReachable, "it is not logged in there");
    const name = session.nexus.initiatorName;
    const ports = [other.login(1), other.login(2, name)];
    assert.equal(await copy(), undefined);
    assert.equal(blockAt(otherDevice, 14), 4);
    const stranger = other.login(3);
    for (const holder of [...ports, stranger]) {
      await register(holder, 0, 0n, 1n);
      assert.equal((await register(holder, 1, 1n, 0n)).status, 0);
      const expected = holder === stranger ? SENSE.copyTargetNotReachable : undefined;
      assert.deepEqual(await copy(), expected);
      await register(holder, 3, 1n, 0n);
      for (const port of [...ports, stranger]) await port.send([0x03, 0, 0, 0, 18]);
    }
  });
});
