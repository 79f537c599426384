/**
 * The headers that a target sends, written in place: each function fills 48 bytes of `to` at `at`. The session adds
 * the counters (StatSN, ExpCmdSN, MaxCmdSN) where it hands them in.
 */
import { AT, BHS_BYTES, FINAL, RESPONSE, TAG_NONE } from "../bhs.ts";

/** The counters of a PDU that carries a status, or of one that does not (StatSN is then absent). */
export interface Counters {
  statSN: number;
  expCmdSN: number;
  maxCmdSN: number;
}

function begin(to: Buffer, at: number, opcode: number, flags: number, dataBytes: number): void {
  to.fill(0, at, at + BHS_BYTES);
  to[at] = opcode;
  to[at + 1] = flags;
  to.writeUIntBE(dataBytes, at + 5, 3);
}

function writeCounters(to: Buffer, at: number, counters: Counters): void {
  to.writeUInt32BE(counters.statSN, at + AT.statSN);
  to.writeUInt32BE(counters.expCmdSN, at + AT.expCmdSN);
  to.writeUInt32BE(counters.maxCmdSN, at + AT.maxCmdSN);
}

/** Residual flags of SCSI Response and Data-In. */
export const OVERFLOW = 0x04;
export const UNDERFLOW = 0x02;
/** The Data-In PDU carries the status too. */
export const STATUS_PRESENT = 0x01;

/** SCSI Response (11.4). */
export function writeScsiResponse(
  to: Buffer,
  at: number,
  task: number,
  status: number,
  residualFlags: number,
  residualCount: number,
  expDataSN: number,
  dataBytes: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.scsiResponse, FINAL | residualFlags, dataBytes);
  to[at + 3] = status;
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  writeCounters(to, at, counters);
  to.writeUInt32BE(expDataSN, at + AT.dataSN);
  to.writeUInt32BE(residualCount, at + AT.residualCount);
}

/** SCSI Data-In (11.7); `flags` with STATUS_PRESENT makes it end the command with status GOOD. */
export function writeDataIn(
  to: Buffer,
  at: number,
  task: number,
  flags: number,
  dataSN: number,
  bufferOffset: number,
  dataBytes: number,
  residualCount: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.dataIn, flags, dataBytes);
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  to.writeUInt32BE(TAG_NONE, at + AT.targetTransferTag);
  writeCounters(to, at, counters);
  if ((flags & STATUS_PRESENT) === 0) to.writeUInt32BE(0, at + AT.statSN);
  to.writeUInt32BE(dataSN, at + AT.dataSN);
  to.writeUInt32BE(bufferOffset, at + AT.bufferOffset);
  to.writeUInt32BE(residualCount, at + AT.residualCount);
}

/** Ready To Transfer (11.8): asks for `lengthBytes` of the Data-Out buffer from `bufferOffset` on. */
export function writeR2T(
  to: Buffer,
  at: number,
  request: Buffer,
  transferTag: number,
  r2tSN: number,
  bufferOffset: number,
  lengthBytes: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.r2t, FINAL, 0);
  request.copy(to, at + AT.lun, AT.lun, AT.lun + 8);
  to.writeUInt32BE(request.readUInt32BE(AT.initiatorTaskTag), at + AT.initiatorTaskTag);
  to.writeUInt32BE(transferTag, at + AT.targetTransferTag);
  writeCounters(to, at, counters);
  to.writeUInt32BE(r2tSN, at + AT.dataSN);
  to.writeUInt32BE(bufferOffset, at + AT.bufferOffset);
  to.writeUInt32BE(lengthBytes, at + 44);
}

/** Task Management Function Response (11.6). */
export function writeTaskManagementResponse(
  to: Buffer,
  at: number,
  task: number,
  response: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.taskManagement, FINAL, 0);
  to[at + 2] = response;
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  writeCounters(to, at, counters);
}

/** NOP-In (11.19): an answer to NOP-Out, or with a transfer tag a question of our own. */
export function writeNopIn(
  to: Buffer,
  at: number,
  task: number,
  transferTag: number,
  lun: bigint,
  dataBytes: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.nopIn, FINAL, dataBytes);
  to.writeBigUInt64BE(lun, at + AT.lun);
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  to.writeUInt32BE(transferTag, at + AT.targetTransferTag);
  writeCounters(to, at, counters);
}

/** Logout Response (11.15). */
export function writeLogoutResponse(
  to: Buffer,
  at: number,
  task: number,
  response: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.logout, FINAL, 0);
  to[at + 2] = response;
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  writeCounters(to, at, counters);
}

/** Text Response (11.11). */
export function writeTextResponse(
  to: Buffer,
  at: number,
  task: number,
  flags: number,
  transferTag: number,
  dataBytes: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.text, flags, dataBytes);
  to.writeUInt32BE(task, at + AT.initiatorTaskTag);
  to.writeUInt32BE(transferTag, at + AT.targetTransferTag);
  writeCounters(to, at, counters);
}

/** Asynchronous Message (11.9). */
export function writeAsyncMessage(
  to: Buffer,
  at: number,
  event: number,
  parameter3: number,
  counters: Counters,
): void {
  begin(to, at, RESPONSE.asyncMessage, FINAL, 0);
  to.writeUInt32BE(TAG_NONE, at + AT.initiatorTaskTag);
  writeCounters(to, at, counters);
  to[at + 36] = event;
  to.writeUInt16BE(parameter3, at + 42);
}

/** Reject (11.17); the header that was refused goes behind it as data. */
export function writeReject(to: Buffer, at: number, reason: number, counters: Counters): void {
  begin(to, at, RESPONSE.reject, FINAL, BHS_BYTES);
  to[at + 2] = reason;
  to.writeUInt32BE(TAG_NONE, at + AT.initiatorTaskTag);
  writeCounters(to, at, counters);
}

export const REJECT_REASON = {
  dataDigestError: 0x02,
  snack: 0x03,
  protocolError: 0x04,
  commandNotSupported: 0x05,
  invalidPduField: 0x09,
} as const;
