import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { stayAlive, systemClock } from "../platform/clock.ts";
import type { TargetEntry } from "./directory.ts";
import { Target } from "./target.ts";

const TARGET = "iqn.1997-05.com.amazon:one";
const OPCODE = { scsiResponse: 0x21, taskResponse: 0x22, dataIn: 0x25, r2t: 0x31, reject: 0x3f } as const;
const MIB = 1024 * 1024;
/** Nothing but solicited data, so that the test decides when which byte comes. */
const SOLICITED = [
  "InitialR2T=Yes",
  "ImmediateData=No",
  "MaxBurstLength=1048576",
  "MaxRecvDataSegmentLength=262144",
];

describe("the target, spoken to byte by byte", () => {
  const device = new MemoryDevice(16 * MIB);
  const entry: TargetEntry = {
    targetName: TARGET,
    device,
    identity: { serialNumber: "1", naa: 3n << 60n, vendor: "TEST", product: "TEST", revision: "1" },
  };
  const dropped: string[] = [];
  const target = new Target({
    clock: systemClock,
    directory: { list: () => [entry], find: (name) => (name.toLowerCase() === TARGET ? entry : undefined) },
    onEvent: ({ type, reason }) => {
      if (type === "dropped") dropped.push(reason ?? "");
    },
  });
  const open: RawInitiator[] = [];
  let port = 0;
  let letGo = () => {};

  before(async () => {
    // The target's timers alone keep no process alive.
    letGo = stayAlive();
    ({ port } = await target.listen("127.0.0.1", 0));
  });
  after(async () => {
    for (const initiator of open) initiator.close();
    await target.close();
    letGo();
  });

  async function loggedIn(name: string): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(port);
    open.push(initiator);
    assert.equal(await initiator.login(`iqn.2026-01.test:${name}`, TARGET, SOLICITED), 0);
    return initiator;
  }

  /** Writes with R2T, all data in one PDU a burst. */
  async function write(initiator: RawInitiator, tag: number, lba: number, data: Buffer): Promise<void> {
    initiator.write10(tag, lba, data.length / 512);
    for (;;) {
      const pdu = await initiator.next();
      if (pdu.opcode === OPCODE.scsiResponse) {
        assert.equal(pdu.bhs.readUInt8(3), 0, `status of ${tag}`);
        return;
      }
      assert.equal(pdu.opcode, OPCODE.r2t);
      const offset = pdu.bhs.readUInt32BE(40);
      const length = pdu.bhs.readUInt32BE(44);
      let dataSN = 0;
      for (let at = offset; at < offset + length; at += 131_072) {
        const part = data.subarray(at, Math.min(at + 131_072, offset + length));
        const header = initiator.dataOutHeader(tag, pdu.bhs.readUInt32BE(20), dataSN, at, part.length);
        if (at + part.length < offset + length) header.writeUInt8(0, 1);
        initiator.send(header, part);
        dataSN += 1;
      }
    }
  }

  async function read(initiator: RawInitiator, tag: number, lba: number, blocks: number): Promise<Buffer> {
    initiator.read10(tag, lba, blocks);
    const content = Buffer.alloc(blocks * 512);
    for (;;) {
      const pdu = await initiator.next();
      if (pdu.opcode === OPCODE.scsiResponse) return content;
      assert.equal(pdu.opcode, OPCODE.dataIn);
      pdu.data.copy(content, pdu.bhs.readUInt32BE(40));
      // The status comes with the last PDU (phase collapse).
      if ((pdu.bhs.readUInt8(1) & 0x01) !== 0) return content;
    }
  }

  for (const inline of [true, false]) {
    test(`what is written is read, ${inline ? "inline" : "from a device that takes its time"}`, async () => {
      device.inline = inline;
      const initiator = await loggedIn(`rw-${inline}`);
      const random = new SeededRandom(1);
      for (const [tag, blocks] of [1, 7, 128, 512, 2048, 4096].entries()) {
        const data = random.bytes(blocks * 512);
        await write(initiator, 100 + tag, 3 * tag, data);
        assert((await read(initiator, 200 + tag, 3 * tag, blocks)).equals(data), `${blocks} blocks`);
      }
      device.inline = true;
      initiator.close();
    });
  }

  test("a reset by another session does not give away the buffer that a write is still arriving in", async () => {
    const slow = await loggedIn("slow");
    const other = await loggedIn("other");
    slow.write10(1, 0, 512);
    const r2t = await slow.next();
    assert.equal(r2t.opcode, OPCODE.r2t);
    const header = slow.dataOutHeader(1, r2t.bhs.readUInt32BE(20), 0, 0, 262_144);
    slow.socket.write(Buffer.concat([header, Buffer.alloc(100_000, 0x55)]));
    // The first half has to have arrived before the reset: a ping that is answered proves nothing here, so the other
    // session works until the receiver must have run.
    for (let i = 0; i < 20; i++) await read(other, 500 + i, 100, 8);
    other.resetUnit(600);
    for (;;) if ((await other.next()).opcode === OPCODE.taskResponse) break;
    // The first command after it is told of the reset (unit attention).
    await read(other, 650, 100, 8);
    // A write of the same size, whose buffer comes from the same pool, while the rest of the aborted one arrives.
    other.write10(700, 8192, 512);
    let answer = await other.next();
    while (answer.opcode !== OPCODE.r2t) answer = await other.next();
    const good = Buffer.alloc(262_144, 0xaa);
    const parts = other.dataOutHeader(700, answer.bhs.readUInt32BE(20), 0, 0, 262_144);
    other.socket.write(Buffer.concat([parts, good.subarray(0, 200_000)]));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    slow.socket.write(Buffer.alloc(162_144, 0x55));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    other.socket.write(good.subarray(200_000));
    for (;;) if ((await other.next()).opcode === OPCODE.scsiResponse) break;
    assert(
      device.content.subarray(8192 * 512, 8192 * 512 + 262_144).equals(good),
      "strange bytes in the other's write",
    );
    slow.close();
    other.close();
  });

  test("no bytes that come in take the target down, and other sessions go on", async () => {
    const steady = await loggedIn("steady");
    const data = Buffer.alloc(8 * 512, 0x77);
    await write(steady, 1, 20_000, data);
    const random = new SeededRandom(7);
    for (let round = 0; round < 150; round++) {
      const initiator = await RawInitiator.connect(port);
      const closed = once(initiator.socket, "close");
      if (random.chance(0.6)) await initiator.login(`iqn.2026-01.test:fuzz-${round}`, TARGET, SOLICITED);
      for (let i = random.below(6) + 1; i > 0; i--) {
        const bhs = random.bytes(48);
        // Mostly opcodes that mean something, with lengths that can be true.
        if (random.chance(0.8))
          bhs.writeUInt8(
            random.pick([0x00, 0x40, 0x01, 0x41, 0x02, 0x42, 0x03, 0x43, 0x04, 0x05, 0x06, 0x46, 0x10]),
            0,
          );
        if (random.chance(0.8)) bhs.writeUInt8(0, 4);
        if (random.chance(0.5)) initiator.send(bhs, random.bytes(random.below(600)));
        else initiator.socket.write(Buffer.concat([bhs, random.bytes(random.below(300))]));
      }
      initiator.socket.end();
      await closed;
      if (round % 25 === 0) assert((await read(steady, 1000 + round, 20_000, 8)).equals(data));
    }
    assert((await read(steady, 5000, 20_000, 8)).equals(data));
    assert(
      !dropped.some((reason) => reason.startsWith("internal error")),
      dropped.find((r) => r.startsWith("internal")),
    );
    steady.close();
  });
});
