import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { latencyClass } from "../platform/latency-histogram.ts";
import { MeteredDevice } from "./io-meter.ts";

const KIB_64 = 64 * 1024;

/** A device that takes a while, and fails when it is told to. */
class SlowDevice extends MemoryDevice {
  readonly #clock: ManualClock;
  failing = false;

  constructor(clock: ManualClock) {
    super(1024 * 1024);
    this.#clock = clock;
  }

  override tryRead(...args: Parameters<MemoryDevice["tryRead"]>): boolean {
    this.#work();
    return super.tryRead(...args);
  }

  override async read(...args: Parameters<MemoryDevice["read"]>): Promise<void> {
    this.#work();
    await super.read(...args);
  }

  override tryWrite(...args: Parameters<MemoryDevice["tryWrite"]>): boolean {
    this.#work();
    return super.tryWrite(...args);
  }

  #work(): void {
    this.#clock.advance(1);
    if (this.failing) throw new Error("the medium is gone");
  }
}

describe("a metered device", () => {
  const clock = new ManualClock();
  const device = new SlowDevice(clock);
  const metered = new MeteredDevice(device, clock);
  const buffer = Buffer.alloc(KIB_64, 7);

  test("counts what is served inline, with the time it took", () => {
    assert(metered.tryWrite(0, buffer, 0, KIB_64));
    assert(metered.tryRead(0, Buffer.alloc(4096), 0, 4096));
    const { writes, reads } = metered;
    assert.deepEqual([writes.count, writes.bytes, writes.totalUs], [1, KIB_64, 1000]);
    assert.deepEqual([reads.count, reads.bytes, reads.totalUs], [1, 4096, 1000]);
    assert.equal(reads.latencies[latencyClass(1000)], 1);
  });

  test("does not count what was not served, and then counts the other way once", async () => {
    device.inline = false;
    assert(!metered.tryRead(0, Buffer.alloc(4096), 0, 4096));
    assert.equal(metered.reads.count, 1);
    await metered.read(0, Buffer.alloc(4096), 0, 4096);
    assert.equal(metered.reads.count, 2);
    assert(!metered.tryWrite(0, buffer, 0, 4096));
    const writing = metered.write(0, buffer, 0, 4096);
    assert.equal(metered.queuedWrites, 1);
    await writing;
    assert.deepEqual([metered.queuedWrites, metered.writes.count], [0, 2]);
  });

  test("counts failures, and passes them on", async () => {
    device.failing = true;
    assert.throws(() => metered.tryRead(0, Buffer.alloc(512), 0, 512), /gone/);
    await assert.rejects(metered.read(0, Buffer.alloc(512), 0, 512), /gone/);
    assert.deepEqual([metered.failedIos, metered.reads.count], [2, 2]);
  });

  test("goes on counting where the volume is opened again", () => {
    const again = new MeteredDevice(new SlowDevice(clock), clock, metered);
    assert.equal(again.reads.count, 2);
  });
});
