/**
 * A delta: the pieces of a block that have changed since an older version of it. A piece is a sixteenth of a block.
 *
 * ```
 * u16 LE mask: bit p: piece p is here · the pieces, by ascending number
 * ```
 */
import { VaultError } from "./vault-error.ts";

export const PIECES_PER_BLOCK = 16;
/** Above this a delta saves too little for what it costs to read. */
const DELTA_PIECES_MAX = 12;
const MASK_BYTES = 2;

/** Whether a change of these pieces is worth a delta. */
export function isWorthDelta(mask: number): boolean {
  const pieces = countPieces(mask);
  return pieces > 0 && pieces <= DELTA_PIECES_MAX;
}

/** The delta that makes a block `content` which differs from it in the pieces of `mask` at most. */
export function encodeDelta(content: Buffer, mask: number): Buffer {
  const pieceBytes = content.length / PIECES_PER_BLOCK;
  const delta = Buffer.alloc(MASK_BYTES + countPieces(mask) * pieceBytes);
  delta.writeUInt16LE(mask, 0);
  let to = MASK_BYTES;
  for (let piece = 0; piece < PIECES_PER_BLOCK; piece++) {
    if ((mask & (1 << piece)) === 0) continue;
    content.copy(delta, to, piece * pieceBytes, (piece + 1) * pieceBytes);
    to += pieceBytes;
  }
  return delta;
}

/** Puts the delta's pieces over `content`. Throws a VaultError where it is none for a block of that size. */
export function applyDelta(content: Buffer, delta: Buffer): void {
  const pieceBytes = content.length / PIECES_PER_BLOCK;
  const mask = delta.length < MASK_BYTES ? 0 : delta.readUInt16LE(0);
  if (mask === 0 || delta.length !== MASK_BYTES + countPieces(mask) * pieceBytes)
    throw new VaultError("corrupt", "a delta does not fit its block");
  let from = MASK_BYTES;
  for (let piece = 0; piece < PIECES_PER_BLOCK; piece++) {
    if ((mask & (1 << piece)) === 0) continue;
    delta.copy(content, piece * pieceBytes, from, from + pieceBytes);
    from += pieceBytes;
  }
}

function countPieces(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
