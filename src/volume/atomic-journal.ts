/**
 * Writes that are all there or not at all, whatever happens (WRITE ATOMIC): written down first, in one file beside the
 * volume's own.
 *
 * Layout: a header of 4 KiB (magic 8 bytes, offset u64, length u32, SHA-256 of those and of the data, 32 bytes; big
 * endian), then the data. A header that does not fit its data is no record: it was never completed, so the volume was
 * not touched for it.
 *
 * Order: record durable → volume written and durable → record void, durably → acknowledged. A record that is found when
 * the volume is opened is carried out again: nothing newer can be there, since whoever writes to the range waits until
 * the record is void.
 */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { Disk, DiskFile } from "../platform/disk.ts";

const MAGIC = Buffer.from("SGATOMW1", "ascii");
const HEADER_BYTES = 4096;
const FIELDS_BYTES = 20;
const HASH_BYTES = 32;
/** The longest write. */
export const ATOMIC_BYTES_MAX = 128 * 1024;

/** What it needs of the volume. */
interface AtomicDevice {
  readonly sizeBytes: number;
  write(offsetBytes: number, source: Buffer, sourceOffset: number, lengthBytes: number): Promise<void>;
  flush(): Promise<void>;
}

export class AtomicJournal {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #buffer = Buffer.alloc(HEADER_BYTES + ATOMIC_BYTES_MAX);
  #file: DiskFile | undefined;
  /** One after the other: there is one record. */
  #turn: Promise<void> = Promise.resolve();

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /**
   * Carries out a write that `write` makes and makes durable. Rejects with what `write` or the disk throws; then the
   * range holds what it held, or a part of the new, as after any write that has failed.
   */
  run(offsetBytes: number, data: Buffer, lengthBytes: number, write: () => Promise<void>): Promise<void> {
    assert(lengthBytes <= ATOMIC_BYTES_MAX && lengthBytes <= data.length);
    const run = this.#turn.then(() => this.#run(offsetBytes, data, lengthBytes, write));
    this.#turn = run.catch(() => {});
    return run;
  }

  /** Completes what a crash has interrupted; to be called before anybody writes to the volume. */
  async recover(device: AtomicDevice): Promise<void> {
    const content = this.#disk.readFile(this.#path);
    const record = content === undefined ? undefined : decode(content);
    if (record === undefined) return;
    const { offsetBytes, data } = record;
    if (offsetBytes + data.length <= device.sizeBytes) {
      await device.write(offsetBytes, data, 0, data.length);
      await device.flush();
    }
    await this.#void();
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  async #run(
    offsetBytes: number,
    data: Buffer,
    lengthBytes: number,
    write: () => Promise<void>,
  ): Promise<void> {
    const file = await this.#open();
    const bytes = encode(this.#buffer, offsetBytes, data, lengthBytes);
    file.writeSync(this.#buffer, 0, bytes, 0);
    await file.sync();
    try {
      await write();
    } finally {
      await this.#void();
    }
  }

  /** A record that can't be made void would undo later writes after a loss of power: then the file itself goes. */
  async #void(): Promise<void> {
    try {
      const file = await this.#open();
      this.#buffer.fill(0, 0, HEADER_BYTES);
      file.writeSync(this.#buffer, 0, HEADER_BYTES, 0);
      await file.sync();
    } catch (error) {
      this.close();
      this.#disk.remove(this.#path);
      throw error;
    }
  }

  async #open(): Promise<DiskFile> {
    if (this.#file !== undefined) return this.#file;
    const sizeBytes = HEADER_BYTES + ATOMIC_BYTES_MAX;
    const file = this.#disk.open(this.#path, { create: true, sizeBytes });
    this.#file = file;
    // A record is worth nothing in a file that a loss of power may take away.
    await this.#disk.syncFolder(dirname(this.#path));
    return file;
  }
}

function encode(target: Buffer, offsetBytes: number, data: Buffer, lengthBytes: number): number {
  target.fill(0, 0, HEADER_BYTES);
  MAGIC.copy(target, 0);
  target.writeBigUInt64BE(BigInt(offsetBytes), 8);
  target.writeUInt32BE(lengthBytes, 16);
  data.copy(target, HEADER_BYTES, 0, lengthBytes);
  hashOf(target, lengthBytes).copy(target, FIELDS_BYTES);
  return HEADER_BYTES + lengthBytes;
}

function decode(content: Buffer): { offsetBytes: number; data: Buffer } | undefined {
  if (content.length < HEADER_BYTES || !content.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const lengthBytes = content.readUInt32BE(16);
  if (lengthBytes > ATOMIC_BYTES_MAX || HEADER_BYTES + lengthBytes > content.length) return undefined;
  const hash = content.subarray(FIELDS_BYTES, FIELDS_BYTES + HASH_BYTES);
  if (!hashOf(content, lengthBytes).equals(hash)) return undefined;
  const offsetBytes = Number(content.readBigUInt64BE(8));
  return { offsetBytes, data: content.subarray(HEADER_BYTES, HEADER_BYTES + lengthBytes) };
}

function hashOf(record: Buffer, lengthBytes: number): Buffer {
  return createHash("sha256")
    .update(record.subarray(0, FIELDS_BYTES))
    .update(record.subarray(HEADER_BYTES, HEADER_BYTES + lengthBytes))
    .digest();
}
