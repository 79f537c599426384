/**
 * From a stream of bytes to PDUs, without copying what arrives whole.
 *
 * The chunk that is handed in is only lent: a PDU that lies wholly in it is passed on in place, the beginning of one
 * that does not is kept in a buffer of our own. Data segments of writes go straight to where they are collected.
 *
 * A header is checked (its digest, and the length that it announces) before a byte behind it is waited for: no header
 * makes this keep more than one PDU of the agreed length.
 */
import { strict as assert } from "node:assert";
import { ahsBytesOf, BHS_BYTES, DIGEST_BYTES, dataSegmentLengthOf, paddedLength } from "../iscsi/bhs.ts";
import { crc32c } from "../iscsi/crc32c.ts";
import { RECV_DATA_SEGMENT_BYTES } from "../iscsi/negotiation.ts";
import { ProtocolError } from "../iscsi/protocol-error.ts";

/** Who gets the PDUs. All buffers are lent for the duration of the call. */
export interface PduHandler {
  onPdu(bhs: Buffer, data: Buffer): void;
  /** A PDU whose data segment has not kept its digest: its header can be believed, its data is gone. */
  onDataDigestError(bhs: Buffer): void;
  /** A PDU announces more data than was agreed: no byte of it is waited for, the connection ends. */
  onTooLong(bhs: Buffer): void;
  /** Where a data segment that has not arrived whole is to be collected; undefined: nowhere special. */
  collectInto(bhs: Buffer, lengthBytes: number): Buffer | undefined;
  /** The data segment asked for by `collectInto` is complete, and right unless its digest says otherwise. */
  onCollected(bhs: Buffer, isRight: boolean): void;
  /** Whether to go on: false leaves the rest of the bytes for `resume`. */
  wantsMore(): boolean;
}

const AHS_BYTES_MAX = 255 * 4;
const PDU_BYTES_MAX = BHS_BYTES + AHS_BYTES_MAX + DIGEST_BYTES + RECV_DATA_SEGMENT_BYTES + DIGEST_BYTES;
const PADDING_BYTES_MAX = 3;

