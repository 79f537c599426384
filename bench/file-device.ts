/** The simplest device there is, a file: what the target costs without a volume engine behind it. */
import { strict as assert } from "node:assert";
import { type DiskFile, systemDisk } from "../src/platform/disk.ts";
import type { BlockDevice } from "../src/scsi/block-device.ts";

export class FileDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly logicalBlockBytes = 512;
  readonly physicalBlockBytes = 4096;
  readonly #file: DiskFile;

  constructor(path: string, sizeBytes: number) {
    this.#file = systemDisk.open(path, { create: true, sizeBytes });
    this.sizeBytes = sizeBytes;
    assert(this.#file.sizeBytes >= sizeBytes);
  }

  tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean {
    this.#file.readSync(target, targetOffset, lengthBytes, offsetBytes);
    return true;
  }

  async read(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): Promise<void> {
    this.tryRead(offsetBytes, target, targetOffset, lengthBytes);
  }

  tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean {
    this.#file.writeSync(source, sourceOffset, lengthBytes, offsetBytes);
    return true;
  }

  async write(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): Promise<void> {
    this.tryWrite(offsetBytes, source, sourceOffset, lengthBytes);
  }

  flush(): Promise<void> {
    return this.#file.sync();
  }

  async unmap(offsetBytes: number, lengthBytes: number): Promise<void> {
    const zeros = Buffer.alloc(Math.min(lengthBytes, 1024 * 1024));
    for (let at = 0; at < lengthBytes; at += zeros.length) {
      this.tryWrite(offsetBytes + at, zeros, 0, Math.min(zeros.length, lengthBytes - at));
    }
  }
}
