/** What a SCSI command gets and gives: the port between the dispatch table and the commands. */
import { strict as assert } from "node:assert";
import type { BlockDevice } from "./block-device.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import type { Nexus } from "./nexus.ts";
import type { Access } from "./persistent-reservations.ts";
import { CheckCondition, invalidCdb, outOfRange, SENSE } from "./sense.ts";

export interface CommandContext {
  readonly cdb: Buffer;
  /** The whole Data-Out buffer, as long as the initiator announced it; the command may change its bytes. */
  readonly dataOut: Buffer;
  readonly unit: LogicalUnit;
  /** Whose command it is. */
  readonly nexus: Nexus;
  readonly device: BlockDevice;
  /** Aborted when nobody waits for the command any more: what goes on for long looks at it. */
  readonly signal: AbortSignal;
}

export interface CommandResult {
  /** Data for the initiator; the target cuts it to what the initiator expects. */
  readonly dataIn?: Buffer;
  /** Bytes of Data-Out that the CDB stands for, where that may differ from what was announced: for the residual. */
  readonly dataOutBytes?: number;
}

/** What is known of a command beside what it does: for reservations, write protection and REPORT SUPPORTED OPCODES. */
export interface CommandTraits {
  /** As printed in the standard, such as `READ CAPACITY(16)`. */
  readonly name: string;
  readonly opcode: number;
  /** For opcodes shared by several commands (SPC-4, 4.2.5.1). */
  readonly serviceAction?: number;
  /** CDB usage data (SPC-4, 6.35.3) in hexadecimal, the opcode's byte first: a one for every bit that is evaluated. */
  readonly usage: string;
  /** What a persistent reservation of another may forbid of it. */
  readonly access: Access | ((cdb: Buffer) => Access);
  /** It changes what the medium holds: not on a write-protected unit. */
  readonly isWrite?: boolean;
  /** It is carried out even while another initiator has the unit by RESERVE(6). */
  readonly isReserveExempt?: boolean;
  /** It is carried out whatever unit attention is due (SAM-5, 5.14). */
  readonly isUnattentive?: boolean;
  /** It is carried out while the unit is being sanitized (SBC-4, 4.11.2). */
  readonly isSanitizeExempt?: boolean;
  /** Seconds that it may take at most on a volume whose data is at hand; 0: no figure can be given. */
  readonly timeoutS?: number;
}

export interface ScsiCommand extends CommandTraits {
  /** Throws or rejects with a CheckCondition, a ReservationConflict or a DeviceError. */
  execute(context: CommandContext): CommandResult | Promise<CommandResult>;
}

/** At most this many bytes in one command: the MAXIMUM TRANSFER LENGTH of VPD page B0h. */
export const TRANSFER_BYTES_MAX = 16 * 1024 * 1024;

/** Checks a range of blocks, a zero length too (SBC-3, 4.5). */
export function checkRange(device: BlockDevice, lba: number, blocks: number): void {
  const capacity = device.sizeBytes / device.logicalBlockBytes;
  if (lba >= capacity || blocks > capacity - lba) throw outOfRange(Math.max(lba, capacity));
}

/** A 64-bit LBA as a number; one beyond 2^53 is out of any device's range. */
export function readLba(cdb: Buffer, offset: number): number {
  const lba = cdb.readBigUInt64BE(offset);
  if (lba > BigInt(Number.MAX_SAFE_INTEGER)) throw outOfRange(lba);
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
  target: Buffer,
  lengthBytes: number,
): Promise<void> {
  assert(lengthBytes <= target.length);
  if (!device.tryRead(offsetBytes, target, 0, lengthBytes)) {
    await device.read(offsetBytes, target, 0, lengthBytes);
  }
}

/** Writes through the device in whichever form it serves the range; the caller holds a lock on it. */
export async function writeDevice(
  device: BlockDevice,
  offsetBytes: number,
  data: Buffer,
  lengthBytes: number,
): Promise<void> {
  if (!device.tryWrite(offsetBytes, data, 0, lengthBytes)) {
    await device.write(offsetBytes, data, 0, lengthBytes);
  }
}

/** Long ranges are gone through in parts of this size, so that many such commands take little memory. */
export const STEP_BYTES = 256 * 1024;

/** Between the parts: throws where nobody waits for the command any more, so that ABORT TASK and resets soon end. */
export function checkWanted({ signal }: Pick<CommandContext, "signal">): void {
  if (signal.aborted) throw new CheckCondition(SENSE.abortedCommand);
}

const FUA = 0x08;

/** Makes a write durable where its CDB (FUA) or the Caching mode page asks for it. */
export async function flushIfAsked({ cdb, unit, device }: CommandContext): Promise<void> {
  if ((cdb.readUInt8(1) & FUA) !== 0 || unit.modes.isWriteThrough) await device.flush();
}

const PROTECT_SHIFT = 5;
const NACA_BIT = 2;

/** RDPROTECT, WRPROTECT, VRPROTECT: INQUIRY says PROTECT=0, so there is no protection information to check. */
export function checkProtect(cdb: Buffer): void {
  if (cdb.readUInt8(1) >> PROTECT_SHIFT !== 0) throw invalidCdb(1, 7);
}

/** In the CONTROL byte, the last of a CDB: wants an auto contingent allegiance, which there is not here (SAM-5, 5.3). */
export const NACA = 0x04;

/** Where the CONTROL byte is, by the group code of the operation code (SPC-4, 4.2.5.1); none in other groups. */
const CONTROL_AT: readonly (number | undefined)[] = [5, 9, 9, undefined, 15, 11];

/** Throws a CheckCondition for a CDB with NACA. */
export function checkControl(cdb: Buffer): void {
  const at = CONTROL_AT[cdb.readUInt8(0) >> 5];
  if (at === undefined || (cdb.readUInt8(at) & NACA) === 0) return;
  throw invalidCdb(at, NACA_BIT);
}

/** Where the TRANSFER LENGTH field begins, by the group code of the operation code. */
const LENGTH_AT: readonly number[] = [4, 7, 7, 0, 10, 6];

/** The byte of a CDB with which its TRANSFER LENGTH, VERIFICATION LENGTH or NUMBER OF LOGICAL BLOCKS begins. */
export function lengthByte(cdb: Buffer): number {
  return LENGTH_AT[cdb.readUInt8(0) >> 5] ?? 0;
}
