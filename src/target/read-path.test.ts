import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { IDENTITY, OTHER, RESPONSE, TargetKit } from "../../test/kit/target-kit.ts";

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
