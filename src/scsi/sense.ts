/**
 * Sense data in fixed format (SPC-4, 4.5.3) and the conditions this target reports. The one place where errors of a
 * device become statuses.
 */
import { DeviceError } from "../platform/device-error.ts";

/** Statuses of SAM-5. */
export const STATUS = { good: 0x00, checkCondition: 0x02, busy: 0x08, taskSetFull: 0x28 } as const;
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
  unrecoveredReadError: { key: 0x3, asc: 0x11, ascq: 0x00 },
  writeError: { key: 0x3, asc: 0x0c, ascq: 0x00 },
  internalTargetFailure: { key: 0x4, asc: 0x44, ascq: 0x00 },
  invalidCommandOperationCode: { key: 0x5, asc: 0x20, ascq: 0x00 },
  lbaOutOfRange: { key: 0x5, asc: 0x21, ascq: 0x00 },
  invalidFieldInCdb: { key: 0x5, asc: 0x24, ascq: 0x00 },
  invalidFieldInParameterList: { key: 0x5, asc: 0x26, ascq: 0x00 },
  parameterListLengthError: { key: 0x5, asc: 0x1a, ascq: 0x00 },
  logicalUnitNotSupported: { key: 0x5, asc: 0x25, ascq: 0x00 },
  writeProtected: { key: 0x7, asc: 0x27, ascq: 0x00 },
  spaceAllocationFailed: { key: 0x7, asc: 0x27, ascq: 0x07 },
  capacityDataHasChanged: { key: 0x6, asc: 0x2a, ascq: 0x09 },
  abortedCommand: { key: 0xb, asc: 0x00, ascq: 0x00 },
  notEnoughUnsolicitedData: { key: 0xb, asc: 0x0c, ascq: 0x0d },
  miscompareDuringVerify: { key: 0xe, asc: 0x1d, ascq: 0x00 },
} as const satisfies Record<string, SenseCode>;

const SENSE_BYTES = 18;
const RESPONSE_CODE_FIXED = 0x70;
const VALID = 0x80;

/** Fixed format sense data; `information` is the miscompare offset or the LBA, where there is one. */
export function encodeSense(code: SenseCode, information?: number): Buffer {
  const bytes = Buffer.alloc(SENSE_BYTES);
  bytes.writeUInt8(RESPONSE_CODE_FIXED | (information === undefined ? 0 : VALID), 0);
  bytes.writeUInt8(code.key, 2);
  if (information !== undefined) bytes.writeUInt32BE(information >>> 0, 3);
  bytes.writeUInt8(SENSE_BYTES - 8, 7);
  bytes.writeUInt8(code.asc, 12);
  bytes.writeUInt8(code.ascq, 13);
  return bytes;
}

/** A command ends with CHECK CONDITION and this sense code. */
export class CheckCondition extends Error {
  override readonly name = "CheckCondition";
  readonly code: SenseCode;
  readonly information: number | undefined;

  constructor(code: SenseCode, information?: number) {
    super(`sense ${code.key.toString(16)}/${code.asc.toString(16)}/${code.ascq.toString(16)}`);
    this.code = code;
    this.information = information;
  }
}

/** How a command that failed ends. */
export interface FailedCommand {
  readonly status: Status;
  readonly sense: Buffer | undefined;
}

/** The status and sense data for whatever a command threw; `write` tells which medium error it is. */
export function failureOf(error: unknown, write: boolean): FailedCommand {
  if (error instanceof CheckCondition) {
    return { status: STATUS.checkCondition, sense: encodeSense(error.code, error.information) };
  }
  if (!(error instanceof DeviceError)) {
    return { status: STATUS.checkCondition, sense: encodeSense(SENSE.internalTargetFailure) };
  }
  switch (error.kind) {
    case "busy":
      return { status: STATUS.busy, sense: undefined };
    case "mediumError":
      return {
        status: STATUS.checkCondition,
        sense: encodeSense(write ? SENSE.writeError : SENSE.unrecoveredReadError),
      };
    case "notReady":
      return { status: STATUS.checkCondition, sense: encodeSense(SENSE.notReady) };
    case "writeProtected":
      return { status: STATUS.checkCondition, sense: encodeSense(SENSE.writeProtected) };
    case "noSpace":
      return { status: STATUS.checkCondition, sense: encodeSense(SENSE.spaceAllocationFailed) };
    case "hardwareError":
      return { status: STATUS.checkCondition, sense: encodeSense(SENSE.internalTargetFailure) };
  }
}
