/**
 * Counts a volume's I/O where it is served. The counters are one typed array a volume: counting makes no object, and
 * costs two readings of the clock an I/O.
 */
import type { IoFigures } from "../gateway/measurements.ts";
import type { Clock } from "../platform/clock.ts";
import { LATENCY_CLASSES, latencyClass } from "../platform/latency-histogram.ts";
import type { BlockDevice } from "../scsi/block-device.ts";

/** Where the counters of one kind of I/O begin, and what is at each place from there. */
const COUNT = 0;
const BYTES = 1;
const TOTAL_US = 2;
const LATENCIES = 3;
const KIND_LENGTH = LATENCIES + LATENCY_CLASSES;
const READS = 0;
const WRITES = KIND_LENGTH;
const FLUSHES = 2 * KIND_LENGTH;
const UNMAPPED_BYTES = 3 * KIND_LENGTH;
const FAILED = UNMAPPED_BYTES + 1;
const QUEUED_WRITES = FAILED + 1;
const LENGTH = QUEUED_WRITES + 1;
const US_PER_MS = 1000;

const NO_IO: IoFigures = {
  ...{ count: 0, bytes: 0, totalUs: 0 },
  latencies: new Array<number>(LATENCY_CLASSES).fill(0),
};

/** What a device has counted that nothing has passed through. */
export const NOTHING_METERED = {
  ...{ reads: NO_IO, writes: NO_IO, flushes: NO_IO, unmappedBytes: 0, failedIos: 0 },
};

/** A device that counts what passes through it; see `BlockDevice` for what it promises. */
// `Required`: a method that a device may have must not be lost behind this one.
export class MeteredDevice implements Required<BlockDevice> {
  readonly #device: BlockDevice;
  readonly #clock: Clock;
  readonly #counters: Float64Array;

  readonly isWriteProtected: boolean;

  /** `before`: the device that the same volume had, whose counts go on here. */
  constructor(device: BlockDevice, clock: Clock, before?: MeteredDevice, isWriteProtected = false) {
    this.isWriteProtected = isWriteProtected;
    this.#device = device;
    this.#clock = clock;
    this.#counters = before === undefined ? new Float64Array(LENGTH) : before.#counters;
    this.#counters[QUEUED_WRITES] = 0;
  }

  get sizeBytes(): number {
    return this.#device.sizeBytes;
  }

  get logicalBlockBytes(): number {
    return this.#device.logicalBlockBytes;
  }

  get physicalBlockBytes(): number {
    return this.#device.physicalBlockBytes;
  }

  get reads(): IoFigures {
    return this.#figures(READS);
  }

  get writes(): IoFigures {
    return this.#figures(WRITES);
  }

  get flushes(): IoFigures {
    return this.#figures(FLUSHES);
  }

  get unmappedBytes(): number {
    return this.#counters[UNMAPPED_BYTES] ?? 0;
  }

  get failedIos(): number {
    return this.#counters[FAILED] ?? 0;
  }

  get queuedWrites(): number {
    return this.#counters[QUEUED_WRITES] ?? 0;
  }

  tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean {
    const beganMs = this.#clock.monotonicMs();
    let isServed: boolean;
    try {
      isServed = this.#device.tryRead(offsetBytes, target, targetOffset, lengthBytes);
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    }
    if (isServed) this.#count(READS, lengthBytes, beganMs);
    return isServed;
  }

  tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean {
    const beganMs = this.#clock.monotonicMs();
    let isServed: boolean;
    try {
      isServed = this.#device.tryWrite(offsetBytes, source, sourceOffset, lengthBytes);
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    }
    if (isServed) this.#count(WRITES, lengthBytes, beganMs);
    return isServed;
  }

  async read(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): Promise<void> {
    const beganMs = this.#clock.monotonicMs();
    try {
      await this.#device.read(offsetBytes, target, targetOffset, lengthBytes);
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    }
    this.#count(READS, lengthBytes, beganMs);
  }

  async write(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): Promise<void> {
    const beganMs = this.#clock.monotonicMs();
    this.#add(QUEUED_WRITES, 1);
    try {
      await this.#device.write(offsetBytes, source, sourceOffset, lengthBytes);
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    } finally {
      this.#add(QUEUED_WRITES, -1);
    }
    this.#count(WRITES, lengthBytes, beganMs);
  }

  async flush(): Promise<void> {
    const beganMs = this.#clock.monotonicMs();
    try {
      await this.#device.flush();
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    }
    this.#count(FLUSHES, 0, beganMs);
  }

  async unmap(offsetBytes: number, lengthBytes: number): Promise<void> {
    try {
      await this.#device.unmap(offsetBytes, lengthBytes);
    } catch (error) {
      this.#add(FAILED, 1);
      throw error;
    }
    this.#add(UNMAPPED_BYTES, lengthBytes);
  }

  async readNear(
    offsetBytes: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
  ): Promise<boolean> {
    return (await this.#device.readNear?.(offsetBytes, target, targetOffset, lengthBytes)) === true;
  }

  expect(offsetBytes: number, lengthBytes: number): void {
    this.#device.expect?.(offsetBytes, lengthBytes);
  }

  emptyBytes(offsetBytes: number, lengthBytes: number): number {
    return this.#device.emptyBytes?.(offsetBytes, lengthBytes) ?? 0;
  }

  #count(kind: number, bytes: number, beganMs: number): void {
    const tookUs = (this.#clock.monotonicMs() - beganMs) * US_PER_MS;
    this.#add(kind + COUNT, 1);
    this.#add(kind + BYTES, bytes);
    this.#add(kind + TOTAL_US, tookUs);
    this.#add(kind + LATENCIES + latencyClass(tookUs), 1);
  }

  #add(at: number, value: number): void {
    // Every index is one of the constants above, or a class of latencies behind one.
    (this.#counters[at] as number) += value;
  }

  #figures(kind: number): IoFigures {
    const counters = this.#counters;
    return {
      count: counters[kind + COUNT] ?? 0,
      bytes: counters[kind + BYTES] ?? 0,
      totalUs: counters[kind + TOTAL_US] ?? 0,
      latencies: Array.from(counters.subarray(kind + LATENCIES, kind + LATENCIES + LATENCY_CLASSES)),
    };
  }
}
