/**
 * Sense data (SPC-4, 4.5) and the conditions this target reports. The one place where errors of a
 * device become statuses.
 */
import { DeviceError } from "../platform/device-error.ts";

/** Statuses of SAM-5. */
export const STATUS = {
  good: 0x00,
  checkCondition: 0x02,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
} as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];

/** Sense key, additional sense code and its qualifier. */
export interface SenseCode {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

export const SENSE = {
  none: { key: 0x0, asc: 0x00, ascq: 0x00 },
  notReady: { key: 0x2, asc: 0x04, ascq: 0x00 },
  sanitizeInProgress: { key: 0x2, asc: 0x04, ascq: 0x1b },
  unrecoveredReadError: { key: 0x3, asc: 0x11, ascq: 0x00 },
  writeError: { key: 0x3, asc: 0x0c, ascq: 0x00 },
  sanitizeCommandFailed: { key: 0x3, asc: 0x31, ascq: 0x03 },
  internalTargetFailure: { key: 0x4, asc: 0x44, ascq: 0x00 },
  invalidCommandOperationCode: { key: 0x5, asc: 0x20, ascq: 0x00 },
  invalidFieldInCommandInformationUnit: { key: 0x5, asc: 0x0e, ascq: 0x03 },
  lbaOutOfRange: { key: 0x5, asc: 0x21, ascq: 0x00 },
  invalidFieldInCdb: { key: 0x5, asc: 0x24, ascq: 0x00 },
  invalidFieldInParameterList: { key: 0x5, asc: 0x26, ascq: 0x00 },
  parameterListLengthError: { key: 0x5, asc: 0x1a, ascq: 0x00 },
  invalidReleaseOfPersistentReservation: { key: 0x5, asc: 0x26, ascq: 0x04 },
  tooManyTargetDescriptors: { key: 0x5, asc: 0x26, ascq: 0x06 },
  unsupportedTargetDescriptor: { key: 0x5, asc: 0x26, ascq: 0x07 },
  tooManySegmentDescriptors: { key: 0x5, asc: 0x26, ascq: 0x08 },
  unsupportedSegmentDescriptor: { key: 0x5, asc: 0x26, ascq: 0x09 },
  savingParametersNotSupported: { key: 0x5, asc: 0x39, ascq: 0x00 },
  insufficientRegistrationResources: { key: 0x5, asc: 0x55, ascq: 0x04 },
  logicalUnitNotSupported: { key: 0x5, asc: 0x25, ascq: 0x00 },
  writeProtected: { key: 0x7, asc: 0x27, ascq: 0x00 },
  softwareWriteProtected: { key: 0x7, asc: 0x27, ascq: 0x02 },
  spaceAllocationFailed: { key: 0x7, asc: 0x27, ascq: 0x07 },
  powerOnOccurred: { key: 0x6, asc: 0x29, ascq: 0x01 },
  resetOccurred: { key: 0x6, asc: 0x29, ascq: 0x03 },
  commandsClearedByAnotherInitiator: { key: 0x6, asc: 0x2f, ascq: 0x00 },
  modeParametersChanged: { key: 0x6, asc: 0x2a, ascq: 0x01 },
  reservationsPreempted: { key: 0x6, asc: 0x2a, ascq: 0x03 },
  reservationsReleased: { key: 0x6, asc: 0x2a, ascq: 0x04 },
  registrationsPreempted: { key: 0x6, asc: 0x2a, ascq: 0x05 },
  capacityDataHasChanged: { key: 0x6, asc: 0x2a, ascq: 0x09 },
  copyAborted: { key: 0xa, asc: 0x00, ascq: 0x00 },
  copyTargetNotReachable: { key: 0xa, asc: 0x0d, ascq: 0x02 },
  abortedCommand: { key: 0xb, asc: 0x00, ascq: 0x00 },
  miscompareDuringVerify: { key: 0xe, asc: 0x1d, ascq: 0x00 },
} as const satisfies Record<string, SenseCode>;

const SENSE_BYTES = 18;
const RESPONSE_CODE_FIXED = 0x70;
const RESPONSE_CODE_DESCRIPTOR = 0x72;
const VALID = 0x80;
/** SKSV: the sense key specific bytes hold something. */
const SPECIFIC_VALID = 0x80;
/** C/D: the field pointer is one into the CDB. */
const FIELD_IN_CDB = 0x40;
/** BPV: the bit pointer holds something. */
const BIT_VALID = 0x08;
const INFORMATION_DESCRIPTOR = { type: 0x00, bytes: 12 };
const SPECIFIC_DESCRIPTOR = { type: 0x02, bytes: 8 };

/** What a condition says besides its code. */
export interface SenseDetail {
  /** The offset of a miscompare, or an LBA. */
  readonly information?: number | bigint;
  /** How far a long operation has come, from 0 to 1. */
  readonly progress?: number;
  /** The field that is not valid (SPC-4, 4.5.2.4.2). */
  readonly field?: FieldPointer;
}

/** Where a field that is not valid begins. */
export interface FieldPointer {
  /** Of the CDB, or of the parameter list. */
  readonly in: "cdb" | "list";
  readonly byte: number;
  /** The most significant bit of a field that is smaller than its byte. */
  readonly bit?: number | undefined;
}

/** Sense data in fixed format, or in descriptor format where the Control mode page's D_SENSE asks for it. */
export function encodeSense(code: SenseCode, detail: SenseDetail = {}, descriptorFormat = false): Buffer {
  return descriptorFormat ? encodeDescriptors(code, detail) : encodeFixed(code, detail);
}

function encodeFixed(code: SenseCode, detail: SenseDetail): Buffer {
  // The field has four bytes: what does not fit is not told (SPC-4, 4.5.3).
  const information = detail.information !== undefined && detail.information <= 0xffffffff;
  const bytes = Buffer.alloc(SENSE_BYTES);
  bytes.writeUInt8(RESPONSE_CODE_FIXED | (information ? VALID : 0), 0);
  bytes.writeUInt8(code.key, 2);
  if (information) bytes.writeUInt32BE(Number(detail.information), 3);
  bytes.writeUInt8(SENSE_BYTES - 8, 7);
  bytes.writeUInt8(code.asc, 12);
  bytes.writeUInt8(code.ascq, 13);
  writeSpecific(bytes, 15, detail);
  return bytes;
}

function encodeDescriptors(code: SenseCode, detail: SenseDetail): Buffer {
  const { information, progress, field } = detail;
  const parts: Buffer[] = [];
  if (information !== undefined) {
    const part = Buffer.alloc(INFORMATION_DESCRIPTOR.bytes);
    part.writeUInt8(INFORMATION_DESCRIPTOR.type, 0);
    part.writeUInt8(part.length - 2, 1);
    part.writeUInt8(VALID, 2);
    part.writeBigUInt64BE(BigInt(information), 4);
    parts.push(part);
  }
  if (progress !== undefined || field !== undefined) {
    const part = Buffer.alloc(SPECIFIC_DESCRIPTOR.bytes);
    part.writeUInt8(SPECIFIC_DESCRIPTOR.type, 0);
    part.writeUInt8(part.length - 2, 1);
    writeSpecific(part, 4, detail);
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  const head = Buffer.from([RESPONSE_CODE_DESCRIPTOR, code.key, code.asc, code.ascq, 0, 0, 0, body.length]);
  return Buffer.concat([head, body]);
}

/** The three sense key specific bytes: a progress indication, or a field pointer. */
function writeSpecific(bytes: Buffer, offset: number, { progress, field }: SenseDetail): void {
  if (progress !== undefined) {
    bytes.writeUInt8(SPECIFIC_VALID, offset);
    bytes.writeUInt16BE(Math.floor(Math.min(Math.max(progress, 0), 1) * 0xffff), offset + 1);
  } else if (field !== undefined) {
    const bit = field.bit === undefined ? 0 : BIT_VALID | field.bit;
    bytes.writeUInt8(SPECIFIC_VALID | (field.in === "cdb" ? FIELD_IN_CDB : 0) | bit, offset);
    bytes.writeUInt16BE(Math.min(field.byte, 0xffff), offset + 1);
  }
}

/** A command ends with CHECK CONDITION and this sense code. */
export class CheckCondition extends Error {
  override readonly name = "CheckCondition";
  readonly code: SenseCode;
  readonly detail: SenseDetail;

  constructor(code: SenseCode, detail: SenseDetail = {}) {
    super(`sense ${code.key.toString(16)}/${code.asc.toString(16)}/${code.ascq.toString(16)}`);
    this.code = code;
    this.detail = detail;
  }
}

/** INVALID FIELD IN CDB, for the field that begins there. */
export function invalidCdb(byte: number, bit?: number): CheckCondition {
  return new CheckCondition(SENSE.invalidFieldInCdb, { field: { in: "cdb", byte, bit } });
}

/** INVALID FIELD IN PARAMETER LIST, for the field that begins there. */
export function invalidList(byte: number, bit?: number): CheckCondition {
  return new CheckCondition(SENSE.invalidFieldInParameterList, { field: { in: "list", byte, bit } });
}

/** LOGICAL BLOCK ADDRESS OUT OF RANGE; `lba` is the first that there is not (SBC-4, 4.18.1). */
export function outOfRange(lba: number | bigint): CheckCondition {
  return new CheckCondition(SENSE.lbaOutOfRange, { information: lba });
}

/** A command ends with RESERVATION CONFLICT: another I_T nexus holds what it needs. */
export class ReservationConflict extends Error {
  override readonly name = "ReservationConflict";

  constructor() {
    super("reservation conflict");
  }
}

/** How a command that failed ends. */
export interface FailedCommand {
  readonly status: Status;
  readonly sense: Buffer | undefined;
}

/**
 * The status and sense data for whatever a command threw; `write` tells which medium error it is, `descriptorFormat`
 * in which format the logical unit gives its sense data.
 */
export function failureOf(error: unknown, write: boolean, descriptorFormat = false): FailedCommand {
  if (error instanceof ReservationConflict) {
    return { status: STATUS.reservationConflict, sense: undefined };
  }
  if (error instanceof DeviceError && error.kind === "busy") return { status: STATUS.busy, sense: undefined };
  const [code, detail] = senseOf(error, write);
  return { status: STATUS.checkCondition, sense: encodeSense(code, detail, descriptorFormat) };
}

function senseOf(error: unknown, write: boolean): [SenseCode, SenseDetail] {
  if (error instanceof CheckCondition) return [error.code, error.detail];
  if (!(error instanceof DeviceError)) return [SENSE.internalTargetFailure, {}];
  switch (error.kind) {
    case "mediumError":
      return [write ? SENSE.writeError : SENSE.unrecoveredReadError, {}];
    case "busy":
    case "notReady":
      return [SENSE.notReady, {}];
    case "writeProtected":
      return [SENSE.writeProtected, {}];
    case "noSpace":
      return [SENSE.spaceAllocationFailed, {}];
    case "hardwareError":
      return [SENSE.internalTargetFailure, {}];
  }
}
