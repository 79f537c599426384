/** The data of READ commands on its way out: inline into the transmit slab, or part by part where that takes long. */
import { DeviceError } from "../platform/device-error.ts";
import type { BlockDevice } from "../scsi/block-device.ts";
import type { Connection } from "./connection.ts";
import type { DataBuffers } from "./data-buffers.ts";
import type { Progress, Responder } from "./responder.ts";

/** Cut off what a slow reader asked for into parts of this size. */
const SLOW_READ_BYTES = 256 * 1024;
/** A read of up to so much is answered in one turn. */
const INLINE_READ_BYTES = 1024 * 1024;

export class ReadPath {
  readonly #connection: Connection;
  readonly #responder: Responder;
  readonly #buffers: DataBuffers;
  #drainWaiters: (() => void)[] = [];

  constructor(connection: Connection, responder: Responder, buffers: DataBuffers) {
    this.#connection = connection;
    this.#responder = responder;
    this.#buffers = buffers;
  }

  /** Sends as much of a read as the device gives inline, from `progress` on; answers whether that was all. */
  inline(
    bhs: Buffer,
    device: BlockDevice,
    offsetBytes: number,
    total: number,
    lengthBytes: number,
    progress: Progress,
  ): boolean {
    const { transmitter } = this.#connection;
    while (progress.done < total) {
      // The rest of a long one, in turns.
      if (progress.done >= INLINE_READ_BYTES && this.#connection.isTurnOver) return false;
      const length = this.#responder.segmentLength(progress.done, total);
      const at = transmitter.reserve(length);
      // The last block may be wanted in part only.
      const whole = Math.ceil(length / device.logicalBlockBytes) * device.logicalBlockBytes;
      if (whole !== length) return false;
      const data = transmitter.dataOffset(at);
      if (!device.tryRead(offsetBytes + progress.done, transmitter.slab, data, length)) return false;
      this.#responder.dataIn(bhs, at, length, total, lengthBytes, progress);
    }
    return true;
  }

  /**
   * Sends the rest of a read part by part, in turns, and no faster than the peer takes it. It ends early when it is not
   * wanted any more. Rejects with a DeviceError: busy where there is no buffer for it.
   */
  async slowly(
    bhs: Buffer,
    device: BlockDevice,
    offsetBytes: number,
    total: number,
    lengthBytes: number,
    progress: Progress,
    isWanted: () => boolean,
  ): Promise<void> {
    const whole = (bytes: number) => Math.ceil(bytes / device.logicalBlockBytes) * device.logicalBlockBytes;
    const rest = total - progress.done;
    const mostBytes = whole(Math.min(SLOW_READ_BYTES, rest));
    let buffer: Buffer | undefined = this.#take(mostBytes);
    try {
      if (rest > SLOW_READ_BYTES) device.expect?.(offsetBytes + progress.done, whole(rest));
      while (isWanted()) {
        if (this.#connection.isTurnOver) await this.#connection.nextTurn();
        const wanted = Math.min(SLOW_READ_BYTES, total - progress.done);
        buffer ??= this.#take(mostBytes);
        const into = buffer;
        await device.read(offsetBytes + progress.done, into, 0, whole(wanted));
        if (!isWanted()) return;
        this.#connection.later(() => this.#send(bhs, into, wanted, total, lengthBytes, progress));
        if (progress.done >= total) return;
        if (!this.#connection.isBehind) continue;
        // A peer that does not read for long must not keep others from theirs.
        this.#buffers.give(buffer);
        buffer = undefined;
        await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
      }
    } finally {
      if (buffer !== undefined) this.#buffers.give(buffer);
    }
  }

  #take(bytes: number): Buffer {
    const buffer = this.#buffers.take(bytes);
    if (buffer === undefined) throw new DeviceError("busy", "no buffer for a read");
    return buffer;
  }

  /** Sends the first `count` bytes of the buffer. */
  #send(
    bhs: Buffer,
    buffer: Buffer,
    count: number,
    total: number,
    lengthBytes: number,
    progress: Progress,
  ): void {
    const { transmitter } = this.#connection;
    for (let from = 0; from < count; ) {
      const length = Math.min(this.#responder.segmentLength(progress.done, total), count - from);
      const at = transmitter.reserve(length);
      buffer.copy(transmitter.slab, transmitter.dataOffset(at), from, from + length);
      this.#responder.dataIn(bhs, at, length, total, lengthBytes, progress);
      from += length;
    }
  }

  /** The peer has taken all that was sent, or has gone. */
  onDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const waiter of waiters) waiter();
  }
}
