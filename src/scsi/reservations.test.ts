import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { MemoryStore, type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import { SENSE, STATUS } from "./sense.ts";
import { encodeTransportId } from "./transport-id.ts";

const TUR = [0x00];
const READ = [0x28, 0, 0, 0, 0, 0, 0, 0, 1];
const WRITE = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1];
const BLOCK = Buffer.alloc(512, 7);
const ACTION = {
  register: 0,
  reserve: 1,
  release: 2,
  clear: 3,
  preempt: 4,
  preemptAndAbort: 5,
  registerAndIgnore: 6,
  move: 7,
};
const CONFLICT = STATUS.reservationConflict;

/** PERSISTENT RESERVE OUT; answers the status. */
async function out(
  session: TestSession,
  action: number,
  { type = 0, key = 0n, newKey = 0n, aptpl = false, flags = 0, more = Buffer.alloc(0) },
): Promise<number> {
  const list = Buffer.alloc(24);
  list.writeBigUInt64BE(key, 0);
  list.writeBigUInt64BE(newKey, 8);
  list.writeUInt8(flags | (aptpl ? 1 : 0), 20);
  const whole = Buffer.concat([list, more]);
  const answer = await session.send([0x5f, action, type, 0, 0, 0, 0, 0, whole.length], whole);
  return answer.status;
}

async function keys(session: TestSession): Promise<bigint[]> {
  const { data } = await session.send([0x5e, 0, 0, 0, 0, 0, 0, 16, 0]);
  const count = data.readUInt32BE(4) / 8;
  return Array.from({ length: count }, (_, i) => data.readBigUInt64BE(8 + 8 * i));
}

async function mayWrite(session: TestSession): Promise<boolean> {
  const { status } = await session.send(WRITE, BLOCK);
  assert(status === 0 || status === CONFLICT, `status ${status}`);
  return status === 0;
}

async function mayRead(session: TestSession): Promise<boolean> {
  const { status } = await session.send(READ);
  assert(status === 0 || status === CONFLICT, `status ${status}`);
  return status === 0;
}

/** Unit attentions that the session is told of, up to the first command without one. */
async function attentions(session: TestSession): Promise<number[]> {
  const told: number[] = [];
  for (;;) {
    const { sense } = await session.send(TUR);
    if (sense === undefined) return told;
    told.push((sense.asc << 8) | sense.ascq);
  }
}

