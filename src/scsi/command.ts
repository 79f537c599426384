/** What a SCSI command gets and gives: the port between the dispatch table and the commands. */
import { strict as assert } from "node:assert";
import type { BlockDevice } from "./block-device.ts";
import { CheckCondition, SENSE } from "./sense.ts";

/** What never changes about a logical unit, whatever restarts. */
export interface UnitIdentity {
  readonly serialNumber: string;
  readonly naa: bigint;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  /** SCSI name string of the target device: its iSCSI name. */
  readonly targetName: string;
}

export interface CommandContext {
  readonly cdb: Buffer;
  /** The whole Data-Out buffer, as long as the initiator sent it. */
  readonly dataOut: Buffer;
  readonly device: BlockDevice;
  readonly identity: UnitIdentity;
}

/** Data for the initiator; the target cuts it to what the initiator expects. */
export interface CommandResult {
  readonly dataIn?: Buffer;
}

export interface ScsiCommand {
  /** As printed in the standard, such as `READ CAPACITY(16)`. */
  readonly name: string;
  readonly opcode: number;
  /** For opcodes shared by several commands (SPC-4, 4.2.5.1). */
  readonly serviceAction?: number;
  /** Throws or rejects with a CheckCondition or a DeviceError. */
  execute(context: CommandContext): CommandResult | Promise<CommandResult>;
}

/** At most this many bytes in one command: the MAXIMUM TRANSFER LENGTH of VPD page B0h. */
export const TRANSFER_BYTES_MAX = 16 * 1024 * 1024;

/** Checks a range of blocks, a zero length too (SBC-3, 4.5). */
export function checkRange(device: BlockDevice, lba: number, blocks: number): void {
  const capacity = device.sizeBytes / device.logicalBlockBytes;
  if (lba > capacity || blocks > capacity - lba || (lba === capacity && blocks > 0) || lba >= capacity) {
    throw new CheckCondition(SENSE.lbaOutOfRange);
  }
}

/** A 64-bit LBA as a number; one beyond 2^53 is out of any device's range. */
export function readLba(cdb: Buffer, offset: number): number {
  const lba = cdb.readBigUInt64BE(offset);
  if (lba > BigInt(Number.MAX_SAFE_INTEGER)) throw new CheckCondition(SENSE.lbaOutOfRange);
  return Number(lba);
}

/** Cuts an answer to the CDB's allocation length (SPC-4, 4.2.5.6). */
export function allocated(data: Buffer, allocationLength: number): CommandResult {
  return { dataIn: data.subarray(0, allocationLength) };
}

/** Reads through the device in whichever form it serves the range. */
export async function readDevice(
  device: BlockDevice,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Buffer> {
  assert(lengthBytes <= TRANSFER_BYTES_MAX);
  const data = Buffer.allocUnsafe(lengthBytes);
  if (!device.tryRead(offsetBytes, data, 0, lengthBytes))
    await device.read(offsetBytes, data, 0, lengthBytes);
  return data;
}

/** Writes through the device in whichever form it serves the range. */
export async function writeDevice(device: BlockDevice, offsetBytes: number, data: Buffer): Promise<void> {
  if (!device.tryWrite(offsetBytes, data, 0, data.length))
    await device.write(offsetBytes, data, 0, data.length);
}
