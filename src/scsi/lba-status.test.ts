import { strict as assert } from "node:assert";
import { test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { TestUnit } from "../../test/kit/unit-kit.ts";

const KIB = 1024;
const MAPPED = 0;
const DEALLOCATED = 1;

/** Nothing of it is in memory: its first half is on a disk here, the other one elsewhere. */
class ColdDevice extends MemoryDevice {
  override tryRead(): boolean {
    return false;
  }

  async readNear(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number) {
    if (offsetBytes >= this.sizeBytes / 2) return false;
    await this.read(offsetBytes, target, targetOffset, lengthBytes);
    return true;
  }
}

test("GET LBA STATUS looks at what is on a cold disk, and takes for mapped what is elsewhere", async () => {
  const device = new ColdDevice(512 * KIB);
  device.content.fill(7, 64 * KIB, 128 * KIB);
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x9e, 0);
  cdb.writeUInt8(0x12, 1);
  cdb.writeUInt32BE(4096, 10);
  const { data } = await new TestUnit(device).login(1).send(cdb);
  const extents: [startKib: number, kib: number, status: number][] = [];
  for (let at = 8; at < data.readUInt32BE(0) + 4; at += 16) {
    const start = Number(data.readBigUInt64BE(at)) / 2;
    extents.push([start, data.readUInt32BE(at + 8) / 2, data.readUInt8(at + 12) & 0x0f]);
  }
  assert.deepEqual(extents, [
    [0, 64, DEALLOCATED],
    [64, 64, MAPPED],
    [128, 128, DEALLOCATED],
    [256, 256, MAPPED],
  ]);
});
