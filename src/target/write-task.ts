/** A command whose Data-Out buffer is being collected (RFC 7143, 11.7 and 11.8): what has come, what is due next. */
import { strict as assert } from "node:assert";
import { AT, BHS_BYTES, isFinal } from "../iscsi/bhs.ts";
import type { SessionParameters } from "../iscsi/negotiation.ts";

/** What is wrong with a Data-Out PDU; the command ends with it. */
export type DataOutFault = "out of order" | "too long";

export class WriteTask {
  /** The SCSI Command PDU's header, CDB and all. */
  readonly bhs: Buffer;
  readonly buffer: Buffer;
  readonly expectedBytes: number;
  receivedBytes = 0;
  aborted = false;
  /** End of the burst that was asked for; during unsolicited data the FirstBurstLength. */
  #burstEnd: number;
  #transferTag: number;
  #dataSN = 0;
  #r2tSN = 0;

  constructor(bhs: Buffer, buffer: Buffer, parameters: SessionParameters) {
    this.bhs = Buffer.from(bhs);
    this.buffer = buffer;
    this.expectedBytes = bhs.readUInt32BE(AT.expectedDataTransferLength);
    this.#burstEnd = Math.min(this.expectedBytes, parameters.firstBurstLength);
    this.#transferTag = 0xffffffff;
    assert(this.bhs.length === BHS_BYTES && buffer.length >= this.expectedBytes);
  }

  get initiatorTaskTag(): number {
    return this.bhs.readUInt32BE(AT.initiatorTaskTag);
  }

  get transferTag(): number {
    return this.#transferTag;
  }

  get complete(): boolean {
    return this.receivedBytes >= this.expectedBytes;
  }

  /** Checks that the PDU is the one that is due, before its data is taken. */
  check(bhs: Buffer, dataBytes: number): DataOutFault | undefined {
    const offset = bhs.readUInt32BE(AT.bufferOffset);
    const inOrder =
      offset === this.receivedBytes &&
      bhs.readUInt32BE(AT.dataSN) === this.#dataSN &&
      bhs.readUInt32BE(AT.targetTransferTag) === this.#transferTag;
    if (!inOrder) return "out of order";
    return offset + dataBytes > this.#burstEnd ? "too long" : undefined;
  }

  /** Where the data of the PDU that `check` has passed goes. */
  place(dataBytes: number): Buffer {
    return this.buffer.subarray(this.receivedBytes, this.receivedBytes + dataBytes);
  }

  /** The PDU's data is in place. Answers whether its sequence has ended. */
  took(bhs: Buffer, dataBytes: number): boolean {
    this.receivedBytes += dataBytes;
    this.#dataSN += 1;
    return isFinal(bhs);
  }

  /** Opens the next solicited burst; answers what its R2T asks for. */
  nextBurst(transferTag: number, maxBurstLength: number): { r2tSN: number; offset: number; length: number } {
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
