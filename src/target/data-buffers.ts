/** Buffers for Data-Out that has to be collected, within the limits of a session and of all sessions together. */

const POOLED_BYTES_MAX = 64 * 1024 * 1024;

export class DataBuffers {
  readonly #limitBytes: number;
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A buffer of at least `lengthBytes`, content undefined; undefined where the limit is reached. */
  take(lengthBytes: number): Buffer | undefined {
    const size = sizeClass(lengthBytes);
    if (this.#usedBytes + size > this.#limitBytes) return undefined;
    this.#usedBytes += size;
    const pooled = this.#free.get(size)?.pop();
    if (pooled === undefined) return Buffer.allocUnsafeSlow(size);
    this.#freeBytes -= size;
    return pooled;
  }

  /** Takes a buffer back that `take` gave. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    this.#usedBytes -= size;
    if (this.#freeBytes + size > POOLED_BYTES_MAX) return;
    const list = this.#free.get(size) ?? [];
    list.push(buffer);
    this.#free.set(size, list);
    this.#freeBytes += size;
  }
}

function sizeClass(lengthBytes: number): number {
  return Math.max(4096, 2 ** Math.ceil(Math.log2(Math.max(lengthBytes, 1))));
}
