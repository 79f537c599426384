/**
 * The way out: answers are built one behind the other in a slab, and a slab goes to the socket in one write.
 *
 * A slab that the socket has taken whole is used again at once; one that it still holds is put aside until it has
 * been sent. `backlogBytes` tells how much that is, so that no more is produced for a peer that does not read.
 */
import { strict as assert } from "node:assert";
import type { Socket } from "node:net";
import { BHS_BYTES, DIGEST_BYTES, paddedLength } from "../iscsi/bhs.ts";
import { crc32c } from "../iscsi/crc32c.ts";
import { release } from "./released-memory.ts";

const SLAB_BYTES = 1024 * 1024;
const FLUSH_BYTES = 512 * 1024;
const SPARE_SLABS_MAX = 8;
/** What has to wait and is no longer than this waits in a buffer of its own, not in a slab. */
const COPY_BYTES_MAX = 256 * 1024;

/** Slabs that hold nothing now, shared by all connections of the thread: one that only waits has none. */
const spare: Buffer[] = [];
/** What the sockets of all connections of the thread have not taken yet. */
let allPendingBytes = 0;

/** Bytes that wait for initiators to take them, of all connections of the thread. */
export function totalBacklogBytes(): number {
  return allPendingBytes;
}

export class Transmitter {
  headerDigest = false;
  dataDigest = false;
  readonly #socket: Socket;
  readonly #onSent: () => void;
  #slab: Buffer | undefined;
  #used = 0;
  #pendingBytes = 0;
  #builtBytes = 0;

  /** `onSent`: the peer has taken something of what had to wait for it. */
  constructor(socket: Socket, onSent: () => void) {
    this.#socket = socket;
    this.#onSent = onSent;
  }

  /** Bytes that the socket has not taken yet. */
  get backlogBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes of all PDUs so far. */
  get builtBytes(): number {
    return this.#builtBytes;
  }

  /** The slab that the next PDU is built in. Valid until the next `reserve` or `flush`. */
  get slab(): Buffer {
    assert(this.#slab !== undefined);
    return this.#slab;
  }

  /** Makes room for a PDU with `dataBytes` of data; answers where its header goes in `slab`. */
  reserve(dataBytes: number): number {
    const bytes = this.#pduBytes(dataBytes);
    assert(bytes <= SLAB_BYTES);
    if (this.#slab !== undefined && this.#used + bytes > SLAB_BYTES) this.flush();
    this.#slab ??= spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
    return this.#used;
  }

  /** Where the data of a PDU whose header is at `at` goes. */
  dataOffset(at: number): number {
    return at + BHS_BYTES + (this.headerDigest ? DIGEST_BYTES : 0);
  }

  /** The PDU at `at` is complete but for padding and digests: it will be sent. */
  commit(at: number, dataBytes: number): void {
    const { slab } = this;
    assert(at === this.#used);
    if (this.headerDigest) slab.writeUInt32LE(crc32c(slab.subarray(at, at + BHS_BYTES)), at + BHS_BYTES);
    const data = this.dataOffset(at);
    const padded = paddedLength(dataBytes);
    slab.fill(0, data + dataBytes, data + padded);
    if (this.dataDigest && dataBytes > 0) {
      slab.writeUInt32LE(crc32c(slab.subarray(data, data + padded)), data + padded);
    }
    this.#used = at + this.#pduBytes(dataBytes);
    this.#builtBytes += this.#used - at;
    if (this.#used >= FLUSH_BYTES) this.flush();
  }

  /** Hands what was built to the socket. */
  flush(): void {
    const slab = this.#slab;
    const bytes = this.#used;
    if (slab === undefined || bytes === 0) return;
    if (this.#socket.destroyed || this.#socket.writableEnded) {
      this.#used = 0;
      return;
    }
    this.#used = 0;
    if (this.#socket.writableLength > 0 && bytes <= COPY_BYTES_MAX) {
      // It will have to wait behind what waits already.
      this.#wait(bytes);
      const copy = Buffer.from(slab.subarray(0, bytes));
      this.#slab = undefined;
      spareIt(slab);
      this.#socket.write(copy, () => {
        release(copy);
        this.#waited(bytes);
      });
      return;
    }
    let isTaken = false;
    this.#socket.write(slab.subarray(0, bytes), () => {
      if (isTaken) return;
      spareIt(slab);
      this.#waited(bytes);
    });
    this.#slab = undefined;
    // The system has a copy already: the slab, which the caches still hold, is filled again next.
    isTaken = this.#socket.writableLength === 0;
    if (isTaken) spareIt(slab);
    else this.#wait(bytes);
  }

  #wait(bytes: number): void {
    this.#pendingBytes += bytes;
    allPendingBytes += bytes;
  }

  #waited(bytes: number): void {
    this.#pendingBytes -= bytes;
    allPendingBytes -= bytes;
    this.#onSent();
  }

  #pduBytes(dataBytes: number): number {
    const header = BHS_BYTES + (this.headerDigest ? DIGEST_BYTES : 0);
    return header + paddedLength(dataBytes) + (this.dataDigest && dataBytes > 0 ? DIGEST_BYTES : 0);
  }
}

function spareIt(slab: Buffer): void {
  if (spare.length < SPARE_SLABS_MAX) spare.push(slab);
  else release(slab);
}
