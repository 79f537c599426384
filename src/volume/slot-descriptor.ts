/**
 * The record of one slot in a slot disk's table: 64 bytes, so that none crosses a sector.
 *
 * ```
 *  0  u32  CRC-32 of bytes 4..63
 *  4  u8   used: 0 free, 1 used
 *  5  u8   previous used
 *  6  u16  mask: the 4 KiB pieces of the slot that hold data
 *  8  9 B  the owner's volume id: its 17 hexadecimal digits, padded with a zero digit
 * 17  3 B  zero
 * 20  u32  epoch: the one whose writes the slot holds
 * 24  u48  block of the volume
 * 30  u16  zero
 * 32  u48  sequence number of this record
 * 38  u16  previous mask
 * 40  u32  previous epoch
 * 44  u48  previous sequence number
 * 50  u32  older epoch
 * 54  u48  older sequence number
 * 60  u16  older mask
 * 62  u8   older used
 * 63  u8   zero
 * ```
 * All integers are little endian. "Previous" and "older" are states of the same slot that a loss of power must be able
 * to bring back: the one that a flush under way makes durable (or the last one did), and, while that flush is under
 * way, the one that is durable already. What to believe is the newest that the disk's header calls flushed.
 */
import { crc32 } from "node:zlib";
import type { VolumeId } from "../platform/ids.ts";

export const DESCRIPTOR_BYTES = 64;

/** A slot's state at one sequence number. */
export interface SlotState {
  readonly used: boolean;
  readonly mask: number;
  readonly epoch: number;
  readonly sequence: number;
}

export interface SlotDescriptor {
  readonly volumeId: VolumeId;
  readonly block: number;
  readonly current: SlotState;
  readonly previous: SlotState;
  readonly older: SlotState;
}

const OWNER_BYTES = 9;
const ID_PREFIX = "vol-";
const ID_DIGITS = 17;

/** Writes the descriptor at `offset` of `target`. */
export function encodeDescriptor(descriptor: SlotDescriptor, target: Buffer, offset: number): void {
  const { current, previous, older } = descriptor;
  target.fill(0, offset, offset + DESCRIPTOR_BYTES);
  target.writeUInt8(current.used ? 1 : 0, offset + 4);
  target.writeUInt8(previous.used ? 1 : 0, offset + 5);
  target.writeUInt16LE(current.mask, offset + 6);
  target.write(`${descriptor.volumeId.slice(ID_PREFIX.length)}0`, offset + 8, OWNER_BYTES, "hex");
  target.writeUInt32LE(current.epoch, offset + 20);
  target.writeUIntLE(descriptor.block, offset + 24, 6);
  target.writeUIntLE(current.sequence, offset + 32, 6);
  target.writeUInt16LE(previous.mask, offset + 38);
  target.writeUInt32LE(previous.epoch, offset + 40);
  target.writeUIntLE(previous.sequence, offset + 44, 6);
  target.writeUInt32LE(older.epoch, offset + 50);
  target.writeUIntLE(older.sequence, offset + 54, 6);
  target.writeUInt16LE(older.mask, offset + 60);
  target.writeUInt8(older.used ? 1 : 0, offset + 62);
  target.writeUInt32LE(crc32(target.subarray(offset + 4, offset + DESCRIPTOR_BYTES)), offset);
}

/** The descriptor at `offset`; undefined where none was ever written, or where it is damaged. */
export function decodeDescriptor(source: Buffer, offset: number): SlotDescriptor | undefined {
  const checksum = source.readUInt32LE(offset);
  if (checksum === 0) return undefined;
  if (checksum !== crc32(source.subarray(offset + 4, offset + DESCRIPTOR_BYTES))) return undefined;
  const digits = source.toString("hex", offset + 8, offset + 8 + OWNER_BYTES).slice(0, ID_DIGITS);
  return {
    volumeId: `${ID_PREFIX}${digits}` as VolumeId,
    block: source.readUIntLE(offset + 24, 6),
    current: {
      used: source.readUInt8(offset + 4) === 1,
      mask: source.readUInt16LE(offset + 6),
      epoch: source.readUInt32LE(offset + 20),
      sequence: source.readUIntLE(offset + 32, 6),
    },
    previous: {
      used: source.readUInt8(offset + 5) === 1,
      mask: source.readUInt16LE(offset + 38),
      epoch: source.readUInt32LE(offset + 40),
      sequence: source.readUIntLE(offset + 44, 6),
    },
    older: {
      used: source.readUInt8(offset + 62) === 1,
      mask: source.readUInt16LE(offset + 60),
      epoch: source.readUInt32LE(offset + 50),
      sequence: source.readUIntLE(offset + 54, 6),
    },
  };
}
