/** VERIFY and WRITE AND VERIFY (10, 12, 16) (SBC-3, 5.30 to 5.33 and 5.38 to 5.40). */
import { nextTurn } from "../../platform/clock.ts";
import {
  type CommandContext,
  checkProtect,
  checkRange,
  checkWanted,
  lengthByte,
  readDevice,
  readLba,
  type ScsiCommand,
  STEP_BYTES,
  TRANSFER_BYTES_MAX,
  writeDevice,
} from "../command.ts";
import { CheckCondition, invalidCdb, SENSE } from "../sense.ts";

const BYTCHK = { none: 0, whole: 1, oneBlock: 3 } as const;
const BYTCHK_BIT = 2;

interface Width {
  readonly opcode: number;
  readonly suffix: string;
  readonly usage: string;
  readonly range: (cdb: Buffer) => [lba: number, blocks: number];
}

const WIDTH = {
  ten: (opcode: number): Width => ({
    opcode,
    suffix: "(10)",
    usage: `${opcode.toString(16)} f6 ff ff ff ff 00 ff ff 00`,
    range: (cdb) => [cdb.readUInt32BE(2), cdb.readUInt16BE(7)],
  }),
  twelve: (opcode: number): Width => ({
    opcode,
    suffix: "(12)",
    usage: `${opcode.toString(16)} f6 ff ff ff ff ff ff ff ff 00 00`,
    range: (cdb) => [cdb.readUInt32BE(2), cdb.readUInt32BE(6)],
  }),
  sixteen: (opcode: number): Width => ({
    opcode,
    suffix: "(16)",
    usage: `${opcode.toString(16)} f6 ff ff ff ff ff ff ff ff ff ff ff ff 00 00`,
    range: (cdb) => [readLba(cdb, 2), cdb.readUInt32BE(10)],
  }),
};

/** The range that the CDB names, in bytes, and its BYTCHK field; throws where they can't be served. */
function decode(
  { cdb, device }: CommandContext,
  { range }: Width,
): [offset: number, length: number, check: number] {
  checkProtect(cdb);
  const [lba, blocks] = range(cdb);
  checkRange(device, lba, blocks);
  const length = blocks * device.logicalBlockBytes;
  if (length > TRANSFER_BYTES_MAX) throw invalidCdb(lengthByte(cdb));
  return [lba * device.logicalBlockBytes, length, (cdb.readUInt8(1) >> 1) & 0x03];
}

function verify(width: Width): ScsiCommand {
  return {
    name: `VERIFY${width.suffix}`,
    opcode: width.opcode,
    usage: width.usage,
    access: "read",
    timeoutS: 30,
    async execute(context) {
      const { cdb, dataOut, device } = context;
      const [offset, length, check] = decode(context, width);
      if (check === 2) throw invalidCdb(1, BYTCHK_BIT);
      const due = check === BYTCHK.none ? 0 : check === BYTCHK.oneBlock ? device.logicalBlockBytes : length;
      if (length > 0 && dataOut.length < due) throw invalidCdb(lengthByte(cdb));
      const expected = check === BYTCHK.none ? undefined : dataOut.subarray(0, due);
      await compareWithDevice(context, offset, length, expected);
      return { dataOutBytes: length === 0 ? 0 : due };
    },
  };
}

/**
 * Reads the range, and compares it with `expected`, which is as long as the range or one block that is to be found all
 * over it; throws MISCOMPARE.
 */
async function compareWithDevice(
  { device, signal }: Pick<CommandContext, "device" | "signal">,
  offset: number,
  length: number,
  expected: Buffer | undefined,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(STEP_BYTES, length));
  for (let at = 0; at < length; at += buffer.length) {
    const step = Math.min(buffer.length, length - at);
    await readDevice(device, offset + at, buffer, step);
    if (expected !== undefined && expected.length === length) {
      compare(buffer.subarray(0, step), expected.subarray(at, at + step), at);
    } else if (expected !== undefined) {
      for (let i = 0; i < step; i += expected.length) {
        compare(buffer.subarray(i, i + expected.length), expected, at + i);
      }
    }
    if (at + step < length) await nextTurn();
    checkWanted({ signal });
  }
}

/** Throws MISCOMPARE with the offset of the first byte that differs. */
export function compare(actual: Buffer, expected: Buffer, baseOffset: number): void {
  if (actual.equals(expected)) return;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  throw new CheckCondition(SENSE.miscompareDuringVerify, { information: baseOffset + at });
}

function writeAndVerify(width: Width): ScsiCommand {
  return {
    name: `WRITE AND VERIFY${width.suffix}`,
    opcode: width.opcode,
    usage: width.usage,
    access: "write",
    isWrite: true,
    timeoutS: 60,
    /** Durable and read again before it is answered, with BYTCHK compared as well. */
    async execute(context) {
      const { dataOut, device, unit } = context;
      const [offset, length, check] = decode(context, width);
      if (check > BYTCHK.whole) throw invalidCdb(1, BYTCHK_BIT);
      const there = Math.min(length, dataOut.length);
      const usable = there - (there % device.logicalBlockBytes);
      if (usable > 0) {
        // Alone, so that what is compared is what this command has written.
        await unit.locks.exclusive(offset, usable, async () => {
          await writeDevice(device, offset, dataOut, usable);
          await device.flush();
          const expected = check === BYTCHK.whole ? dataOut.subarray(0, usable) : undefined;
          await compareWithDevice(context, offset, usable, expected);
        });
      }
      return { dataOutBytes: length };
    },
  };
}

export const verifyCommands: readonly ScsiCommand[] = [
  verify(WIDTH.ten(0x2f)),
  verify(WIDTH.twelve(0xaf)),
  verify(WIDTH.sixteen(0x8f)),
  writeAndVerify(WIDTH.ten(0x2e)),
  writeAndVerify(WIDTH.twelve(0xae)),
  writeAndVerify(WIDTH.sixteen(0x8e)),
];
