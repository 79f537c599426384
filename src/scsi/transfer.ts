/**
 * READ and WRITE (6, 10, 12, 16) of SBC-3: the hot path, so decoded without making an object for each command.
 */
import type { BlockDevice } from "./block-device.ts";
import {
  type CommandTraits,
  checkControl,
  checkRange,
  lengthByte,
  NACA,
  readLba,
  TRANSFER_BYTES_MAX,
} from "./command.ts";
import { invalidCdb } from "./sense.ts";

const READ = { access: "read", timeoutS: 30 } as const;
const WRITE = { access: "write", isWrite: true, timeoutS: 60 } as const;

/** What is known of these commands, for the table of all. */
export const TRANSFERS: readonly CommandTraits[] = [
  { name: "READ(6)", opcode: 0x08, usage: "08 1f ff ff ff 00", ...READ },
  { name: "WRITE(6)", opcode: 0x0a, usage: "0a 1f ff ff ff 00", ...WRITE },
  { name: "READ(10)", opcode: 0x28, usage: "28 f8 ff ff ff ff 00 ff ff 00", ...READ },
  { name: "WRITE(10)", opcode: 0x2a, usage: "2a f8 ff ff ff ff 00 ff ff 00", ...WRITE },
  { name: "READ(12)", opcode: 0xa8, usage: "a8 f8 ff ff ff ff ff ff ff ff 00 00", ...READ },
  { name: "WRITE(12)", opcode: 0xaa, usage: "aa f8 ff ff ff ff ff ff ff ff 00 00", ...WRITE },
  {
    name: "READ(16)",
    opcode: 0x88,
    usage: "88 f8 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
    ...READ,
  },
  {
    name: "WRITE(16)",
    opcode: 0x8a,
    usage: "8a f8 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
    ...WRITE,
  },
];

/** One decoded transfer; reused from command to command. */
export interface Transfer {
  write: boolean;
  offsetBytes: number;
  lengthBytes: number;
  /** Force unit access: a write is durable before its status, a read comes from the medium. */
  fua: boolean;
}

export function makeTransfer(): Transfer {
  return { write: false, offsetBytes: 0, lengthBytes: 0, fua: false };
}

const FUA = 0x08;
/** RDPROTECT and WRPROTECT: INQUIRY says PROTECT=0, so there is no protection information to check. */
const PROTECT_SHIFT = 5;
const BLOCKS_OF_ZERO_READ6 = 256;

/**
 * Decodes the CDB into `transfer` if it is a READ or WRITE, and answers whether it is. Throws a CheckCondition for one
 * that the device can't serve.
 */
export function decodeTransfer(cdb: Buffer, device: BlockDevice, transfer: Transfer): boolean {
  let lba: number;
  let blocks: number;
  let flags: number;
  let control: number;
  switch (cdb[0]) {
    case 0x08:
    case 0x0a:
      lba = cdb.readUIntBE(1, 3) & 0x1fffff;
      blocks = cdb.readUInt8(4) || BLOCKS_OF_ZERO_READ6;
      flags = 0;
      control = cdb.readUInt8(5);
      break;
    case 0x28:
    case 0x2a:
      lba = cdb.readUInt32BE(2);
      blocks = cdb.readUInt16BE(7);
      flags = cdb.readUInt8(1);
      control = cdb.readUInt8(9);
      break;
    case 0xa8:
    case 0xaa:
      lba = cdb.readUInt32BE(2);
      blocks = cdb.readUInt32BE(6);
      flags = cdb.readUInt8(1);
      control = cdb.readUInt8(11);
      break;
    case 0x88:
    case 0x8a:
      lba = readLba(cdb, 2);
      blocks = cdb.readUInt32BE(10);
      flags = cdb.readUInt8(1);
      control = cdb.readUInt8(15);
      break;
    default:
      return false;
  }
  if (flags >> PROTECT_SHIFT !== 0) throw invalidCdb(1, 7);
  if ((control & NACA) !== 0) checkControl(cdb);
  checkRange(device, lba, blocks);
  if (blocks * device.logicalBlockBytes > TRANSFER_BYTES_MAX) throw invalidCdb(lengthByte(cdb));
  transfer.write = (cdb[0] & 0x02) !== 0;
  transfer.offsetBytes = lba * device.logicalBlockBytes;
  transfer.lengthBytes = blocks * device.logicalBlockBytes;
  transfer.fua = (flags & FUA) !== 0;
  return true;
}
