import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { type TestSession, TestUnit } from "../../test/kit/unit-kit.ts";
import { nextTurn } from "../platform/clock.ts";
import { SENSE } from "./sense.ts";

const BLOCK = 512;

/** A disk of which now and then a part is not at hand: then reads and writes take a while, and differently long. */
class FitfulDevice extends MemoryDevice {
  readonly #random: SeededRandom;

  constructor(sizeBytes: number, seed: number) {
    super(sizeBytes);
    this.#random = new SeededRandom(seed);
  }

  override tryRead(offset: number, target: Buffer, targetOffset: number, length: number): boolean {
    return this.#random.chance(0.5) && super.tryRead(offset, target, targetOffset, length);
  }

  override tryWrite(offset: number, source: Buffer, sourceOffset: number, length: number): boolean {
    return this.#random.chance(0.5) && super.tryWrite(offset, source, sourceOffset, length);
  }

  override async read(offset: number, target: Buffer, targetOffset: number, length: number): Promise<void> {
    await this.#wait();
    await super.read(offset, target, targetOffset, length);
    await this.#wait();
  }

  override async write(offset: number, source: Buffer, sourceOffset: number, length: number): Promise<void> {
    await this.#wait();
    await super.write(offset, source, sourceOffset, length);
    await this.#wait();
  }

  async #wait(): Promise<void> {
    for (let i = this.#random.below(5); i > 0; i--) await nextTurn();
  }
}

function compareAndWrite(session: TestSession, before: Buffer, after: Buffer) {
  const cdb = [0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, before.length / BLOCK];
  return session.send(cdb, Buffer.concat([before, after]));
}

describe("commands that are one step", () => {
  for (const seed of [1, 2, 3]) {
    test(`a counter that many count up by COMPARE AND WRITE misses none (seed ${seed})`, async () => {
      const device = new FitfulDevice(65_536, seed);
      const unit = new TestUnit(device);
      const workers = 6;
      const each = 15;
      await Promise.all(
        Array.from({ length: workers }, async (_, i) => {
          const session = unit.login(i + 1);
          for (let counted = 0; counted < each; ) {
            const { data } = await session.send([0x28, 0, 0, 0, 0, 0, 0, 0, 2]);
            const after = Buffer.alloc(2 * BLOCK);
            after.writeUInt32BE(data.readUInt32BE(0) + 1, 0);
            after.writeUInt32BE(data.readUInt32BE(0) + 1, BLOCK + 8);
            const { status, sense } = await compareAndWrite(session, data, after);
            if (status === 0) counted += 1;
            else assert.deepEqual(sense, SENSE.miscompareDuringVerify);
          }
        }),
      );
      assert.equal(device.content.readUInt32BE(0), workers * each);
      assert.equal(device.content.readUInt32BE(BLOCK + 8), workers * each);
    });

    test(`bits that many set by ORWRITE, and writes beside them, are all there (seed ${seed})`, async () => {
      const device = new FitfulDevice(65_536, seed);
      const unit = new TestUnit(device);
      const length = 4 * BLOCK;
      const whole = Buffer.alloc(length, 0xff);
      await Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const session = unit.login(i + 1);
          const answer = await session.send(
            [0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4],
            Buffer.alloc(length, 1 << i),
          );
          assert.equal(answer.status, 0);
        }),
      );
      assert(device.content.subarray(0, length).equals(whole));
    });

    test(`a write that was acknowledged is not undone by a COMPARE AND WRITE (seed ${seed})`, async () => {
      const device = new FitfulDevice(65_536, seed);
      const unit = new TestUnit(device);
      const [one, two] = [unit.login(1), unit.login(2)];
      const zeros = Buffer.alloc(BLOCK);
      for (let round = 0; round < 40; round++) {
        device.content.fill(0);
        const swapped = compareAndWrite(one, zeros, Buffer.alloc(BLOCK, 1));
        const written = two.send([0x2a, 0, 0, 0, 0, 0, 0, 0, 1], Buffer.alloc(BLOCK, 2));
        const { status } = await swapped;
        assert.equal((await written).status, 0);
        // Either the write came last, or it came first, and the comparison has failed.
        assert.equal(device.content[0], 2, `round ${round}, status ${status}`);
      }
    });
  }

  test("a COMPARE AND WRITE that differs tells where, and changes nothing", async () => {
    const device = new MemoryDevice(65_536);
    device.content.fill(5);
    const session = new TestUnit(device).login(1);
    const expected = Buffer.alloc(2 * BLOCK, 5);
    expected[700] = 6;
    const { sense } = await compareAndWrite(session, expected, Buffer.alloc(2 * BLOCK, 9));
    assert.deepEqual(sense, SENSE.miscompareDuringVerify);
    assert(device.content.every((byte) => byte === 5));
  });
});
