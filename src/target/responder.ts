/**
 * What a session sends: each PDU built in the transmit slab, with the session's counters as they stand (RFC 7143, 4.2.2
 * and 11). Nothing here knows what a command does.
 */
import { AT, BHS_BYTES, FINAL, FLAG_READ, isImmediate, TAG_NONE } from "../iscsi/bhs.ts";
import type { SessionParameters } from "../iscsi/negotiation.ts";
import {
  type Counters,
  OVERFLOW,
  STATUS_PRESENT,
  UNDERFLOW,
  writeAsyncMessage,
  writeDataIn,
  writeLogoutResponse,
  writeNopIn,
  writeR2T,
  writeReject,
  writeScsiResponse,
  writeTaskManagementResponse,
  writeTextResponse,
} from "../iscsi/pdu/responses.ts";
import { serialAdd, serialBefore } from "../iscsi/serial.ts";
import { type FailedCommand, STATUS } from "../scsi/sense.ts";
import type { Transmitter } from "./transmitter.ts";
import type { Burst } from "./write-task.ts";

const TEXT_CONTINUE = 0x40;
const PING_TAG = 0xfffffffe;
const ASYNC_EVENT = { logoutRequested: 1 };
const LOGOUT_WITHIN_S = 3;
/** One Data-In PDU carries no more, whatever the initiator would take. */
export const SEGMENT_BYTES_MAX = 256 * 1024;
const GOOD: FailedCommand = { status: STATUS.good, sense: undefined };

/** How far the Data-In of a command has come. */
export interface Progress {
  done: number;
  dataSN: number;
}

/** One answer to a text request. */
export interface TextPart {
  readonly data: Buffer;
  /** The exchange has ended with it. */
  readonly ends: boolean;
  /** There is more of the answer. */
  readonly more: boolean;
  readonly transferTag: number;
}

export class Responder {
  readonly #transmitter: Transmitter;
  readonly #parameters: SessionParameters;
  readonly #tasksMax: number;
  readonly #taskCount: () => number;
  readonly #counters: Counters;

  /** `first`: the counters after the login. `taskCount`: commands that are not answered yet, at most `tasksMax`. */
  constructor(
    transmitter: Transmitter,
    parameters: SessionParameters,
    first: { readonly statSN: number; readonly expCmdSN: number },
    tasksMax: number,
    taskCount: () => number,
  ) {
    this.#transmitter = transmitter;
    this.#parameters = parameters;
    this.#tasksMax = tasksMax;
    this.#taskCount = taskCount;
    const { statSN, expCmdSN } = first;
    this.#counters = { statSN, expCmdSN, maxCmdSN: serialAdd(expCmdSN, tasksMax - 1) };
  }

  /**
   * CmdSN order (RFC 7143, 4.2.2.1). One connection delivers in order, so what is not due is a stray, and what comes
   * while the window is closed was not asked for: both are ignored, as the standard says.
   */
  inOrder(bhs: Buffer): boolean {
    if (isImmediate(bhs)) return true;
    const { expCmdSN, maxCmdSN } = this.#counters;
    if (bhs.readUInt32BE(AT.cmdSN) !== expCmdSN || serialBefore(maxCmdSN, expCmdSN)) return false;
    this.#counters.expCmdSN = serialAdd(this.#counters.expCmdSN, 1);
    return true;
  }

  /** What one Data-In PDU carries from `done` on: what the initiator takes at once, within a burst. */
  segmentLength(done: number, total: number): number {
    const { maxBurstLength, maxRecvDataSegmentLength } = this.#parameters;
    const inBurst = maxBurstLength - (done % maxBurstLength);
    return Math.min(total - done, inBurst, maxRecvDataSegmentLength, SEGMENT_BYTES_MAX);
  }

  /**
   * Sends the Data-In PDU whose data stands in the slab behind `at`; with the last comes the status. `lengthBytes`: what
   * the command has in all, of which `total` goes out.
   */
  dataIn(
    bhs: Buffer,
    at: number,
    length: number,
    total: number,
    lengthBytes: number,
    progress: Progress,
  ): void {
    const transmitter = this.#transmitter;
    const offset = progress.done;
    progress.done += length;
    const last = progress.done === total;
    const expected = bhs.readUInt32BE(AT.expectedDataTransferLength);
    const burstEnds = last || progress.done % this.#parameters.maxBurstLength === 0;
    let flags = burstEnds ? FINAL : 0;
    if (last) flags |= STATUS_PRESENT | residualFlags(lengthBytes, expected);
    const counters = this.#current();
    writeDataIn(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      flags,
      progress.dataSN,
      offset,
      length,
      last ? Math.abs(lengthBytes - expected) : 0,
      counters,
    );
    if (last) counters.statSN = serialAdd(counters.statSN, 1);
    progress.dataSN += 1;
    transmitter.commit(at, length);
  }

  /** GOOD, with the residual of a command that has used or had `lengthBytes`; `expDataSN` as for `status`. */
  good(bhs: Buffer, lengthBytes: number, expected: number, expDataSN: number): void {
    const flags = residualFlags(lengthBytes, expected);
    this.status(bhs, GOOD, expDataSN, flags, flags === 0 ? 0 : Math.abs(lengthBytes - expected));
  }

