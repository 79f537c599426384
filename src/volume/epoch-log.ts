/**
 * The log of what became of a volume's epochs: one line a record, `CRC32 JSON`, appended and never changed.
 *
 * An append survives the death of the process when it returns, and loss of power after `sync`. A last line that is
 * torn was never acknowledged to anybody and is cut off. A damaged line with good lines behind it is rot: the log
 * refuses to open rather than forget a cut.
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
      readonly snapshotId?: SnapshotId;
    }
  /** The epoch's data and dirty map are on stable storage: it can be uploaded even after a loss of power. */
  | { readonly type: "durable"; readonly epoch: number }
  | ({ readonly type: "uploaded" } & UploadedEpoch)
  /** The epoch will never be uploaded; what it changed belongs to the next one. */
  | { readonly type: "failed"; readonly epoch: number; readonly reason: string }
  /** Every block of a restored volume is on its disk. */
  | { readonly type: "hydrated" };

/** The log can't be read: it was written by something newer, or it has rotted. */
export class EpochLogError extends Error {
  override readonly name = "EpochLogError";
}

const LOG_BYTES_MAX = 64 * 1024 * 1024;

export class EpochLog {
  readonly #file: DiskFile;
  #endBytes: number;

  private constructor(file: DiskFile, endBytes: number) {
    this.#file = file;
    this.#endBytes = endBytes;
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
    const kept = compact(readRecords(disk, path));
    const content = Buffer.concat([
      encodeRecord({ type: "format", version: 1 }),
      ...kept.filter((record) => record.type !== "format").map(encodeRecord),
    ]);
    disk.replaceFile(path, content);
    return new EpochLog(disk.open(path), content.length);
  }

  append(record: EpochRecord): void {
    const line = encodeRecord(record);
    this.#file.writeSync(line, 0, line.length, this.#endBytes);
    this.#endBytes += line.length;
  }

  /** Makes every record appended so far durable. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): void {
    this.#file.close();
  }
}

/** One line of the log. */
export function encodeRecord(record: EpochRecord): Buffer {
  const json = JSON.stringify(record);
  return Buffer.from(`${crc32(json).toString(16).padStart(8, "0")} ${json}\n`, "utf8");
}

/** The records of a log's bytes. Throws an EpochLogError for rot and for formats that are not known. */
export function decodeRecords(content: Buffer, path: string): EpochRecord[] {
  const lines = content.toString("utf8").split("\n");
  const records: EpochRecord[] = [];
  let firstBad = -1;
  for (const [index, line] of lines.entries()) {
    if (line === "") continue;
    const record = decodeLine(line);
    if (record === undefined) {
      if (firstBad < 0) firstBad = index;
      continue;
    }
    if (firstBad >= 0) {
      throw new EpochLogError(`${path}: line ${firstBad + 1} is damaged and good ones follow it`);
    }
    if (record.type === "format" && record.version !== 1) {
      throw new EpochLogError(
        `${path}: format version ${String(record.version)} is not known to this version`,
      );
    }
    records.push(record);
  }
  return records;
}

function decodeLine(line: string): EpochRecord | undefined {
  const json = line.slice(9);
  if (line[8] !== " " || crc32(json).toString(16).padStart(8, "0") !== line.slice(0, 8)) return undefined;
  return JSON.parse(json) as EpochRecord;
}

function readRecords(disk: Disk, path: string): EpochRecord[] {
  const content = disk.readFile(path);
  if (content === undefined) return [];
  if (content.length > LOG_BYTES_MAX) {
    throw new EpochLogError(`${path}: ${content.length} bytes are more than a log can have`);
  }
  return decodeRecords(content, path);
}
