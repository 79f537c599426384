import type { BlockDevice } from "../../src/scsi/block-device.ts";

/** A disk in memory. `inline: false` makes it answer later, as one whose blocks are elsewhere. */
export class MemoryDevice implements BlockDevice {
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes = 4096;
  readonly content: Buffer;
  inline = true;
  flushes = 0;

  constructor(sizeBytes: number, logicalBlockBytes = 512) {
    this.content = Buffer.alloc(sizeBytes);
    this.logicalBlockBytes = logicalBlockBytes;
  }

  get sizeBytes(): number {
    return this.content.length;
  }

  tryRead(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): boolean {
    if (!this.inline) return false;
    this.content.copy(target, targetOffset, offsetBytes, offsetBytes + lengthBytes);
    return true;
  }

  async read(offsetBytes: number, target: Buffer, targetOffset: number, lengthBytes: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.content.copy(target, targetOffset, offsetBytes, offsetBytes + lengthBytes);
  }

  tryWrite(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): boolean {
    if (!this.inline) return false;
    source.copy(this.content, offsetBytes, sourceOffset, sourceOffset + lengthBytes);
    return true;
  }

  async write(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    source.copy(this.content, offsetBytes, sourceOffset, sourceOffset + lengthBytes);
  }

  async flush(): Promise<void> {
    this.flushes += 1;
  }

  async unmap(offsetBytes: number, lengthBytes: number): Promise<void> {
    this.content.fill(0, offsetBytes, offsetBytes + lengthBytes);
  }
}
