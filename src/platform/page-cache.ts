/**
 * Reads that don't wait: preadv2(2) with RWF_NOWAIT takes what is in the system's page cache, and otherwise tells so at
 * once, with the disk told to bring it. Not all file systems have that, nor all machines a way to call it.
 */
import { strict as assert } from "node:assert";
import { addressOf, lastError, pointerBytes, processFunction } from "./libc.ts";

const RWF_NOWAIT = 8;
/** Where there is no such call, or no such reads of this file, or no file: EPERM, EBADF, EINVAL, ENOSYS, EOPNOTSUPP. */
const REFUSALS: ReadonlySet<number> = new Set([1, 9, 22, 38, 95]);

/** What has come of a read that was not to wait. */
export const CACHED = {
  /** All is there. */
  read: 1,
  /** Some of it is still on the disk; what the target holds is undefined. */
  missing: 0,
  /** This can't be asked here: read as ever. */
  refused: -1,
} as const;
export type Cached = (typeof CACHED)[keyof typeof CACHED];

type Preadv2 = (fd: number, iovec: Buffer, count: number, positionBytes: number, flags: number) => unknown;

/** Undefined until it is first needed, null where there is none. */
let preadv2: Preadv2 | null | undefined;
/** A struct iovec: address and length, 64 bits each. Calls are made one by one, and don't keep it. */
const iovec = Buffer.allocUnsafeSlow(16);
const words = new Uint32Array(iovec.buffer, iovec.byteOffset, 4);
/** Where the bytes of buffers are: they never move, and asking costs as much as a small read. */
const addresses = new WeakMap<ArrayBufferLike, number>();
/** What a call writes to: C is told of an address alone, and the buffer must not be collected meanwhile. */
const lent: { buffer: Buffer | undefined } = { buffer: undefined };

/** Reads exactly `lengthBytes` from the page cache, or says why not. On the hot path: nothing is made for a call. */
export function readCached(
  fd: number,
  target: Buffer,
  targetOffset: number,
  lengthBytes: number,
  positionBytes: number,
): Cached {
  // C looks at no length.
  assert(targetOffset >= 0 && lengthBytes >= 0 && targetOffset + lengthBytes <= target.length);
  preadv2 ??= find();
  if (preadv2 === null) return CACHED.refused;
  const at = baseOf(target.buffer) + target.byteOffset + targetOffset;
  words[0] = at % 2 ** 32;
  words[1] = Math.floor(at / 2 ** 32);
  words[2] = lengthBytes;
  words[3] = 0;
  lent.buffer = target;
  const count = preadv2(fd, iovec, 1, positionBytes, RWF_NOWAIT);
  lent.buffer = undefined;
  if (count === lengthBytes) return CACHED.read;
  // Where the file ends before, or its disk fails, the reader that waits finds out.
  return count === -1 && REFUSALS.has(lastError()) ? CACHED.refused : CACHED.missing;
}

function find(): Preadv2 | null {
  const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  if (process.platform !== "linux" || !isLittleEndian) return null;
  try {
    // A struct iovec is laid out otherwise there.
    if (pointerBytes() !== 8) return null;
    return processFunction("int64_t preadv2(int, uint8_t *, int, int64_t, int)") as Preadv2;
  } catch {
    // No binary for this machine, or an old C library.
    return null;
  }
}

function baseOf(bytes: ArrayBufferLike): number {
  let address = addresses.get(bytes);
  if (address === undefined) {
    address = addressOf(new Uint8Array(bytes));
    addresses.set(bytes, address);
  }
  return address;
}
