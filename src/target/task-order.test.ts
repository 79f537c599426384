/** Task attributes (SAM-5, 8.6), as an initiator finds them on a device that answers some commands late. */
import { strict as assert } from "node:assert";
import { after, before, beforeEach, describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { expect, IDENTITY, OTHER, RESPONSE, TargetKit, write10 } from "../../test/kit/target-kit.ts";

const SIMPLE = 1;
const ORDERED = 2;
const HEAD = 3;

/** Block 0 is not at hand: reads of it end when the test says so. */
class LateDevice extends MemoryDevice {
  readonly #waiting: (() => void)[] = [];

  override tryRead(offset: number, target: Buffer, at: number, length: number): boolean {
    return offset !== 0 && super.tryRead(offset, target, at, length);
  }

  override async read(offset: number, target: Buffer, at: number, length: number): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    await super.read(offset, target, at, length);
  }

  async come(): Promise<void> {
    while (this.#waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    this.#waiting.shift()?.();
  }
}

describe("task attributes", () => {
  const kit = new TargetKit();
  const device = new LateDevice(1024 * 1024);
  let initiator: RawInitiator;
  let names = 0;

  before(async () => {
    kit.entries.set(OTHER, { targetName: OTHER, device, identity: IDENTITY });
    await kit.start();
  });
  beforeEach(async () => {
    device.content.fill(0);
    initiator = await kit.loggedIn(`order-${names++}`, [], OTHER);
  });
  after(() => kit.stop());

  function read(tag: number, lba: number, attribute: number): void {
    const cdb = write10(lba, 1);
    cdb.writeUInt8(0x28, 0);
    initiator.command(tag, cdb, 0xc0 | attribute, 512);
  }

  function write(tag: number, lba: number, attribute: number, value: number): void {
    initiator.command(tag, write10(lba, 1), 0xa0 | attribute, 512, Buffer.alloc(512, value));
  }

  /** The next answer: its tag, and the first byte of its data. */
  async function answer(): Promise<[tag: number, byte: number | undefined]> {
    const { opcode, bhs, data } = await initiator.next();
    assert(opcode === RESPONSE.dataIn || opcode === RESPONSE.scsi, `opcode ${opcode}`);
    return [bhs.readUInt32BE(16), data[0]];
  }

  /** The commands sent so far have come, and nothing has been answered. */
  async function nothingYet(): Promise<void> {
    initiator.ping(900);
    await expect(initiator, RESPONSE.nopIn);
  }

  test("SIMPLE commands overtake one that waits for its bytes", async () => {
    read(1, 0, SIMPLE);
    write(2, 8, SIMPLE, 2);
    assert.equal((await answer())[0], 2);
    await device.come();
    assert.equal((await answer())[0], 1);
  });

  test("an ORDERED one overtakes none, and is not overtaken", async () => {
    read(1, 0, SIMPLE);
    write(2, 0, ORDERED, 2);
    read(3, 8, SIMPLE);
    write(4, 8, SIMPLE, 4);
    await nothingYet();
    assert.equal(device.content[0], 0);
    await device.come();
    assert.deepEqual(await answer(), [1, 0]);
    assert.equal((await answer())[0], 2);
    assert.deepEqual(await answer(), [3, 0]);
    assert.equal((await answer())[0], 4);
    // All is as before.
    read(5, 8, SIMPLE);
    assert.deepEqual(await answer(), [5, 4]);
  });

  test("one for the HEAD OF QUEUE is carried out before all that wait", async () => {
    read(1, 0, SIMPLE);
    write(2, 8, ORDERED, 2);
    read(3, 8, HEAD);
    assert.deepEqual(await answer(), [3, 0]);
    await device.come();
    assert.equal((await answer())[0], 1);
    assert.equal((await answer())[0], 2);
  });

  test("a write that is still collecting its data is not overtaken by an ORDERED one; ORDERED ones keep their order", async () => {
    initiator.command(1, write10(8, 1), 0xa0 | SIMPLE, 512);
    const { bhs } = await expect(initiator, RESPONSE.r2t);
    read(2, 8, ORDERED);
    read(3, 0, ORDERED);
    read(4, 8, ORDERED);
    await nothingYet();
    const dataOut = initiator.header(0x05, 0x80, 1);
    // It has no number.
    initiator.cmdSN -= 1;
    bhs.copy(dataOut, 20, 20, 24);
    initiator.send(dataOut, Buffer.alloc(512, 7));
    assert.equal((await answer())[0], 1);
    assert.deepEqual(await answer(), [2, 7]);
    await nothingYet();
    await device.come();
    assert.equal((await answer())[0], 3);
    assert.deepEqual(await answer(), [4, 7]);
  });

  test("what is aborted holds up nobody", async () => {
    read(1, 0, SIMPLE);
    write(2, 8, ORDERED, 2);
    read(3, 8, SIMPLE);
    await nothingYet();
    const abort = initiator.header(0x42, 0x81, 9);
    abort.writeUInt32BE(2, 20);
    initiator.send(abort);
    await expect(initiator, RESPONSE.task);
    await device.come();
    assert.deepEqual(
      [await answer(), await answer()],
      [
        [1, 0],
        [3, 0],
      ],
    );
    assert.equal(device.content[8 * 512], 0);
  });
});
