/**
 * The log of what became of a volume's epochs: one line a record, `CRC32 DURABLE JSON`, appended and never changed.
 *
 * An append survives the death of the process when it returns, and loss of power after `sync`. DURABLE is the length
 * in bytes that the file was known to have on stable storage when the line was written. What lies behind a damaged
 * line goes with it, as a loss of power may leave the unsynced end in any state; but where a later line says that the
 * damaged one had been durable, it is rot, and the log refuses to open rather than forget a cut.
 */
import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../platform/disk.ts";
import type { SnapshotId } from "../platform/ids.ts";

/** What is known of an epoch that reached the bucket. */
export interface UploadedEpoch {
  readonly epoch: number;
  readonly rootKey: string;
  readonly uploadedBytes: number;
  readonly fullBytes: number;
}

/** The same with the moment that its root is of. */
export interface RecoveryPoint extends UploadedEpoch {
  readonly cutAtMs: number;
}

export type EpochRecord =
  /** First line: what wrote the file. */
  | { readonly type: "format"; readonly version: 1 }
  /** The volume was opened on this boot of the machine; everything after it was written by it. */
  | { readonly type: "boot"; readonly bootId: string }
  /** Everything before this line was made durable, and nothing was written after it. */
  | { readonly type: "clean" }
  /** The epoch was closed. */
  | {
      readonly type: "cut";
      readonly epoch: number;
      readonly cutAtMs: number;
      /** The volume's size then. */
      readonly sizeBytes: number;
      readonly snapshotId?: SnapshotId;
    }
  /** The epoch's data and dirty map are on stable storage: it can be uploaded even after a loss of power. */
  | { readonly type: "durable"; readonly epoch: number }
  | ({ readonly type: "uploaded" } & RecoveryPoint)
  /** The epoch will never be uploaded; what it changed belongs to the next one. */
  | { readonly type: "failed"; readonly epoch: number; readonly reason: string }
  /** The volume has this size from now on. */
  | { readonly type: "size"; readonly sizeBytes: number }
  /** Everything up to this epoch that is not in the bucket was given up, with the cache that held it. */
  | { readonly type: "reset"; readonly epoch: number; readonly reason: string }
  /** A sync has failed: what was written since the last one may be lost, as after a loss of power. */
  | { readonly type: "suspect" }
  /** Every block of a restored volume is on its disk. */
  | { readonly type: "hydrated" };

/** The log can't be read: it was written by something newer, or it has rotted. */
export class EpochLogError extends Error {
  override readonly name = "EpochLogError";
}

const CRC_DIGITS = 8;
const LOG_BYTES_MAX = 64 * 1024 * 1024;

export class EpochLog {
  readonly #disk: Disk;
  readonly #path: string;
  #file: DiskFile;
  #endBytes: number;
  #durableBytes: number;

  private constructor(disk: Disk, path: string, durableBytes: number) {
    this.#disk = disk;
    this.#path = path;
    this.#file = disk.open(path);
    this.#endBytes = durableBytes;
    this.#durableBytes = durableBytes;
  }

  /**
   * Opens the log at `path`. `compact` gets the records found and answers those to keep: the file is rewritten with
   * them, so that it does not grow for ever.
   */
  static open(
    disk: Disk,
    path: string,
    compact: (records: readonly EpochRecord[]) => readonly EpochRecord[],
  ): EpochLog {
    const content = encodeLog(compact(readRecords(disk, path)));
    disk.replaceFile(path, content);
    return new EpochLog(disk, path, content.length);
  }

  /** How long the log has become. */
  get sizeBytes(): number {
    return this.#endBytes;
  }

  /** Begins the log anew with these records, as a file of its own: durable when it returns. */
  rewrite(records: readonly EpochRecord[]): void {
    const content = encodeLog(records);
    this.#disk.replaceFile(this.#path, content);
    const before = this.#file;
    this.#file = this.#disk.open(this.#path);
    before.close();
    this.#endBytes = content.length;
    this.#durableBytes = content.length;
  }

  append(record: EpochRecord): void {
    const line = encodeRecord(record, this.#durableBytes);
    this.#file.writeSync(line, 0, line.length, this.#endBytes);
    this.#endBytes += line.length;
  }

  /** Makes every record appended so far durable. */
  async sync(): Promise<void> {
    const endBytes = this.#endBytes;
    const file = this.#file;
    await file.sync();
    // What was appended before may not be in the new log: whoever counts on it must not go on.
    if (file !== this.#file) throw new EpochLogError(`${this.#path} was begun anew meanwhile`);
    this.#durableBytes = Math.max(this.#durableBytes, endBytes);
  }

  close(): void {
    this.#file.close();
  }
}

function encodeLog(records: readonly EpochRecord[]): Buffer {
  const kept = records.filter((record) => record.type !== "format");
  return Buffer.concat([
    encodeRecord({ type: "format", version: 1 }, 0),
    ...kept.map((record) => encodeRecord(record, 0)),
  ]);
}

/** One line of the log. */
export function encodeRecord(record: EpochRecord, durableBytes: number): Buffer {
  const text = `${durableBytes} ${JSON.stringify(record)}`;
  return Buffer.from(`${crc32(text).toString(16).padStart(CRC_DIGITS, "0")} ${text}\n`, "utf8");
}

/** The records of a log's bytes. Throws an EpochLogError for rot and for formats that are not known. */
export function decodeRecords(content: Buffer, path: string): EpochRecord[] {
  const records: EpochRecord[] = [];
  let damagedAt = -1;
  for (let at = 0; at < content.length; ) {
    const newline = content.indexOf(0x0a, at);
    const end = newline < 0 ? content.length : newline;
    const line = newline < 0 ? undefined : decodeLine(content.toString("utf8", at, end));
    if (line === undefined) {
      if (damagedAt < 0) damagedAt = at;
    } else if (damagedAt < 0) {
      records.push(line.record);
    } else if (line.durableBytes > damagedAt) {
      throw new EpochLogError(`${path}: the line at byte ${damagedAt} is damaged`);
    }
    at = end + 1;
  }
  const [first] = records;
  if (records.length > 0 && (first?.type !== "format" || first.version !== 1)) {
    const version = first?.type === "format" ? String(first.version) : "none";
    throw new EpochLogError(`${path}: format version ${version} is not known to this version`);
  }
  return records;
}

function decodeLine(line: string): { record: EpochRecord; durableBytes: number } | undefined {
  const text = line.slice(CRC_DIGITS + 1);
  if (
    line[CRC_DIGITS] !== " " ||
    crc32(text).toString(16).padStart(CRC_DIGITS, "0") !== line.slice(0, CRC_DIGITS)
  )
    return undefined;
  const space = text.indexOf(" ");
  const durableBytes = Number(text.slice(0, space));
  return { durableBytes, record: JSON.parse(text.slice(space + 1)) as EpochRecord };
}

function readRecords(disk: Disk, path: string): EpochRecord[] {
  const content = disk.readFile(path);
  if (content === undefined) return [];
  if (content.length > LOG_BYTES_MAX) {
    throw new EpochLogError(`${path}: ${content.length} bytes are more than a log can have`);
  }
  return decodeRecords(content, path);
}
