import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { IDENTITY, OTHER, RESPONSE, TargetKit } from "../../test/kit/target-kit.ts";
import { DEFAULT_TARGET_LIMITS } from "./limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Nothing of it is at hand; it notes what it is told to expect, and what is read. */
class FarDevice extends MemoryDevice {
  readonly told: string[] = [];

  expect(offsetBytes: number, lengthBytes: number): void {
    this.told.push(`expect ${offsetBytes / KIB} ${lengthBytes / KIB}`);
  }

  override tryRead(): boolean {
    return false;
  }

  override async read(offset: number, target: Buffer, at: number, length: number): Promise<void> {
    this.told.push(`read ${offset / KIB} ${length / KIB}`);
    super.tryRead(offset, target, at, length);
  }
}

describe("a peer that asks for much that is not at hand, and reads nothing of it", () => {
  const limits = {
    ...DEFAULT_TARGET_LIMITS,
    totalBufferBytesMax: 2 * MIB,
    backlogBytesMax: 256 * KIB,
  };
  const kit = new TargetKit(limits);
  const device = new FarDevice(16 * MIB);

  before(async () => {
    kit.entries.set(OTHER, { targetName: OTHER, device, identity: IDENTITY });
    await kit.start();
  });

  after(() => kit.stop());

  test("keeps no buffer from others", async () => {
    const deaf = await kit.loggedIn("deaf", [], OTHER);
    const other = await kit.loggedIn("other", [], OTHER);
    deaf.socket.pause();
    for (let tag = 1; tag <= 100; tag++) deaf.read10(tag, 0, (16 * MIB) / 512);
    const readByOther = async (tag: number) => {
      other.read10(tag, 0, 8);
      return (await other.next()).opcode === RESPONSE.dataIn;
    };
    // Until nothing more is read for it, for long: it waits for its peer. While it is served, others may be told BUSY.
    let theirs = 0;
    let tag = 1;
    for (let quiet = 0; quiet < 50; tag++) {
      assert(tag < 10_000, "it never waits");
      await readByOther(tag);
      const now = device.told.filter((what) => what.endsWith(" 256")).length;
      quiet = now > 0 && now === theirs ? quiet + 1 : 0;
      theirs = now;
    }
    for (let i = 0; i < 10; i++) assert(await readByOther(tag++), "the read of another was refused");
  });
});

describe("reads of what is not at hand", () => {
  const kit = new TargetKit();
  const device = new FarDevice(16 * MIB);
  let initiator: RawInitiator;

  before(async () => {
    kit.entries.set(OTHER, { targetName: OTHER, device, identity: IDENTITY });
    await kit.start();
    initiator = await kit.loggedIn("far", ["MaxRecvDataSegmentLength=262144"], OTHER);
  });

  after(() => kit.stop());

  /** Reads, and answers what the device was told meanwhile. */
  async function toldBy(offsetKib: number, lengthKib: number): Promise<string[]> {
    device.told.length = 0;
    initiator.read10(1, offsetKib * 2, lengthKib * 2);
    let bytes = 0;
    for (let isLast = false; !isLast; ) {
      const { opcode, bhs, data } = await initiator.next();
      assert.equal(opcode, RESPONSE.dataIn);
      assert.equal(bhs.readUInt32BE(40), bytes);
      bytes += data.length;
      isLast = (bhs.readUInt8(1) & 1) !== 0;
    }
    assert.equal(bytes, lengthKib * KIB);
    return device.told;
  }

  test("the device is told of all of a long one before it is read piece by piece", async () => {
    const pieces = [512, 768, 1024, 1280].map((at) => `read ${at} 256`);
    assert.deepEqual(await toldBy(512, 1024), ["expect 512 1024", ...pieces]);
  });

  test("one that is a single piece is just read", async () => {
    assert.deepEqual(await toldBy(4, 4), ["read 4 4"]);
    assert.deepEqual(await toldBy(512, 256), ["read 512 256"]);
  });
});
