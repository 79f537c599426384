/**
 * The basic header segment: 48 bytes at the head of every PDU (RFC 7143, 11.2).
 *
 * ```
 *  0  opcode (bit 6: immediate)      20  target transfer tag, or expected data transfer length
 *  1  flags                          24  CmdSN / StatSN
 *  4  total AHS length, in words     28  ExpStatSN / ExpCmdSN
 *  5  data segment length, 24 bits   32  CDB / MaxCmdSN
 *  8  LUN                            36  DataSN, R2TSN
 * 16  initiator task tag             40  buffer offset · 44 residual count, desired length
 * ```
 */
export const BHS_BYTES = 48;
export const DIGEST_BYTES = 4;
/** A task or transfer tag that means none. */
export const TAG_NONE = 0xffffffff;

/** What initiators send. */
export const REQUEST = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagement: 0x02,
  login: 0x03,
  text: 0x04,
  dataOut: 0x05,
  logout: 0x06,
  snack: 0x10,
} as const;

/** What targets send. */
export const RESPONSE = {
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagement: 0x22,
  login: 0x23,
  text: 0x24,
  dataIn: 0x25,
  logout: 0x26,
  r2t: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const;

export const FINAL = 0x80;
/** Flags of a SCSI Command (11.3.1): the initiator has room for data; it has data. */
export const FLAG_READ = 0x40;
export const FLAG_WRITE = 0x20;

/** Offsets of fields that several PDUs share. */
export const AT = {
  lun: 8,
  initiatorTaskTag: 16,
  targetTransferTag: 20,
  referencedTaskTag: 20,
  expectedDataTransferLength: 20,
  cmdSN: 24,
  statSN: 24,
  expStatSN: 28,
  expCmdSN: 28,
  maxCmdSN: 32,
  cdb: 32,
  dataSN: 36,
  bufferOffset: 40,
  residualCount: 44,
} as const;

export function opcodeOf(bhs: Buffer): number {
  return bhs.readUInt8(0) & 0x3f;
}

export function isImmediate(bhs: Buffer): boolean {
  return (bhs.readUInt8(0) & 0x40) !== 0;
}

export function isFinal(bhs: Buffer): boolean {
  return (bhs.readUInt8(1) & FINAL) !== 0;
}

export function ahsBytesOf(bhs: Buffer): number {
  return bhs.readUInt8(4) * 4;
}

export function dataSegmentLengthOf(bhs: Buffer): number {
  return bhs.readUIntBE(5, 3);
}

/** The data segment on the wire is padded to words. */
export function paddedLength(lengthBytes: number): number {
  return (lengthBytes + 3) & ~3;
}

/** The logical unit number of SAM-5's single-level forms; undefined for forms that address nothing here. */
export function lunOf(bhs: Buffer): number | undefined {
  const first = bhs.readUInt8(AT.lun);
  if (bhs.readUIntBE(AT.lun + 2, 6) !== 0) return undefined;
  const method = first >> 6;
  if (method === 0) return first === 0 ? bhs.readUInt8(AT.lun + 1) : undefined;
  if (method === 1) return ((first & 0x3f) << 8) | bhs.readUInt8(AT.lun + 1);
  return undefined;
}