  /**
   * A status that is not GOOD: the initiator is told how much of what it has room for has not come, after `doneBytes`
   * that have (RFC 7143, 11.4.5). `expDataSN` as for `status`.
   */
  failed(bhs: Buffer, outcome: FailedCommand, expDataSN: number, doneBytes: number): void {
    const hasDataIn = (bhs.readUInt8(1) & FLAG_READ) !== 0;
    const residual = hasDataIn ? bhs.readUInt32BE(AT.expectedDataTransferLength) - doneBytes : 0;
    this.status(bhs, outcome, expDataSN, residual > 0 ? UNDERFLOW : 0, Math.max(residual, 0));
  }

  /** A SCSI Response. `expDataSN`: how many R2T or Data-In PDUs the command has had (RFC 7143, 11.4.8). */
  status(bhs: Buffer, outcome: FailedCommand, expDataSN: number, flags = 0, residual = 0): void {
    const transmitter = this.#transmitter;
    const sense = outcome.sense;
    const dataBytes = sense === undefined ? 0 : sense.length + 2;
    const at = transmitter.reserve(dataBytes);
    const counters = this.#current();
    writeScsiResponse(
      transmitter.slab,
      at,
      bhs.readUInt32BE(AT.initiatorTaskTag),
      outcome.status,
      flags,
      residual,
      expDataSN,
      dataBytes,
      counters,
    );
    counters.statSN = serialAdd(counters.statSN, 1);
    if (sense !== undefined) {
      const data = transmitter.dataOffset(at);
      transmitter.slab.writeUInt16BE(sense.length, data);
      sense.copy(transmitter.slab, data + 2);
    }
    transmitter.commit(at, dataBytes);
  }

  /** Ready To Transfer. */
  readyToTransfer(bhs: Buffer, transferTag: number, burst: Burst): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(0);
    const { r2tSN, offset, length } = burst;
    writeR2T(transmitter.slab, at, bhs, transferTag, r2tSN, offset, length, this.#current());
    transmitter.commit(at, 0);
  }

  reject(bhs: Buffer, reason: number): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(BHS_BYTES);
    writeReject(transmitter.slab, at, reason, this.#withStatus());
    bhs.copy(transmitter.slab, transmitter.dataOffset(at), 0, BHS_BYTES);
    transmitter.commit(at, BHS_BYTES);
  }

  /** Answers the initiator's NOP-Out, with its data. */
  pong(bhs: Buffer, data: Buffer): void {
    const transmitter = this.#transmitter;
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    const length = Math.min(data.length, this.#parameters.maxRecvDataSegmentLength);
    const at = transmitter.reserve(length);
    const lun = bhs.readBigUInt64BE(AT.lun);
    writeNopIn(transmitter.slab, at, tag, TAG_NONE, lun, length, this.#withStatus());
    data.copy(transmitter.slab, transmitter.dataOffset(at), 0, length);
    transmitter.commit(at, length);
  }

  /** Asks the initiator whether it is there. */
  ping(): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(0);
    writeNopIn(transmitter.slab, at, TAG_NONE, PING_TAG, 0n, 0, this.#current());
    transmitter.commit(at, 0);
  }

  /** Asks the initiator to log out (RFC 7143, 11.9.1). */
  requestLogout(): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(0);
    const event = ASYNC_EVENT.logoutRequested;
    writeAsyncMessage(transmitter.slab, at, event, LOGOUT_WITHIN_S, this.#withStatus());
    transmitter.commit(at, 0);
  }

  text(bhs: Buffer, { data, ends, more, transferTag }: TextPart): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(data.length);
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    const flags = (ends ? FINAL : 0) | (more ? TEXT_CONTINUE : 0);
    writeTextResponse(transmitter.slab, at, tag, flags, transferTag, data.length, this.#withStatus());
    data.copy(transmitter.slab, transmitter.dataOffset(at));
    transmitter.commit(at, data.length);
  }

  logout(bhs: Buffer, response: number): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(0);
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    writeLogoutResponse(transmitter.slab, at, tag, response, this.#withStatus());
    transmitter.commit(at, 0);
  }

  taskManagement(bhs: Buffer, response: number): void {
    const transmitter = this.#transmitter;
    const at = transmitter.reserve(0);
    const tag = bhs.readUInt32BE(AT.initiatorTaskTag);
    writeTaskManagementResponse(transmitter.slab, at, tag, response, this.#withStatus());
    transmitter.commit(at, 0);
  }

  /** The counters as they stand; the window closes as commands pile up, and never moves back. */
  #current(): Counters {
    const open = this.#tasksMax - this.#taskCount();
    const max = serialAdd(this.#counters.expCmdSN, Math.max(open, 0) - 1);
    if (serialBefore(this.#counters.maxCmdSN, max)) this.#counters.maxCmdSN = max;
    return this.#counters;
  }

  /** The counters for a PDU that carries a status; StatSN moves on once the PDU is built. */
  #withStatus(): Counters {
    const counters = { ...this.#current() };
    this.#counters.statSN = serialAdd(this.#counters.statSN, 1);
    return counters;
  }
}

/** Overflow: the command had more than the initiator expected; underflow: less (RFC 7143, 11.4.5). */
function residualFlags(lengthBytes: number, expected: number): number {
  if (lengthBytes === expected) return 0;
  return lengthBytes > expected ? OVERFLOW : UNDERFLOW;
}
