/**
 * Buffers that two threads see: one fills them, the other takes out what is in them, and neither asks the system for
 * memory on the way. So many and no more, whoever wants them; given back to the system when nobody has one.
 */
import { Permits } from "../platform/permits.ts";

export class SharedBuffers {
  readonly #bufferBytes: number;
  readonly #permits: Permits;
  readonly #free: SharedArrayBuffer[] = [];
  #used = 0;

  constructor(count: number, bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
    this.#permits = new Permits(count);
  }

  /** Runs `action` with a buffer of its own, whose content is anything; waits for one where all are in use. */
  run<T>(action: (buffer: SharedArrayBuffer) => Promise<T>): Promise<T> {
    return this.#permits.run(async () => {
      const buffer = this.#free.pop() ?? new SharedArrayBuffer(this.#bufferBytes);
      this.#used += 1;
      try {
        return await action(buffer);
      } finally {
        this.#used -= 1;
        if (this.#used > 0) this.#free.push(buffer);
        else this.#free.length = 0;
      }
    });
  }
}