export class PduReceiver {
  headerDigest = false;
  dataDigest = false;
  /** Longer data segments end the connection. */
  dataSegmentBytesMax = RECV_DATA_SEGMENT_BYTES;
  readonly #handler: PduHandler;
  /** The part of a PDU that came with earlier chunks. */
  #carry = Buffer.alloc(BHS_BYTES);
  #carried = 0;
  /** The header in `#carry` is whole and has been checked. */
  #isHeaderChecked = false;
  readonly #collectHeader = Buffer.alloc(BHS_BYTES);
  #collect: Buffer | undefined;
  #collected = 0;
  /** What follows a collected data segment: its padding and its digest. */
  readonly #trailer = Buffer.alloc(PADDING_BYTES_MAX + DIGEST_BYTES);
  #trailerBytes = 0;
  #trailed = 0;
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
      if (this.#collect !== undefined) at = this.#continueCollecting(this.#collect, chunk, at);
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
    this.#checkLength(bhs);
    const headerBytes = this.#headerBytes(bhs);
    if (available < headerBytes) return this.#beginCarry(chunk, at);
    if (this.headerDigest) this.#checkHeader(chunk.subarray(at, at + headerBytes));
    const total = headerBytes + this.#dataBytes(bhs);
    if (available >= total) {
      this.#deliver(bhs, chunk.subarray(at + headerBytes, at + total));
      return at + total;
    }
    if (this.#beginCollecting(bhs)) return at + headerBytes;
    const next = this.#beginCarry(chunk, at);
    this.#isHeaderChecked = true;
    return next;
  }

  /** Whether the data segment behind this header goes to a place of the handler's. */
  #beginCollecting(bhs: Buffer): boolean {
    const length = dataSegmentLengthOf(bhs);
    const target = length === 0 ? undefined : this.#handler.collectInto(bhs, length);
    if (target === undefined) return false;
    assert(target.length === length);
    bhs.copy(this.#collectHeader, 0, 0, BHS_BYTES);
    this.#collect = target;
    this.#collected = 0;
    this.#trailerBytes = this.#dataBytes(bhs) - length;
    this.#trailed = 0;
    return true;
  }

  #beginCarry(chunk: Buffer, at: number): number {
    this.#isHeaderChecked = false;
    this.#ensureCarry(chunk.length - at);
    chunk.copy(this.#carry, 0, at);
    this.#carried = chunk.length - at;
    return chunk.length;
  }

  #continueCarry(chunk: Buffer, at: number): number {
    let needed = BHS_BYTES;
    if (this.#carried >= BHS_BYTES) {
      needed = this.#headerBytes(this.#carry);
      if (this.#isHeaderChecked) needed += this.#dataBytes(this.#carry);
    }
    this.#ensureCarry(needed);
    const count = Math.min(needed - this.#carried, chunk.length - at);
    chunk.copy(this.#carry, this.#carried, at, at + count);
    this.#carried += count;
    if (this.#carried < BHS_BYTES) return at + count;
    const headerBytes = this.#headerBytes(this.#carry);
    if (!this.#isHeaderChecked) {
      this.#checkLength(this.#carry);
      if (this.#carried < headerBytes) return at + count;
      if (this.headerDigest) this.#checkHeader(this.#carry.subarray(0, headerBytes));
      this.#isHeaderChecked = true;
      if (this.#beginCollecting(this.#carry)) {
        this.#carried = 0;
        return at + count;
      }
    }
    if (this.#carried === headerBytes + this.#dataBytes(this.#carry)) {
      const data = this.#carry.subarray(headerBytes, this.#carried);
      this.#carried = 0;
      this.#deliver(this.#carry.subarray(0, BHS_BYTES), data);
    }
    return at + count;
  }

  #continueCollecting(target: Buffer, chunk: Buffer, at: number): number {
    const count = Math.min(target.length - this.#collected, chunk.length - at);
    chunk.copy(target, this.#collected, at, at + count);
    this.#collected += count;
    let next = at + count;
    if (this.#collected < target.length) return next;
    const trailing = Math.min(this.#trailerBytes - this.#trailed, chunk.length - next);
    chunk.copy(this.#trailer, this.#trailed, next, next + trailing);
    this.#trailed += trailing;
    next += trailing;
    if (this.#trailed < this.#trailerBytes) return next;
    this.#collect = undefined;
    this.#handler.onCollected(this.#collectHeader, !this.dataDigest || this.#isCollectedRight(target));
    return next;
  }

  #isCollectedRight(target: Buffer): boolean {
    const padding = this.#trailer.subarray(0, this.#trailerBytes - DIGEST_BYTES);
    return crc32c(padding, crc32c(target)) === this.#trailer.readUInt32LE(padding.length);
  }

  #ensureCarry(bytes: number): void {
    assert(bytes <= PDU_BYTES_MAX);
    if (this.#carry.length >= bytes) return;
    const larger = Buffer.alloc(Math.max(bytes, Math.min(2 * this.#carry.length, PDU_BYTES_MAX)));
    this.#carry.copy(larger, 0, 0, this.#carried);
    this.#carry = larger;
  }

  #checkLength(bhs: Buffer): void {
    if (dataSegmentLengthOf(bhs) > this.dataSegmentBytesMax) {
      this.#handler.onTooLong(bhs);
      throw new ProtocolError("a data segment longer than was agreed");
    }
  }

  /** Without its header nothing of the PDU can be trusted, not even where the next one begins (RFC 7143, 7.7). */
  #checkHeader(header: Buffer): void {
    const end = header.length - DIGEST_BYTES;
    if (crc32c(header.subarray(0, end)) !== header.readUInt32LE(end)) {
      throw new ProtocolError("header digest error");
    }
  }

  /** Basic and additional header segments, and their digest. */
  #headerBytes(bhs: Buffer): number {
    return BHS_BYTES + ahsBytesOf(bhs) + (this.headerDigest ? DIGEST_BYTES : 0);
  }

  /** Data segment, padding, and their digest. */
  #dataBytes(bhs: Buffer): number {
    const length = dataSegmentLengthOf(bhs);
    return length === 0 ? 0 : paddedLength(length) + (this.dataDigest ? DIGEST_BYTES : 0);
  }

  /** `segment`: the data with its padding and its digest. */
  #deliver(bhs: Buffer, segment: Buffer): void {
    const length = dataSegmentLengthOf(bhs);
    if (this.dataDigest && length > 0) {
      const end = paddedLength(length);
      if (crc32c(segment.subarray(0, end)) !== segment.readUInt32LE(end)) {
        this.#handler.onDataDigestError(bhs);
        return;
      }
    }
    this.#handler.onPdu(bhs, segment.subarray(0, length));
  }
}
