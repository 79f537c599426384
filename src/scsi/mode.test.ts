/** Mode parameters and power on: what is kept, what is told, what is refused (SPC-4, 6.11 to 6.14; SAM-5, 6.3.1). */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { TestUnit } from "../../test/kit/unit-kit.ts";
import { systemClock } from "../platform/clock.ts";
import { SENSE } from "./sense.ts";

const ALL_PAGES = 0x3f;
const TEST_UNIT_READY = [0x00];
const INQUIRY = [0x12, 0, 0, 0, 36];
const SAVED = 0xc0;
const CACHING = 0x08;
const SELECT = { pageFormat: 0x10, savePages: 0x01 };

describe("mode parameters and power on", () => {
  test("no page can be saved: none says so (PS), MODE SELECT with SP and saved values are refused", async () => {
    const session = new TestUnit(new MemoryDevice(65_536)).login(1);
    const { data } = await session.send([0x1a, 0x08, ALL_PAGES, 0, 255]);
    let pages = 0;
    for (let at = 4; at < data.length; at += data.readUInt8(at + 1) + 2) {
      assert.equal(data.readUInt8(at) & 0x80, 0, `PS of page ${data.readUInt8(at)}`);
      pages += 1;
    }
    assert(pages >= 4);
    const { data: caching } = await session.send([0x1a, 0x08, CACHING, 0, 255]);
    caching.writeUInt8(0, 0);
    const flags = SELECT.pageFormat | SELECT.savePages;
    const refused = await session.send([0x15, flags, 0, 0, caching.length], caching);
    assert.deepEqual(refused.sense, SENSE.invalidFieldInCdb);
    const saved = await session.send([0x1a, 0x08, SAVED | CACHING, 0, 255]);
    assert.deepEqual(saved.sense, SENSE.savingParametersNotSupported);
    assert.equal((await session.send([0x15, SELECT.pageFormat, 0, 0, caching.length], caching)).status, 0);
  });

  test("each initiator port is told once of a power on, and not by INQUIRY", async () => {
    const unit = new TestUnit(new MemoryDevice(65_536), undefined, systemClock, true);
    for (const id of [1, 2]) {
      const session = unit.login(id);
      assert.equal((await session.send(INQUIRY)).status, 0);
      assert.deepEqual((await session.send(TEST_UNIT_READY)).sense, SENSE.powerOnOccurred);
      assert.equal((await session.send(TEST_UNIT_READY)).status, 0);
      session.logout();
      assert.equal((await unit.login(id).send(TEST_UNIT_READY)).status, 0);
    }
    // One that has gone without a question hears of it when it comes back.
    unit.login(3).logout();
    assert.deepEqual((await unit.login(3).send(TEST_UNIT_READY)).sense, SENSE.powerOnOccurred);
    const fresh = new TestUnit(new MemoryDevice(65_536));
    assert.equal((await fresh.login(1).send(TEST_UNIT_READY)).status, 0);
  });
});
