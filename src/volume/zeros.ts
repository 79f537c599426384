/** Zeros, and how they are told from data. */

/** A mebibyte of zeros. Where it is the very source of a write, the range is being given back. */
export const ZEROS: Buffer = Buffer.alloc(1024 * 1024);

/** Whether the range holds zeros alone. Data is mostly told by its first or last byte. */
export function isZeros(source: Buffer, from: number, lengthBytes: number): boolean {
  const end = from + lengthBytes;
  if (source[from] !== 0 || source[end - 1] !== 0) return false;
  for (let at = from; at < end; at += ZEROS.length) {
    const length = Math.min(ZEROS.length, end - at);
    if (source.compare(ZEROS, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}
