/** A command whose Data-Out buffer is being collected (RFC 7143, 11.7 and 11.8): what has come, what is due next. */
import { strict as assert } from "node:assert";
import { AT, BHS_BYTES, isFinal, TAG_NONE } from "../iscsi/bhs.ts";
import type { SessionParameters } from "../iscsi/negotiation.ts";
import type { SenseCode } from "../scsi/sense.ts";

/**
 * What is wrong with a Data-Out PDU: the command ends with this sense (RFC 7143, 7.8 and 11.4.7.2; SPC-4, annex F). All
 * are ABORTED COMMAND: the initiator may send the command again.
 */
export const DATA_FAULT = {
  incorrectAmountOfData: { key: 0xb, asc: 0x0c, ascq: 0x0d },
  unexpectedUnsolicitedData: { key: 0xb, asc: 0x0c, ascq: 0x0c },
  protocolServiceCrcError: { key: 0xb, asc: 0x47, ascq: 0x05 },
  dataPhaseError: { key: 0xb, asc: 0x4b, ascq: 0x00 },
  illegalTransferTag: { key: 0xb, asc: 0x4b, ascq: 0x01 },
  tooMuchWriteData: { key: 0xb, asc: 0x4b, ascq: 0x02 },
  dataOffsetError: { key: 0xb, asc: 0x4b, ascq: 0x05 },
} as const satisfies Record<string, SenseCode>;

/** What an R2T asks for. */
export interface Burst {
  readonly r2tSN: number;
  readonly offset: number;
  readonly length: number;
}

export class WriteTask {
  /** The SCSI Command PDU's header, CDB and all. */
  readonly bhs: Buffer;
  readonly buffer: Buffer;
  readonly expectedBytes: number;
  receivedBytes = 0;
  /** End of the burst that was asked for; during unsolicited data the FirstBurstLength. */
  #burstEnd: number;
  #transferTag = TAG_NONE;
  #dataSN = 0;
  #r2tSN = 0;

  constructor(bhs: Buffer, buffer: Buffer, parameters: SessionParameters) {
    this.bhs = Buffer.from(bhs);
    this.buffer = buffer;
    this.expectedBytes = bhs.readUInt32BE(AT.expectedDataTransferLength);
    this.#burstEnd = Math.min(this.expectedBytes, parameters.firstBurstLength);
    assert(this.bhs.length === BHS_BYTES && buffer.length >= this.expectedBytes);
  }

  get initiatorTaskTag(): number {
    return this.bhs.readUInt32BE(AT.initiatorTaskTag);
  }

  get transferTag(): number {
    return this.#transferTag;
  }

  /** How many R2Ts have asked for its data. */
  get r2tCount(): number {
    return this.#r2tSN;
  }

  get complete(): boolean {
    return this.receivedBytes >= this.expectedBytes;
  }

  /** Checks that the PDU is the one that is due, before its data is taken. */
  check(bhs: Buffer, dataBytes: number): SenseCode | undefined {
    if (bhs.readUInt32BE(AT.targetTransferTag) !== this.#transferTag) return DATA_FAULT.illegalTransferTag;
    if (bhs.readUInt32BE(AT.dataSN) !== this.#dataSN) return DATA_FAULT.dataPhaseError;
    const offset = bhs.readUInt32BE(AT.bufferOffset);
    if (offset !== this.receivedBytes) return DATA_FAULT.dataOffsetError;
    if (offset + dataBytes <= this.#burstEnd) return undefined;
    return this.#transferTag === TAG_NONE
      ? DATA_FAULT.unexpectedUnsolicitedData
      : DATA_FAULT.tooMuchWriteData;
  }

  /** Where the data of the PDU that `check` has passed goes. */
  place(dataBytes: number): Buffer {
    return this.buffer.subarray(this.receivedBytes, this.receivedBytes + dataBytes);
  }

  /** What was asked for has not come whole, although the PDU that `took` had last says that it is all. */
  get isShort(): boolean {
    return this.#transferTag !== TAG_NONE && this.receivedBytes < this.#burstEnd;
  }

  /** The PDU's data is in place. Answers whether its sequence has ended: it says so, or nothing more is due in it. */
  took(bhs: Buffer, dataBytes: number): boolean {
    this.receivedBytes += dataBytes;
    this.#dataSN += 1;
    return isFinal(bhs) || this.receivedBytes === this.#burstEnd;
  }

  /** Opens the next solicited burst; answers what its R2T asks for. */
  nextBurst(transferTag: number, maxBurstLength: number): Burst {
    const offset = this.receivedBytes;
    const length = Math.min(maxBurstLength, this.expectedBytes - offset);
    assert(length > 0);
    this.#burstEnd = offset + length;
    this.#transferTag = transferTag;
    this.#dataSN = 0;
    const r2tSN = this.#r2tSN;
    this.#r2tSN += 1;
    return { r2tSN, offset, length };
  }
}
