/**
 * COMPARE AND WRITE, ORWRITE(16) and WRITE ATOMIC(16) (SBC-4, 5.3, 5.24 and 5.49): each holds its range alone, so that
 * no other write comes between, whether the blocks are at hand or have to be fetched.
 */
import {
  type CommandContext,
  checkProtect,
  checkRange,
  flushIfAsked,
  readDevice,
  readLba,
  type ScsiCommand,
  STEP_BYTES,
  TRANSFER_BYTES_MAX,
  writeDevice,
} from "../command.ts";
import { invalidCdb } from "../sense.ts";
import { ATOMIC_BYTES_MAX, COMPARE_AND_WRITE_BLOCKS_MAX } from "../vpd/pages.ts";
import { compare } from "./verify.ts";

export const compareAndWrite: ScsiCommand = {
  name: "COMPARE AND WRITE",
  opcode: 0x89,
  usage: "89 f8 ff ff ff ff ff ff ff ff 00 00 00 ff 00 00",
  access: "write",
  isWrite: true,
  timeoutS: 30,
  async execute(context) {
    const { cdb, dataOut, device, unit } = context;
    checkProtect(cdb);
    const lba = readLba(cdb, 2);
    const blocks = cdb.readUInt8(13);
    checkRange(device, lba, blocks);
    const length = blocks * device.logicalBlockBytes;
    // Half of it to compare with, half to write: neither can be cut short without meaning something else.
    if (blocks > COMPARE_AND_WRITE_BLOCKS_MAX || dataOut.length !== 2 * length) throw invalidCdb(13);
    if (blocks === 0) return { dataOutBytes: 0 };
    const offset = lba * device.logicalBlockBytes;
    await unit.locks.exclusive(offset, length, async () => {
      const now = Buffer.allocUnsafe(length);
      await readDevice(device, offset, now, length);
      compare(now, dataOut.subarray(0, length), 0);
      await writeDevice(device, offset, dataOut.subarray(length), length);
    });
    await flushIfAsked(context);
    return { dataOutBytes: 2 * length };
  },
};

/** The range of a 16-byte CDB, in bytes. */
function range16(
  { cdb, device }: CommandContext,
  blocks: number,
  bytesMax: number,
  lengthAt: number,
): [offset: number, length: number] {
  checkProtect(cdb);
  const lba = readLba(cdb, 2);
  checkRange(device, lba, blocks);
  const length = blocks * device.logicalBlockBytes;
  if (length > bytesMax) throw invalidCdb(lengthAt);
  return [lba * device.logicalBlockBytes, length];
}

export const orWrite16: ScsiCommand = {
  name: "ORWRITE(16)",
  opcode: 0x8b,
  usage: "8b f8 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  access: "write",
  isWrite: true,
  timeoutS: 60,
  /** The medium's bits are set where those of Data-Out are. */
  async execute(context) {
    const { cdb, dataOut, device, unit } = context;
    const [offset, length] = range16(context, cdb.readUInt32BE(10), TRANSFER_BYTES_MAX, 10);
    if (dataOut.length < length) throw invalidCdb(10);
    if (length === 0) return { dataOutBytes: 0 };
    await unit.locks.exclusive(offset, length, async () => {
      const now = Buffer.allocUnsafe(Math.min(STEP_BYTES, length));
      for (let at = 0; at < length; at += now.length) {
        const step = Math.min(now.length, length - at);
        await readDevice(device, offset + at, now, step);
        orInto(dataOut.subarray(at, at + step), now);
      }
      await writeDevice(device, offset, dataOut, length);
    });
    await flushIfAsked(context);
    return { dataOutBytes: length };
  },
};

function orInto(target: Buffer, source: Buffer): void {
  for (let i = 0; i < target.length; i++) target[i]! |= source[i]!;
}

export const writeAtomic16: ScsiCommand = {
  name: "WRITE ATOMIC(16)",
  opcode: 0x9c,
  usage: "9c f8 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
  access: "write",
  isWrite: true,
  timeoutS: 60,
  async execute(context) {
    const { cdb, dataOut, device, unit } = context;
    const [offset, length] = range16(context, cdb.readUInt16BE(12), ATOMIC_BYTES_MAX, 12);
    // Atomic boundaries are not supported (VPD page B0h); a part of the data would not be the whole.
    if (cdb.readUInt16BE(10) !== 0) throw invalidCdb(10);
    if (dataOut.length < length) throw invalidCdb(12);
    if (length === 0) return { dataOutBytes: 0 };
    await unit.locks.exclusive(offset, length, async () => {
      const write = () => writeDevice(device, offset, dataOut, length);
      if (unit.journal === undefined) await write();
      else {
        await unit.journal.run(offset, dataOut, length, async () => {
          await write();
          await device.flush();
        });
      }
    });
    if (unit.journal === undefined) await flushIfAsked(context);
    return { dataOutBytes: length };
  },
};