describe("persistent reservations", () => {
  /** [type, others that are registered may write, read; those that are not may write, read] */
  const TYPES: readonly [number, boolean, boolean, boolean, boolean][] = [
    [1, false, true, false, true],
    [3, false, false, false, false],
    [5, true, true, false, true],
    [6, true, true, false, false],
    [7, true, true, false, true],
    [8, true, true, false, false],
  ];
  for (const [type, registeredWrites, registeredReads, strangerWrites, strangerReads] of TYPES) {
    test(`type ${type}: who may do what`, async () => {
      const unit = new TestUnit(new MemoryDevice(65_536));
      const [holder, registered, stranger] = [unit.login(1), unit.login(2), unit.login(3)];
      assert.equal(await out(holder, ACTION.register, { newKey: 1n }), 0);
      assert.equal(await out(registered, ACTION.register, { newKey: 2n }), 0);
      assert.equal(await out(holder, ACTION.reserve, { type, key: 1n }), 0);
      assert(await mayWrite(holder));
      assert(await mayRead(holder));
      assert.equal(await mayWrite(registered), registeredWrites);
      assert.equal(await mayRead(registered), registeredReads);
      assert.equal(await mayWrite(stranger), strangerWrites);
      assert.equal(await mayRead(stranger), strangerReads);
      for (const cdb of [[0x12, 0, 0, 0, 96], TUR, [0x5e, 0, 0, 0, 0, 0, 0, 1, 0], [0x1a, 0, 0x3f, 0, 255]]) {
        assert.equal((await stranger.send(cdb)).status, 0, `CDB ${cdb}`);
      }
    });
  }

  test("keys that are wrong conflict, and nothing changes", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two] = [unit.login(1), unit.login(2)];
    assert.equal(await out(one, ACTION.register, { key: 9n, newKey: 1n }), CONFLICT);
    assert.equal(await out(one, ACTION.register, { newKey: 1n }), 0);
    assert.equal(await out(one, ACTION.register, { newKey: 5n }), CONFLICT);
    assert.equal(await out(one, ACTION.reserve, { type: 1, key: 2n }), CONFLICT);
    assert.equal(await out(two, ACTION.reserve, { type: 1 }), CONFLICT);
    assert.deepEqual(await keys(one), [1n]);
    assert(await mayWrite(two));
  });

  test("a session that ends takes neither registration nor reservation with it", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const first = unit.login(1);
    const other = unit.login(2);
    await out(first, ACTION.register, { newKey: 1n });
    await out(first, ACTION.reserve, { type: 1, key: 1n });
    first.logout();
    assert.equal(await mayWrite(other), false);
    assert(await mayWrite(unit.login(1)));
    // The same initiator by another port is another.
    assert.equal(await mayWrite(unit.login(9, "iqn.2026-01.test:node1")), false);
  });

  test("preempt: the victim is fenced off, and told; with abort its commands are ended", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [victim, survivor, bystander] = [unit.login(1), unit.login(2), unit.login(3)];
    for (const [i, node] of [victim, survivor, bystander].entries()) {
      await out(node, ACTION.register, { newKey: BigInt(i + 1) });
    }
    await out(victim, ACTION.reserve, { type: 5, key: 1n });
    assert(await mayWrite(survivor));
    assert.equal(await out(survivor, ACTION.preemptAndAbort, { type: 1, key: 2n, newKey: 1n }), 0);
    assert.equal(victim.aborts, 1);
    assert.equal(survivor.aborts + bystander.aborts, 0);
    assert.deepEqual(await attentions(victim), [0x2a05]);
    // Its rights were those of the old type.
    assert.deepEqual(await attentions(bystander), [0x2a04]);
    assert.equal(await mayWrite(victim), false);
    assert.equal(await mayWrite(bystander), false);
    assert(await mayWrite(survivor));
    assert.deepEqual(await keys(survivor), [2n, 3n]);
    assert.equal(await out(survivor, ACTION.preempt, { type: 1, key: 2n, newKey: 77n }), CONFLICT);
  });

  test("preempt to another type: all that stay registered are told, whatever the type was", async () => {
    for (const [before, after, told] of [
      [1, 3, [0x2a04]],
      [5, 6, [0x2a04]],
      [3, 3, []],
    ] as const) {
      const unit = new TestUnit(new MemoryDevice(65_536));
      const [victim, survivor, bystander] = [unit.login(1), unit.login(2), unit.login(3)];
      for (const [i, node] of [victim, survivor, bystander].entries()) {
        await out(node, ACTION.register, { newKey: BigInt(i + 1) });
      }
      await out(victim, ACTION.reserve, { type: before, key: 1n });
      assert.equal(await out(survivor, ACTION.preempt, { type: after, key: 2n, newKey: 1n }), 0);
      assert.deepEqual(await attentions(victim), [0x2a05]);
      assert.deepEqual(await attentions(survivor), []);
      assert.deepEqual(await attentions(bystander), told, `${before} to ${after}`);
    }
  });

  test("who preempts itself is not told of it; it stays registered where it holds the reservation", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two] = [unit.login(1), unit.login(2)];
    await out(one, ACTION.register, { newKey: 1n });
    await out(two, ACTION.register, { newKey: 2n });
    await out(one, ACTION.reserve, { type: 1, key: 1n });
    assert.equal(await out(one, ACTION.preempt, { type: 6, key: 1n, newKey: 1n }), 0);
    assert.deepEqual(await keys(one), [2n, 1n].sort());
    assert.deepEqual(await attentions(two), [0x2a04]);
    assert.equal(await out(two, ACTION.preemptAndAbort, { type: 6, key: 2n, newKey: 2n }), 0);
    assert.equal(two.aborts, 0);
    assert.deepEqual(await attentions(two), []);
    assert.deepEqual(await keys(one), [1n]);
    assert(await mayWrite(one));
    // With nobody to preempt, a key of zero is like any other that nobody has (SPC-4, figure 9).
    await out(one, ACTION.release, { type: 6, key: 1n });
    assert.equal(await out(one, ACTION.preempt, { type: 1, key: 1n }), CONFLICT);
    assert.deepEqual(await keys(one), [1n]);
  });

  test("clear and release tell those whom it concerns", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two] = [unit.login(1), unit.login(2)];
    await out(one, ACTION.register, { newKey: 1n });
    await out(two, ACTION.register, { newKey: 2n });
    await out(one, ACTION.reserve, { type: 6, key: 1n });
    assert.equal(await out(one, ACTION.release, { type: 5, key: 1n }), STATUS.checkCondition);
    assert.equal(await out(one, ACTION.release, { type: 6, key: 1n }), 0);
    assert.deepEqual(await attentions(two), [0x2a04]);
    assert.deepEqual(await attentions(one), []);
    assert.equal(await out(two, ACTION.clear, { key: 2n }), 0);
    assert.deepEqual(await attentions(one), [0x2a03]);
    assert.deepEqual(await keys(one), []);
  });

  test("all registrants hold: the last to go releases it", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two, stranger] = [unit.login(1), unit.login(2), unit.login(3)];
    await out(one, ACTION.registerAndIgnore, { newKey: 1n });
    await out(two, ACTION.registerAndIgnore, { newKey: 2n });
    await out(one, ACTION.reserve, { type: 8, key: 1n });
    assert.equal(await out(one, ACTION.register, { key: 1n }), 0);
    assert.equal(await mayRead(one), false);
    assert(await mayWrite(two));
    assert.equal(await out(two, ACTION.registerAndIgnore, {}), 0);
    assert(await mayWrite(stranger));
  });

  test("register for others, and move", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two, three] = [unit.login(1), unit.login(2), unit.login(3)];
    const id = encodeTransportId(two.nexus.initiatorPort);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(id.length);
    const more = Buffer.concat([length, id]);
    assert.equal(await out(one, ACTION.register, { newKey: 5n, flags: 0x08, more }), 0);
    assert.deepEqual(await keys(one), [5n, 5n]);
    assert.equal(await out(one, ACTION.reserve, { type: 3, key: 5n }), 0);
    assert.equal(await mayRead(two), false);
    const list = Buffer.alloc(24);
    list.writeBigUInt64BE(5n, 0);
    list.writeBigUInt64BE(6n, 8);
    list.writeUInt16BE(1, 18);
    const target = encodeTransportId(three.nexus.initiatorPort);
    list.writeUInt32BE(target.length, 20);
    const whole = Buffer.concat([list, target]);
    // One of the ports is registered already: nobody is registered, and nobody's key is changed.
    const again = Buffer.concat([length, id]);
    const four = unit.login(4);
    const refused = await out(four, ACTION.register, { newKey: 9n, flags: 0x08, more: again });
    assert.equal(refused, STATUS.checkCondition);
    assert.deepEqual(await keys(four), [5n, 5n]);
    const moved = await one.send([0x5f, ACTION.move, 0, 0, 0, 0, 0, 0, whole.length], whole);
    assert.equal(moved.status, 0);
    assert(await mayWrite(three));
    assert.equal(await mayRead(one), false);
  });

  test("register for an initiator by its name alone: for all of its ports that are there", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const one = unit.login(1);
    const [two, alsoTwo] = [unit.login(2, "iqn.2026-01.test:Two"), unit.login(3, "iqn.2026-01.test:Two")];
    const named = (name: string) => {
      const id = Buffer.alloc(4 + 40);
      id.writeUInt8(0x05, 0);
      id.writeUInt16BE(40, 2);
      id.write(name, 4);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(id.length);
      return { newKey: 5n, flags: 0x08, more: Buffer.concat([length, id]) };
    };
    for (const name of ["iqn.2026-01.test:nobody", "two", ""]) {
      assert.equal(await out(one, ACTION.register, named(name)), STATUS.checkCondition, name);
    }
    assert.deepEqual(await keys(one), []);
    assert.equal(await out(one, ACTION.register, named("iqn.2026-01.test:two")), 0);
    assert.deepEqual(await keys(one), [5n, 5n, 5n]);
    for (const port of [two, alsoTwo]) assert.equal(await out(port, ACTION.reserve, { type: 7, key: 5n }), 0);
  });

  test("with APTPL all of it survives a restart, without it nothing does", async () => {
    for (const aptpl of [true, false]) {
      const device = new MemoryDevice(65_536);
      const store = new MemoryStore();
      const before = new TestUnit(device, store);
      const one = before.login(1);
      await out(one, ACTION.register, { newKey: 0xfedc_ba98_7654_3210n, aptpl });
      await out(before.login(2), ACTION.register, { newKey: 2n, aptpl });
      await out(one, ACTION.reserve, { type: 3, key: 0xfedc_ba98_7654_3210n });
      const after = new TestUnit(device, store);
      assert.equal(await mayRead(after.login(2)), !aptpl);
      assert(await mayWrite(after.login(1)));
      assert.deepEqual(await keys(after.login(3)), aptpl ? [0xfedc_ba98_7654_3210n, 2n] : []);
    }
  });

  test("what can't be made durable does not hold", async () => {
    const store = new MemoryStore();
    const unit = new TestUnit(new MemoryDevice(65_536), store);
    const one = unit.login(1);
    store.save = () => {
      throw new Error("the disk is full");
    };
    assert.equal(await out(one, ACTION.register, { newKey: 1n, aptpl: true }), STATUS.checkCondition);
    assert.deepEqual(await keys(one), []);
  });

  test("a damaged file is an error, not an empty one", () => {
    for (const text of ["", "{}", '{"format":2}', '{"format":1,"reservations":{"registrations":[["x"]]}}']) {
      const store = new MemoryStore();
      store.content = Buffer.from(text);
      assert.throws(() => new TestUnit(new MemoryDevice(65_536), store), Error, text);
    }
  });
});

