/**
 * From a stream of bytes to PDUs, without copying what arrives whole.
 *
 * The chunk that is handed in is only lent: a PDU that lies wholly in it is passed on in place, the beginning of one
 * that does not is kept in a buffer of our own. Data segments of writes go straight to where they are collected.
 */
import { strict as assert } from "node:assert";
import { ahsBytesOf, BHS_BYTES, DIGEST_BYTES, dataSegmentLengthOf, paddedLength } from "../iscsi/bhs.ts";
import { crc32c } from "../iscsi/crc32c.ts";
import { RECV_DATA_SEGMENT_BYTES } from "../iscsi/negotiation.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";

/** Who gets the PDUs. All buffers are lent for the duration of the call. */
export interface PduHandler {
  onPdu(bhs: Buffer, data: Buffer): void;
  /** Where a data segment that has not arrived whole is to be collected; undefined: nowhere special. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined;
  /** The data segment asked for by `collectInto` is complete. */
  onCollected(bhs: Buffer): void;
  /** Whether to go on: false leaves the rest of the bytes for `resume`. */
  wantsMore(): boolean;
}

const AHS_BYTES_MAX = 255 * 4;
const PDU_BYTES_MAX = BHS_BYTES + AHS_BYTES_MAX + DIGEST_BYTES + RECV_DATA_SEGMENT_BYTES + DIGEST_BYTES;

export class PduReceiver {
  headerDigest = false;
  dataDigest = false;
  readonly #handler: PduHandler;
  /** The part of a PDU that came with earlier chunks. */
  #carry = Buffer.alloc(BHS_BYTES);
  #carried = 0;
  readonly #collectHeader = Buffer.alloc(BHS_BYTES);
  #collect: Buffer | undefined;
  #collected = 0;
  #padding = 0;
  /** Bytes that `wantsMore` has put off. */
  #waiting: Buffer | undefined;

  constructor(handler: PduHandler) {
    this.#handler = handler;
  }

  /** Takes the next bytes of the stream. Throws a ProtocolError where they can't be a PDU. */
  push(chunk: Buffer): void {
    if (this.#waiting !== undefined) {
      this.#waiting = Buffer.concat([this.#waiting, chunk]);
      return;
    }
    let at = 0;
    while (at < chunk.length) {
      if (!this.#handler.wantsMore()) {
        this.#waiting = Buffer.from(chunk.subarray(at));
        return;
      }
      if (this.#collect !== undefined) at = this.#continueCollecting(chunk, at);
      else if (this.#carried > 0) at = this.#continueCarry(chunk, at);
      else at = this.#take(chunk, at);
    }
  }

  /** Goes on with what `wantsMore` had put off. */
  resume(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) this.push(waiting);
  }

  /** A PDU that begins at `at`: passed on in place if it is all there. Answers where the next one begins. */
  #take(chunk: Buffer, at: number): number {
    const available = chunk.length - at;
    if (available < BHS_BYTES) return this.#beginCarry(chunk, at);
    const bhs = chunk.subarray(at, at + BHS_BYTES);
    const total = this.#pduBytes(bhs);
    if (available >= total) {
      this.#deliver(chunk.subarray(at, at + total));
      return at + total;
    }
    if (!this.headerDigest && !this.dataDigest && ahsBytesOf(bhs) === 0) {
      const length = dataSegmentLengthOf(bhs);
      const target = this.#handler.collectInto(bhs, length);
      if (target !== undefined) {
        assert(target.length === length);
        bhs.copy(this.#collectHeader);
        this.#collect = target;
        this.#collected = 0;
        this.#padding = paddedLength(length) - length;
        return at + BHS_BYTES;
      }
    }
    return this.#beginCarry(chunk, at);
  }

  #beginCarry(chunk: Buffer, at: number): number {
    this.#ensureCarry(chunk.length - at);
    chunk.copy(this.#carry, 0, at);
    this.#carried = chunk.length - at;
    return chunk.length;
  }

  #continueCarry(chunk: Buffer, at: number): number {
    const needed = this.#carried < BHS_BYTES ? BHS_BYTES : this.#pduBytes(this.#carry);
    this.#ensureCarry(needed);
    const count = Math.min(needed - this.#carried, chunk.length - at);
    chunk.copy(this.#carry, this.#carried, at, at + count);
    this.#carried += count;
    if (this.#carried >= BHS_BYTES && this.#carried === this.#pduBytes(this.#carry)) {
      const pdu = this.#carry.subarray(0, this.#carried);
      this.#carried = 0;
      this.#deliver(pdu);
    }
    return at + count;
  }

  #continueCollecting(chunk: Buffer, at: number): number {
    const target = this.#collect;
    assert(target !== undefined);
    const count = Math.min(target.length - this.#collected, chunk.length - at);
    chunk.copy(target, this.#collected, at, at + count);
    this.#collected += count;
    let next = at + count;
    if (this.#collected === target.length) {
      const padding = Math.min(this.#padding, chunk.length - next);
      this.#padding -= padding;
      next += padding;
      if (this.#padding === 0) {
        this.#collect = undefined;
        this.#handler.onCollected(this.#collectHeader);
      }
    }
    return next;
  }

  #ensureCarry(bytes: number): void {
    if (bytes > PDU_BYTES_MAX) throw new ProtocolError("a PDU longer than was agreed");
    if (this.#carry.length >= bytes) return;
    const larger = Buffer.alloc(Math.max(bytes, Math.min(2 * this.#carry.length, PDU_BYTES_MAX)));
    this.#carry.copy(larger, 0, 0, this.#carried);
    this.#carry = larger;
  }

  #pduBytes(bhs: Buffer): number {
    const length = dataSegmentLengthOf(bhs);
    if (length > RECV_DATA_SEGMENT_BYTES) throw new ProtocolError("a data segment longer than was agreed");
    const data = length === 0 ? 0 : paddedLength(length) + (this.dataDigest ? DIGEST_BYTES : 0);
    return BHS_BYTES + ahsBytesOf(bhs) + (this.headerDigest ? DIGEST_BYTES : 0) + data;
  }

  #deliver(pdu: Buffer): void {
    const bhs = pdu.subarray(0, BHS_BYTES);
    const length = dataSegmentLengthOf(bhs);
    let at = BHS_BYTES + ahsBytesOf(bhs);
    if (this.headerDigest) {
      // Without its header nothing of the PDU can be trusted, not even where the next one begins (RFC 7143, 7.7).
      if (crc32c(pdu.subarray(0, at)) !== pdu.readUInt32LE(at))
        throw new ProtocolError("header digest error");
      at += DIGEST_BYTES;
    }
    if (this.dataDigest && length > 0) {
      const end = at + paddedLength(length);
      if (crc32c(pdu.subarray(at, end)) !== pdu.readUInt32LE(end))
        throw new ProtocolError("data digest error");
    }
    this.#handler.onPdu(bhs, pdu.subarray(at, at + length));
  }
}
