/** Serial number arithmetic on 32 bits (RFC 1982), as RFC 7143 wants it for CmdSN and StatSN. */

const HALF = 0x80000000;

/** `a + n` modulo 2^32. */
export function serialAdd(a: number, n: number): number {
  return (a + n) >>> 0;
}

/** Whether `a` comes before `b`. */
export function serialBefore(a: number, b: number): boolean {
  return a !== b && (b - a) >>> 0 < HALF;
}
