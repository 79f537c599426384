import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { SimDisk } from "../../test/simulation/sim-disk.ts";
import { nextTurn } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import { ATOMIC_BYTES_MAX, AtomicJournal } from "./atomic-journal.ts";

const HOME = "volume/home";
const SIZE_BYTES = 192 * 1024;
const LIVES = 80;

/** A disk image with nothing between it and the journal. */
function deviceOn(disk: Disk) {
  const file = disk.open(HOME);
  return {
    sizeBytes: SIZE_BYTES,
    async write(offset: number, source: Buffer, sourceOffset: number, length: number) {
      // Not in one piece: what stands between is what the journal is for.
      const half = Math.ceil(length / 1024) * 512;
      file.writeSync(source, sourceOffset, half, offset);
      await nextTurn();
      if (length > half) file.writeSync(source, sourceOffset + half, length - half, offset + half);
    },
    flush: () => file.sync(),
  };
}

describe("atomic writes", () => {
  test(`are all there or not at all, in ${LIVES} lives that end by death or loss of power`, async () => {
    let interrupted = 0;
    for (let seed = 0; seed < LIVES; seed++) {
      const random = new SeededRandom(seed);
      const disk = new SimDisk(random);
      disk.addDisk(HOME, SIZE_BYTES);
      const states = [Buffer.alloc(SIZE_BYTES)];
      let acknowledged = 0;
      for (let life = 0; life < 3; life++) {
        const process = disk.forProcess();
        const device = deviceOn(process);
        const journal = new AtomicJournal(process, "volume/atomic-write");
        let isAlive = true;
        const work = async () => {
          await journal.recover(device);
          while (isAlive) {
            const length = 512 * (1 + random.below(ATOMIC_BYTES_MAX / 512));
            const offset = 512 * random.below((SIZE_BYTES - length) / 512 + 1);
            const data = random.bytes(length);
            const after = Buffer.from(states.at(-1) ?? assert.fail());
            data.copy(after, offset);
            states.push(after);
            await journal.run(offset, data, length, async () => {
              await device.write(offset, data, 0, length);
              await device.flush();
            });
            acknowledged = states.length - 1;
          }
        };
        // Whatever still runs in a dead process fails there.
        const running = work().catch(() => {});
        for (let i = random.below(60); i > 0; i--) await nextTurn();
        if (random.chance(0.7)) disk.losePower();
        else disk.kill();
        isAlive = false;
        await running;

        const after = disk.forProcess();
        await new AtomicJournal(after, "volume/atomic-write").recover(deviceOn(after));
        const found = disk.readFile(HOME) ?? assert.fail();
        const moment = states.findLastIndex((state) => state.equals(found));
        assert(moment >= acknowledged, `seed ${seed}: moment ${moment} of ${states.length - 1}`);
        if (moment < states.length - 1) interrupted += 1;
        states.splice(moment + 1);
        acknowledged = moment;
      }
    }
    assert(interrupted > LIVES / 10, `only ${interrupted} lives ended within a write`);
  });

  test("one whose write fails leaves no record behind", async () => {
    const disk = new SimDisk(new SeededRandom(1));
    disk.addDisk(HOME, SIZE_BYTES);
    const journal = new AtomicJournal(disk, "volume/atomic-write");
    const failing = journal.run(0, Buffer.alloc(512, 1), 512, () => Promise.reject(new Error("no room")));
    await assert.rejects(failing, /no room/);
    await new AtomicJournal(disk, "volume/atomic-write").recover(deviceOn(disk));
    assert.equal(disk.readFile(HOME)?.[0], 0);
  });
});
