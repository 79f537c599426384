/**
 * The two units of a volume: blocks, in which it is stored and uploaded, and pieces, in which writes are tracked.
 *
 * Both are fixed for now. A block's pieces fit a 16-bit mask, which is what dirty maps and slot descriptors hold;
 * other block sizes need wider masks there.
 */

/** One block: the unit of the vault's chunks and of cache and upload-buffer slots. */
export const BLOCK_BYTES = 64 * 1024;
/** One piece: the unit of dirty tracking and of a slot's validity. */
export const PIECE_BYTES = 4096;
/** The mask of a block whose pieces are all there. */
export const ALL_PIECES = 0xffff;

/** The mask of the pieces that a range inside one block touches, even if only in part. */
export function touchedPieces(offsetInBlock: number, lengthBytes: number): number {
  const first = Math.floor(offsetInBlock / PIECE_BYTES);
  const last = Math.floor((offsetInBlock + lengthBytes - 1) / PIECE_BYTES);
  return pieceRun(first, last - first + 1);
}

/** The mask of the pieces that a range inside one block covers from end to end. */
export function coveredPieces(offsetInBlock: number, lengthBytes: number): number {
  const first = Math.ceil(offsetInBlock / PIECE_BYTES);
  const end = Math.floor((offsetInBlock + lengthBytes) / PIECE_BYTES);
  return end > first ? pieceRun(first, end - first) : 0;
}

/** The mask of `count` pieces from `first` on. */
export function pieceRun(first: number, count: number): number {
  return ((1 << count) - 1) << first;
}
