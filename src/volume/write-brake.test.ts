import { strict as assert } from "node:assert";
import { beforeEach, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { parseVmstat } from "../platform/dirty-pages.ts";
import { WriteBrake } from "./write-brake.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MARK_BYTES = 640 * MIB;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("the brake on writes", () => {
  let clock: ManualClock;
  let brake: WriteBrake;
  let dirtyBytes: number;
  let looks: number;

  beforeEach(async () => {
    clock = new ManualClock();
    dirtyBytes = 0;
    looks = 0;
    brake = new WriteBrake(clock, async () => {
      looks += 1;
      return { dirtyBytes, markBytes: MARK_BYTES };
    });
    brake.wrote(1);
    await turn();
  });

  /** So much is dirty, and it is seen. */
  async function stands(share: number): Promise<void> {
    dirtyBytes = share * MARK_BYTES;
    brake.wrote(10 * MIB);
    clock.advance(25);
    await turn();
  }

  const share = () => ({ turn: 0, bytes: 0 });

  test("is off while disks keep up, and looks only behind what was written", async () => {
    const before = looks;
    for (let i = 0; i < 2560; i++) {
      brake.wrote(4 * KIB);
      if (i % 64 === 0) await turn();
      assert(brake.mayPass(share(), 100 * MIB));
    }
    await turn();
    assert.equal(looks - before, 1);
    await brake.admitted(share(), 100 * MIB);
  });

  test("goes on before the system's own mark, and off when the disks have caught up", async () => {
    await stands(0.84);
    assert.equal(brake.isOn, false);
    await stands(0.86);
    assert.equal(brake.isOn, true);
    await stands(0.82);
    assert.equal(brake.isOn, true);
    await stands(0.79);
    assert.equal(brake.isOn, false);
  });

  test("lets those pass who write little, each for himself, until the mark is near", async () => {
    await stands(0.9);
    const [large, small] = [share(), share()];
    assert.equal(brake.mayPass(large, MIB), false);
    for (let i = 0; i < 64; i++) assert(brake.mayPass(small, 4 * KIB));
    assert.equal(brake.mayPass(small, 4 * KIB), false);
    await stands(0.9);
    assert(brake.mayPass(small, 4 * KIB));
    await stands(0.98);
    for (let i = 0; i < 8; i++) assert(brake.mayPass(small, 4 * KIB));
    assert.equal(brake.mayPass(small, 4 * KIB), false);
  });

  test("lets a small write that has to wait go on a moment later", async () => {
    await stands(0.9);
    const small = share();
    while (brake.mayPass(small, 4 * KIB));
    let isAdmitted = false;
    void brake.admitted(small, 4 * KIB).then(() => {
      isAdmitted = true;
    });
    await turn();
    assert.equal(isAdmitted, false);
    await stands(0.9);
    assert.equal(isAdmitted, true);
  });

  test("lets all go that wait when it goes off, and each after half a second in any case", async () => {
    await stands(0.9);
    let admitted = 0;
    for (let i = 0; i < 3; i++) void brake.admitted(share(), MIB).then(() => admitted++);
    await stands(0.9);
    assert.equal(admitted, 0);
    await stands(0.5);
    assert.equal(admitted, 3);
    await stands(0.9);
    void brake.admitted(share(), MIB).then(() => admitted++);
    for (let i = 0; i < 19; i++) await stands(0.9);
    assert.equal(admitted, 3);
    for (let i = 0; i < 2; i++) await stands(0.9);
    assert.equal(admitted, 4);
  });

  test("stays off where the system says nothing", async () => {
    for (const read of [undefined, async () => undefined]) {
      const quiet = new WriteBrake(clock, read);
      for (let i = 0; i < 100; i++) {
        quiet.wrote(1024 * MIB);
        await turn();
        assert(quiet.mayPass(share(), 1024 * MIB));
      }
    }
  });
});

describe("what /proc/vmstat says", () => {
  const text = [
    "nr_free_pages 1000",
    "nr_dirty 300",
    "nr_writeback 20",
    "nr_writeback_temp 7",
    "nr_dirty_threshold 2000",
    "nr_dirty_background_threshold 1000",
    "",
  ].join("\n");

  test("is read by the names of its lines", () => {
    assert.deepEqual(parseVmstat(text), { dirtyBytes: 320 * 4096, markBytes: 1500 * 4096 });
  });

  test("is nothing to go by where a line is missing", () => {
    assert.equal(parseVmstat(""), undefined);
    assert.equal(parseVmstat(text.replace("nr_dirty_threshold", "nr_other")), undefined);
  });
});
