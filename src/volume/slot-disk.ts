/**
 * One disk of slots: a cache disk or an upload-buffer disk.
 *
 * ```
 * 0        header, one sector used
 * 4096     table: one 64-byte descriptor a slot (slot-descriptor.ts)
 * data     slots of one block each, from the next multiple of 4096 on
 * ```
 * Header: magic "SLGSLOT1", u32 format version, u32 block bytes, u32 slot count, u8 clean, 36 bytes of boot id from
 * byte 24 on, u48 flushed sequence at 64, u32 CRC-32 of the bytes before it at 72; the disk's id, 16 bytes at 80, and u32
 * CRC-32 of those at 96. (Disks that were made before there were ids have zeros there until they are opened.)
 *
 * A descriptor whose sequence is at most the flushed one is durable together with its data. After a loss of power
 * nothing newer is believed: the table may have reached the disk before the data it speaks of.
 */
import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../platform/disk.ts";
import { GroupCommit } from "../platform/group-commit.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import { type Lacking, readOrNote } from "./lacking.ts";
import {
  DESCRIPTOR_BYTES,
  decodeDescriptor,
  encodeDescriptor,
  type SlotDescriptor,
  type SlotState,
} from "./slot-descriptor.ts";

const MAGIC = "SLGSLOT1";
const FORMAT_VERSION = 1;
const HEADER_BYTES = 4096;
const HEADER_CRC_OFFSET = 72;
const ID_OFFSET = 80;
const ID_BYTES = 16;
const ID_CRC_OFFSET = ID_OFFSET + ID_BYTES;
const TABLE_READ_BYTES = 1024 * 1024;
/** The state of a slot that nobody can claim. */
export const NEVER_USED: SlotState = { used: false, mask: 0, epoch: 0, sequence: 0 };

/** A slot disk that can't be used: not ours, of a newer format, too small, or damaged. */
export class SlotDiskError extends Error {
  override readonly name = "SlotDiskError";
}

/** A slot as it was found when the disk was opened. */
export interface FoundSlot extends SlotState {
  readonly slot: number;
  readonly volumeId: SlotDescriptor["volumeId"];
  readonly block: number;
}

export interface SlotDiskOptions {
  /** The disk has failed since it was opened last, and may have lost what was not flushed. */
  readonly isSuspect: boolean;
  /** The id of the disk that was at the path before, if one was: no other will do. */
  readonly knownId: string | undefined;
  /** The id of a disk that has none yet: 32 hexadecimal digits. */
  readonly newId: string;
}

export class SlotDisk {
  readonly file: DiskFile;
  readonly id: string;
  readonly slotCount: number;
  /** The machine has not lost power since the disk was written. */
  readonly trusted: boolean;
  readonly #bootId: string;
  readonly #dataOffset: number;
  readonly #scratch = Buffer.alloc(DESCRIPTOR_BYTES);
  readonly #commit = new GroupCommit(() => this.#flush());
  #sequence: number;
  #flushedSequence: number;
  #flushingSequence: number;
  #changed = false;
  #failure: Error | undefined;

  private constructor(
    file: DiskFile,
    id: string,
    slotCount: number,
    bootId: string,
    state: { trusted: boolean; sequence: number },
  ) {
    this.file = file;
    this.id = id;
    this.slotCount = slotCount;
    this.#bootId = bootId;
    this.#dataOffset = dataOffset(slotCount);
    this.trusted = state.trusted;
    this.#sequence = state.sequence;
    this.#flushedSequence = state.sequence;
    this.#flushingSequence = state.sequence;
  }