describe("other state of the unit", () => {
  test("RESERVE(6) shuts others out until it is released, reset, or its session is gone", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const one = unit.login(1);
    const two = unit.login(2);
    const [reserve, release] = [[0x16], [0x17]];
    assert.equal((await one.send(reserve)).status, 0);
    assert.equal((await two.send(reserve)).status, CONFLICT);
    assert.equal(await mayRead(two), false);
    assert.equal((await two.send(release)).status, 0);
    assert.equal(await mayRead(two), false);
    // What only tells of the unit is told (SPC-2, 5.5.1; SBC-2, 4.10).
    const telling = [
      [0x12],
      [0x03],
      [0x25],
      [0x9e, 0x10],
      [0x4d, 0, 0x40],
      [0xa3, 0x0a],
      [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16],
    ];
    for (const cdb of telling) assert.equal((await two.send(cdb)).status, 0, `CDB ${cdb}`);
    for (const cdb of [TUR, [0x5e], [0x1a, 0, 0x3f]])
      assert.equal((await two.send(cdb)).status, CONFLICT, `CDB ${cdb}`);
    one.logout();
    assert(await mayRead(two));
    assert.equal((await two.send(reserve)).status, 0);
    const three = unit.login(3);
    assert.equal(await mayRead(three), false);
    unit.unit.reset();
    assert.deepEqual(await attentions(three), [0x2903]);
    assert(await mayRead(three));
    // Where somebody is registered, nobody can have it so; whom a persistent reservation lets write need not.
    await attentions(two);
    await out(two, ACTION.register, { newKey: 1n });
    for (const cdb of [reserve, release]) assert.equal((await two.send(cdb)).status, CONFLICT);
    for (const type of [1, 5, 7]) {
      assert.equal(await out(two, ACTION.reserve, { type, key: 1n }), 0);
      for (const cdb of [reserve, release]) {
        assert.equal((await two.send(cdb)).status, 0);
        assert.equal((await three.send(cdb)).status, CONFLICT);
      }
      assert(await mayRead(three));
      assert.equal(await mayWrite(three), false);
      assert.equal(await out(two, ACTION.release, { type, key: 1n }), 0);
    }
  });

  test("mode parameters: write protection, a write cache that is off, sense data in descriptors", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536));
    const [one, two] = [unit.login(1), unit.login(2)];
    const select = (page: Buffer) => {
      const list = Buffer.concat([Buffer.from([0, 0, 0, 0]), page]);
      return one.send([0x15, 0x10, 0, 0, list.length], list);
    };
    const { data } = await one.send([0x1a, 0x08, 0x0a, 0, 255]);
    const control = Buffer.from(data.subarray(4));
    control[4] = 0x08;
    assert.equal((await select(control)).status, 0);
    assert.deepEqual(await attentions(two), [0x2a01]);
    assert.deepEqual((await two.send(WRITE, BLOCK)).sense, SENSE.softwareWriteProtected);
    assert(await mayRead(two));
    const wrong = Buffer.from(control);
    wrong[3] = 0xff;
    assert.deepEqual((await select(wrong)).sense, SENSE.invalidFieldInParameterList);
    unit.unit.reset();
    await attentions(one);
    await attentions(two);
    assert(await mayWrite(two));
    const caching = Buffer.from((await one.send([0x1a, 0x08, 0x08, 0, 255])).data.subarray(4));
    assert.equal(caching[2], 0x04);
    caching[2] = 0;
    assert.equal((await select(caching)).status, 0);
    assert(unit.unit.modes.isWriteThrough);
  });
});
