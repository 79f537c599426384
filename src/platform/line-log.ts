/**
 * Lines that are only ever added, in files of a bounded size and number: the oldest file goes when a new one begins.
 * A line that `append` has returned from survives the death of the process.
 */
import * as fs from "node:fs";
import { join } from "node:path";

export interface LineLogOptions {
  readonly folder: string;
  /** Files are named NAME-NUMBER.jsonl, by the number of their first line. */
  readonly name: string;
  readonly fileBytesMax: number;
  readonly filesMax: number;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const DIGITS = 16;

interface LogFile {
  readonly path: string;
  readonly first: number;
}

export class LineLog {
  readonly #options: LineLogOptions;
  #files: LogFile[];
  #next = 1;
  #fd: number | undefined;
  #bytes = 0;

  private constructor(options: LineLogOptions, files: LogFile[]) {
    this.#options = options;
    this.#files = files;
  }

  /** Opens the log in its folder, making it where there is none. A line that was cut short by a crash is closed. */
  static open(options: LineLogOptions): LineLog {
    fs.mkdirSync(options.folder, { recursive: true, mode: FOLDER_MODE });
    const pattern = new RegExp(`^${options.name}-(\\d{${DIGITS}})\\.jsonl$`);
    const files = fs
      .readdirSync(options.folder)
      .sort()
      .flatMap((file) => {
        const first = pattern.exec(file)?.[1];
        return first === undefined ? [] : [{ path: join(options.folder, file), first: Number(first) }];
      });
    const log = new LineLog(options, files);
    const newest = files.at(-1);
    if (newest === undefined) return log;
    const text = fs.readFileSync(newest.path, "utf8");
    log.#fd = fs.openSync(newest.path, "a", FILE_MODE);
    log.#bytes = fs.fstatSync(log.#fd).size;
    if (text !== "" && !text.endsWith("\n")) log.#write("\n");
    log.#next = newest.first + text.split("\n").length - (text.endsWith("\n") || text === "" ? 1 : 0);
    return log;
  }

  /** Adds the line that `make` gives for its number, which must hold no line break; answers the number. */
  append(make: (number: number) => string): number {
    const number = this.#next;
    const line = `${make(number)}\n`;
    if (this.#fd === undefined || this.#bytes + line.length > this.#options.fileBytesMax) this.#begin(number);
    this.#write(line);
    this.#next += 1;
    return number;
  }

  /** The lines with numbers below `before` (all, without it), newest first. */
  *newestFirst(
    before = Number.POSITIVE_INFINITY,
  ): Generator<{ readonly number: number; readonly line: string }> {
    for (const { path, first } of [...this.#files].reverse()) {
      if (first >= before) continue;
      let text: string;
      try {
        text = fs.readFileSync(path, "utf8");
      } catch (error) {
        // The oldest file has gone while a reader was on its way to it.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
        throw error;
      }
      const lines = text.split("\n");
      for (let i = Math.min(lines.length, before - first) - 1; i >= 0; i--) {
        const line = lines[i] ?? "";
        if (line !== "") yield { number: first + i, line };
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  #begin(first: number): void {
    this.close();
    const { folder, name, filesMax } = this.#options;
    const path = join(folder, `${name}-${String(first).padStart(DIGITS, "0")}.jsonl`);
    this.#fd = fs.openSync(path, "a", FILE_MODE);
    this.#bytes = 0;
    this.#files.push({ path, first });
    for (const old of this.#files.splice(0, Math.max(0, this.#files.length - filesMax)))
      fs.rmSync(old.path, { force: true });
  }

  #write(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    let done = 0;
    while (done < bytes.length) done += fs.writeSync(this.#fd as number, bytes, done);
    this.#bytes += bytes.length;
  }
}