  /** Opens the disk at `path`, and formats it where it is blank. `found` gets every slot in use. */
  static async open(
    disk: Disk,
    path: string,
    found: (slot: FoundSlot) => void,
    { isSuspect, knownId, newId }: SlotDiskOptions,
  ): Promise<SlotDisk> {
    const file = disk.open(path);
    try {
      const slotCount = Math.floor((file.sizeBytes - HEADER_BYTES - 4096) / (BLOCK_BYTES + DESCRIPTOR_BYTES));
      if (slotCount < 1) throw new SlotDiskError(`${path}: ${file.sizeBytes} bytes are too few for a slot`);
      const header = readHeader(file);
      const isOther = header === undefined || (header.id !== undefined && header.id !== knownId);
      if (knownId !== undefined && isOther) {
        const why = "what that one holds would be forgotten; see slot-disks in the folder of the volumes";
        throw new SlotDiskError(`${path} is not the disk that was here before: ${why}`);
      }
      if (header === undefined) await format(file, slotCount);
      else if (header.slotCount > slotCount) {
        throw new SlotDiskError(`${path}: it has shrunk to ${file.sizeBytes} bytes`);
      }
      const count = header?.slotCount ?? slotCount;
      const trusted = header === undefined || (!isSuspect && (header.clean || header.bootId === disk.bootId));
      let sequence = header?.flushedSequence ?? 0;
      const disbelieved: { slot: number; descriptor: SlotDescriptor }[] = [];
      if (header !== undefined) {
        for (const descriptor of readTable(file, count)) {
          sequence = Math.max(sequence, descriptor.value.current.sequence);
          const state = believed(descriptor.value, trusted, header.flushedSequence);
          if (state !== descriptor.value.current) {
            disbelieved.push({ slot: descriptor.slot, descriptor: { ...descriptor.value, current: state } });
          }
          if (!state.used) continue;
          const { volumeId, block } = descriptor.value;
          found({ ...state, slot: descriptor.slot, volumeId, block });
        }
      }
      const opened = new SlotDisk(file, header?.id ?? newId, count, disk.bootId, { trusted, sequence });
      // What was believed just now is believed for good, and nothing else: write that down as flushed, on this boot.
      // It keeps its sequence: power that is lost again before the flush below must leave it as durable as it was.
      for (const { slot, descriptor } of disbelieved) {
        opened.writeDescriptor(slot, { ...descriptor, previous: NEVER_USED, older: NEVER_USED });
      }
      if (isSuspect) opened.#rewrite();
      opened.#changed = true;
      await opened.flush();
      return opened;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Takes the header away, so that the disk may be used for something else. A disk that is gone is left alone. */
  static async erase(disk: Disk, path: string): Promise<void> {
    let file: DiskFile;
    try {
      file = disk.open(path);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === "ENOENT" || code === "ENXIO" || code === "ENODEV") return;
      throw error;
    }
    try {
      file.writeSync(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
      await file.sync();
    } finally {
      file.close();
    }
  }

  get flushedSequence(): number {
    return this.#flushedSequence;
  }

  /** What will be flushed when the flush under way has ended; without one, what is. */
  get flushingSequence(): number {
    return this.#flushingSequence;
  }

  /** The sequence number for the next descriptor. */
  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  writeDescriptor(slot: number, descriptor: SlotDescriptor): void {
    this.#changed = true;
    encodeDescriptor(descriptor, this.#scratch, 0);
    this.file.writeSync(this.#scratch, 0, DESCRIPTOR_BYTES, HEADER_BYTES + slot * DESCRIPTOR_BYTES);
  }

  /** Where the slot's data begins on the disk. */
  positionOf(slot: number): number {
    return this.#dataOffset + slot * BLOCK_BYTES;
  }

  /**
   * Reads a part of a slot. With `lacking` it does not wait for the disk: it answers false, and notes there what has to
   * come from it.
   */
  read(
    slot: number,
    offsetInSlot: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    lacking?: Lacking,
  ): boolean {
    return readOrNote(
      this.file,
      target,
      targetOffset,
      lengthBytes,
      this.positionOf(slot) + offsetInSlot,
      lacking,
    );
  }

  write(slot: number, offsetInSlot: number, source: Buffer, sourceOffset: number, lengthBytes: number): void {
    this.#changed = true;
    this.file.writeSync(source, sourceOffset, lengthBytes, this.positionOf(slot) + offsetInSlot);
  }

  /** Makes all data and descriptors written so far durable, as one. One that has failed is the last one. */
  flush(): Promise<void> {
    return this.#commit.run();
  }

  /** Flushes and marks the disk as cleanly closed; one that has failed is only let go of. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) {
      this.abandon();
      return;
    }
    await this.flush();
    this.#writeHeader(true);
    await this.file.sync();
    this.file.close();
  }

  /** Lets go of the file without a word to the disk, as after a failure. */
  abandon(): void {
    this.file.close();
  }

  /** Writes again what may be in the system's cache alone, after a failure of the disk: the table, and used slots. */
  #rewrite(): void {
    const block = Buffer.alloc(BLOCK_BYTES);
    for (const { slot, value } of readTable(this.file, this.slotCount)) {
      this.writeDescriptor(slot, value);
      if (!value.current.used) continue;
      this.read(slot, 0, block, 0, BLOCK_BYTES);
      this.write(slot, 0, block, 0, BLOCK_BYTES);
    }
  }

  async #flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#changed) return;
    const sequence = this.#sequence;
    this.#flushingSequence = sequence;
    this.#changed = false;
    try {
      await this.file.sync();
      // Only now is everything up to `sequence` durable, and only the next sync makes that claim so.
      this.#writeHeader(false, sequence);
      await this.file.sync();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw this.#failure;
    }
    this.#flushedSequence = sequence;
  }

  #writeHeader(clean: boolean, sequence = this.#sequence): void {
    const { id, slotCount } = this;
    const header = encodeHeader({ id, slotCount, clean, bootId: this.#bootId, flushedSequence: sequence });
    this.file.writeSync(header, 0, header.length, 0);
  }
}

function believed(descriptor: SlotDescriptor, trusted: boolean, flushedSequence: number): SlotState {
  const { current, previous, older } = descriptor;
  if (trusted || current.sequence <= flushedSequence) return current;
  for (const state of [previous, older]) {
    if (state.used && state.sequence <= flushedSequence) return state;
  }
  return NEVER_USED;
}

interface Header {
  readonly id: string | undefined;
  readonly slotCount: number;
  readonly clean: boolean;
  readonly bootId: string;
  readonly flushedSequence: number;
}

function encodeHeader(header: Header & { readonly id: string }): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.write(MAGIC, 0, "latin1");
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(BLOCK_BYTES, 12);
  bytes.writeUInt32LE(header.slotCount, 16);
  bytes.writeUInt8(header.clean ? 1 : 0, 20);
  bytes.write(header.bootId.slice(0, 36), 24, "latin1");
  bytes.writeUIntLE(header.flushedSequence, 64, 6);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_CRC_OFFSET)), HEADER_CRC_OFFSET);
  bytes.write(header.id, ID_OFFSET, ID_BYTES, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(ID_OFFSET, ID_CRC_OFFSET)), ID_CRC_OFFSET);
  return bytes;
}

