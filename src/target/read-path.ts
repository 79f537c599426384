/** The data of READ commands on its way out: inline into the transmit slab, or part by part where that takes long. */
import type { BlockDevice } from "../scsi/block-device.ts";
import type { Connection } from "./connection.ts";
import type { Progress, Responder } from "./responder.ts";

/** Cut off what a slow reader asked for into parts of this size. */
const SLOW_READ_BYTES = 256 * 1024;
/** A read of up to so much is answered in one turn. */
const INLINE_READ_BYTES = 1024 * 1024;

export class ReadPath {
  readonly #connection: Connection;
  readonly #responder: Responder;
  readonly #backlogBytesMax: number;
  #drainWaiters: (() => void)[] = [];

  /** No more is read for a peer that has `backlogBytesMax` to take. */
  constructor(connection: Connection, responder: Responder, backlogBytesMax: number) {
    this.#connection = connection;
    this.#responder = responder;
    this.#backlogBytesMax = backlogBytesMax;
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
   * wanted any more. Rejects with a DeviceError.
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
    const { transmitter } = this.#connection;
    let buffer: Buffer = Buffer.alloc(0);
    while (progress.done < total && isWanted()) {
      if (this.#connection.isTurnOver) await this.#connection.nextTurn();
      const wanted = Math.min(SLOW_READ_BYTES, total - progress.done);
      const whole = Math.ceil(wanted / device.logicalBlockBytes) * device.logicalBlockBytes;
      if (buffer.length < whole) buffer = Buffer.allocUnsafe(whole);
      await device.read(offsetBytes + progress.done, buffer, 0, whole);
      if (!isWanted()) return;
      const end = progress.done + wanted;
      const start = progress.done;
      this.#connection.later(() => {
        while (progress.done < end) {
          const length = Math.min(this.#responder.segmentLength(progress.done, total), end - progress.done);
          const at = transmitter.reserve(length);
          const from = progress.done - start;
          buffer.copy(transmitter.slab, transmitter.dataOffset(at), from, from + length);
          this.#responder.dataIn(bhs, at, length, total, lengthBytes, progress);
        }
      });
      if (transmitter.backlogBytes > this.#backlogBytesMax) {
        await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
      }
    }
  }

  /** The peer has taken all that was sent, or has gone. */
  onDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const waiter of waiters) waiter();
  }
}
