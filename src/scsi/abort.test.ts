/** Commands that nobody waits for any more end soon, however long their range is: resets wait for them. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { MemoryDevice } from "../../test/kit/memory-device.ts";
import { TestUnit } from "../../test/kit/unit-kit.ts";
import { executeCommand } from "./command-table.ts";
import { CheckCondition } from "./sense.ts";

const SIZE_BYTES = 16 * 1024 * 1024;
const BLOCKS = SIZE_BYTES / 512;

/** Aborts the command with its third read or write, and counts those that come after. */
class AbortingDevice extends MemoryDevice {
  readonly controller = new AbortController();
  after = 0;
  #steps = 0;

  override tryRead(...args: Parameters<MemoryDevice["tryRead"]>): boolean {
    this.#count();
    return super.tryRead(...args);
  }

  override tryWrite(...args: Parameters<MemoryDevice["tryWrite"]>): boolean {
    this.#count();
    return super.tryWrite(...args);
  }

  override unmap(...args: Parameters<MemoryDevice["unmap"]>): Promise<void> {
    this.#count();
    return super.unmap(...args);
  }

  #count(): void {
    this.#steps += 1;
    if (this.controller.signal.aborted) this.after += 1;
    if (this.#steps === 3) this.controller.abort();
  }
}

function range16(opcode: number, flags = 0): Buffer {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(opcode, 0);
  cdb.writeUInt8(flags, 1);
  cdb.writeUInt32BE(BLOCKS, 10);
  return cdb;
}

/** A list of UNMAP with as many descriptors as there may be. */
function manyRanges(): Buffer {
  const list = Buffer.alloc(8 + 64 * 16);
  list.writeUInt16BE(list.length - 2, 0);
  list.writeUInt16BE(list.length - 8, 2);
  for (let i = 0; i < 64; i++) {
    list.writeBigUInt64BE(BigInt(8 * i), 8 + 16 * i);
    list.writeUInt32BE(8, 16 + 16 * i);
  }
  return list;
}

const COMMANDS: readonly [string, Buffer, Buffer][] = [
  ["PRE-FETCH(16)", range16(0x90), Buffer.alloc(0)],
  ["VERIFY(16)", range16(0x8f), Buffer.alloc(0)],
  ["WRITE SAME(16)", range16(0x93), Buffer.alloc(512, 7)],
  ["UNMAP", Buffer.from([0x42, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0]), manyRanges()],
];

describe("a command that is aborted", () => {
  for (const [name, cdb, dataOut] of COMMANDS) {
    test(`${name} goes no further`, async () => {
      const device = new AbortingDevice(SIZE_BYTES);
      const unit = new TestUnit(device);
      const { nexus } = unit.login(1);
      const { signal } = device.controller;
      await assert.rejects(executeCommand(unit.unit, nexus, cdb, dataOut, signal), CheckCondition);
      assert(signal.aborted);
      assert.equal(device.after, 0);
      assert(unit.unit.locks.isFree);
    });
  }
});