function readHeader(file: DiskFile): Header | undefined {
  const bytes = Buffer.alloc(512);
  file.readSync(bytes, 0, 512, 0);
  if (bytes.every((byte) => byte === 0)) return undefined;
  if (bytes.toString("latin1", 0, 8) !== MAGIC) {
    throw new SlotDiskError(`${file.path}: the disk holds something else; erase it before it is used`);
  }
  const version = bytes.readUInt32LE(8);
  if (version !== FORMAT_VERSION) {
    throw new SlotDiskError(`${file.path}: format version ${version} is not known to this version`);
  }
  if (bytes.readUInt32LE(HEADER_CRC_OFFSET) !== crc32(bytes.subarray(0, HEADER_CRC_OFFSET))) {
    throw new SlotDiskError(`${file.path}: the header is damaged`);
  }
  if (bytes.readUInt32LE(12) !== BLOCK_BYTES) {
    throw new SlotDiskError(`${file.path}: slots of ${bytes.readUInt32LE(12)} bytes are not supported`);
  }
  const id = bytes.subarray(ID_OFFSET, ID_CRC_OFFSET);
  const hasId = bytes.readUInt32LE(ID_CRC_OFFSET) === crc32(id) && id.some((byte) => byte !== 0);
  return {
    id: hasId ? id.toString("hex") : undefined,
    slotCount: bytes.readUInt32LE(16),
    clean: bytes.readUInt8(20) === 1,
    bootId: bytes.toString("latin1", 24, 60).replaceAll("\0", ""),
    flushedSequence: bytes.readUIntLE(64, 6),
  };
}

/** Blanks the table before the header says that there is one. */
async function format(file: DiskFile, slotCount: number): Promise<void> {
  const end = dataOffset(slotCount);
  const zeros = Buffer.alloc(Math.min(TABLE_READ_BYTES, end - HEADER_BYTES));
  for (let at = HEADER_BYTES; at < end; at += zeros.length) {
    file.writeSync(zeros, 0, Math.min(zeros.length, end - at), at);
  }
  await file.sync();
}

function dataOffset(slotCount: number): number {
  return HEADER_BYTES + Math.ceil((slotCount * DESCRIPTOR_BYTES) / 4096) * 4096;
}

function* readTable(file: DiskFile, slotCount: number): Iterable<{ slot: number; value: SlotDescriptor }> {
  const buffer = Buffer.alloc(Math.min(TABLE_READ_BYTES, slotCount * DESCRIPTOR_BYTES));
  const zeros = Buffer.alloc(DESCRIPTOR_BYTES);
  const perRead = TABLE_READ_BYTES / DESCRIPTOR_BYTES;
  for (let first = 0; first < slotCount; first += perRead) {
    const count = Math.min(perRead, slotCount - first);
    file.readSync(buffer, 0, count * DESCRIPTOR_BYTES, HEADER_BYTES + first * DESCRIPTOR_BYTES);
    for (let i = 0; i < count; i++) {
      const at = i * DESCRIPTOR_BYTES;
      const value = decodeDescriptor(buffer, at);
      if (value !== undefined) yield { slot: first + i, value };
      else if (buffer.compare(zeros, 0, DESCRIPTOR_BYTES, at, at + DESCRIPTOR_BYTES) !== 0) {
        // A slot that may have held acknowledged data: to go on would be to lose it in silence.
        throw new SlotDiskError(`${file.path}: the record of slot ${first + i} is damaged`);
      }
    }
  }
}
