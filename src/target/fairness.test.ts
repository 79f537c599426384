/**
 * No session keeps another from its turn: counted in bytes that the device serves for the one between the arrival of
 * the other's read and its answer, whatever the machine's speed.
 */
import { strict as assert } from "node:assert";
import { afterEach, beforeEach, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { expect, IDENTITY, OTHER, RESPONSE, TargetKit, write10 } from "../../test/kit/target-kit.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const BUSY = "iqn.1997-05.com.amazon:busy";
/** What the busy session may have of a turn: what is received at once, or built; the last command is finished. */
const TURN_BYTES = 512 * KIB;
const COMMAND_BYTES = 1 * MIB;
/** The other's read may come in the middle of a turn, and just too late for the one that follows. */
const TURNS = 2;
const ASKED = 50;

/** Tells of everything that it serves, while it does. */
class ObservedDevice extends MemoryDevice {
  onServed: (bytes: number) => void = () => {};

  override tryRead(offset: number, target: Buffer, at: number, length: number): boolean {
    this.onServed(length);
    return super.tryRead(offset, target, at, length);
  }

  override async read(offset: number, target: Buffer, at: number, length: number): Promise<void> {
    this.onServed(length);
    super.tryRead(offset, target, at, length);
  }

  override tryWrite(offset: number, source: Buffer, at: number, length: number): boolean {
    this.onServed(length);
    return super.tryWrite(offset, source, at, length);
  }
}

describe("fairness between sessions", () => {
  let kit: TargetKit;
  let device: ObservedDevice;
  let small: RawInitiator;
  let busy: RawInitiator;
  /** For each of the small reads: bytes served for the busy session while it waited. */
  let waited: number[];
  let servedBytes: number;
  let sentAt: number | undefined;

  beforeEach(async () => {
    kit = new TargetKit();
    device = new ObservedDevice(32 * MIB);
    const other = new ObservedDevice(MIB);
    kit.entries.set(BUSY, { targetName: BUSY, device, identity: IDENTITY });
    kit.entries.set(OTHER, { targetName: OTHER, device: other, identity: IDENTITY });
    await kit.start();
    small = await kit.loggedIn("small", [], OTHER);
    busy = await kit.loggedIn("busy", ["MaxRecvDataSegmentLength=262144", "ImmediateData=Yes"], BUSY);
    waited = [];
    servedBytes = 0;
    sentAt = undefined;
    device.onServed = (bytes) => {
      // It is with the target's socket when this returns.
      if (sentAt === undefined && waited.length < ASKED) {
        small.read10(waited.length, 0, 8);
        sentAt = servedBytes;
      }
      servedBytes += bytes;
    };
    other.onServed = () => {
      assert(sentAt !== undefined);
      waited.push(servedBytes - sentAt);
      sentAt = undefined;
    };
  });

  afterEach(async () => {
    await kit.stop();
    assert.equal(waited.length, ASKED);
    const most = Math.max(...waited);
    assert(most <= TURNS * (TURN_BYTES + COMMAND_BYTES), `${most} bytes were served while a read waited`);
  });

  async function answered(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const { opcode, bhs } = await busy.next();
      if (opcode === RESPONSE.scsi || (opcode === RESPONSE.dataIn && (bhs.readUInt8(1) & 1) !== 0)) left -= 1;
    }
  }

  async function answeredSmall(): Promise<void> {
    for (let i = 0; i < ASKED; i++) await expect(small, RESPONSE.dataIn);
  }

  test("beside 100 reads of 1 MiB at once", async () => {
    busy.socket.cork();
    for (let tag = 1; tag <= 100; tag++) busy.read10(tag, 0, MIB / 512);
    busy.socket.uncork();
    await Promise.all([answered(100), answeredSmall()]);
  });

  test("beside reads of 16 MiB, each one command", async () => {
    busy.socket.cork();
    for (let tag = 1; tag <= 8; tag++) busy.read10(tag, 0, (16 * MIB) / 512);
    busy.socket.uncork();
    await Promise.all([answered(8), answeredSmall()]);
  });

  test("beside writes with immediate data, as fast as they can be sent", async () => {
    const data = Buffer.alloc(64 * KIB, 1);
    const send = (tag: number) => busy.command(tag, write10(0, data.length / 512), 0xa1, data.length, data);
    // As many as the window takes, and one more for each that is answered.
    for (let tag = 1; tag <= 100; tag++) send(tag);
    const flood = async () => {
      for (let tag = 101; tag <= 2000; tag++) {
        await answered(1);
        send(tag);
      }
      await answered(100);
    };
    await Promise.all([flood(), answeredSmall()]);
  });
});

test("long lists of targets, asked for over and over in small parts, hold nobody up", async () => {
  const kit = new TargetKit();
  await kit.start();
  const small = await kit.loggedIn("small", [], OTHER);
  for (let i = 0; i < 2000; i++) {
    const targetName = `iqn.1997-05.com.amazon:many-${i}`;
    kit.entries.set(targetName, { targetName, device: kit.device, identity: IDENTITY });
  }
  const asker = await kit.connect();
  const keys = ["SessionType=Discovery", "MaxRecvDataSegmentLength=512"];
  assert.equal(await asker.login("iqn.2026-01.test:asker", undefined, keys), 0);
  const values = kit.entries.values.bind(kit.entries);
  let lists = 0;
  kit.entries.values = () => {
    lists += 1;
    if (lists === 10) small.ping(1);
    return values();
  };
  asker.socket.cork();
  for (let tag = 0; tag < 200; tag++) asker.text(tag, 0x80, 0xffffffff, "SendTargets=All\0");
  asker.socket.uncork();
  await expect(small, RESPONSE.nopIn);
  // A list is some 150 KB long: a turn has few of them.
  assert(lists <= 10 + TURNS * 5, `${lists - 10} lists were made while another waited`);
  await kit.stop();
});
