/**
 * What the SCSI layer needs of a disk: the port that volumes fit by shape.
 *
 * Offsets and lengths are bytes and multiples of `logicalBlockBytes`; the caller has checked them against
 * `sizeBytes`. Every method may throw or reject with a `DeviceError` (platform/device-error.ts).
 *
 * The `try…` forms are the hot path: they finish inline and answer true, or have no effect and answer false.
 * The caller then uses the promise form. No promise, buffer or closure is made for an I/O that is served inline.
 */
export interface BlockDevice {
  /** Size of the device; it may grow, never shrink. */
  readonly sizeBytes: number;
  /** 512 unless the volume is a 4Kn one. */
  readonly logicalBlockBytes: number;
  /** 4096: writes in multiples of it, aligned, cost least. */
  readonly physicalBlockBytes: number;
  /** Whether it may only be read, for as long as it is there: writes are refused before they reach it. */
  readonly isWriteProtected?: boolean;

  /** Reads inline into `target` at `targetOffset`, or answers false and leaves `target` undefined in content. */
  tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean;
  /** Reads; `target` belongs to the device until the promise settles. */
  read(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): Promise<void>;

  /**
   * Reads what is at hand, though a disk has to be waited for: answers false, with `target` undefined in content, where
   * it would have to come from far away. Only for a device whose `tryRead` may say no for either reason.
   */
  readNear?(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): Promise<boolean>;

  /**
   * All of this is going to be read, piece by piece: what has to come from far away may be sent for at once. A device
   * that has all of it at hand may do without.
   */
  expect?(offsetBytes: number, lengthBytes: number): void;

  /**
   * Writes inline, or answers false with nothing written. True means acknowledged: every later read sees it, and
   * it survives the death of the process (not of the power: see `flush`).
   */
  tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean;
  /** Writes; `source` must not change until the promise settles. Same promise as `tryWrite`. */
  write(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): Promise<void>;

  /** Makes every write acknowledged so far survive loss of power (SYNCHRONIZE CACHE, FUA). */
  flush(): Promise<void>;

  /** Gives the range back: it reads as zeros from now on. Same promise as `write`. */
  unmap(offsetBytes: number, lengthBytes: number): Promise<void>;

  /**
   * How many bytes from the offset on, at most `lengthBytes`, are known to hold nothing without being looked at: they
   * read as zeros. 0 where that is not known. A device that never knows may do without.
   */
  emptyBytes?(offsetBytes: number, lengthBytes: number): number;
}
