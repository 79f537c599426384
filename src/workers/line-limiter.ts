/** Keeps what strangers can cause from filling the log: so many lines in a while, and then how many there were. */
import type { Clock } from "../platform/clock.ts";
import type { WorkerLogLine } from "./messages.ts";

const LINES_MAX = 20;
const PERIOD_MS = 10_000;

export class LineLimiter {
  readonly #clock: Clock;
  readonly #log: (line: WorkerLogLine) => void;
  #lines = 0;
  #left = 0;

  constructor(clock: Clock, log: (line: WorkerLogLine) => void) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Passes the line on, or counts it. */
  write(line: WorkerLogLine): void {
    if (this.#lines === 0) this.#clock.after(PERIOD_MS, () => this.#endPeriod(line.message));
    this.#lines += 1;
    if (this.#lines <= LINES_MAX) this.#log(line);
    else this.#left += 1;
  }

  #endPeriod(example: string): void {
    const left = this.#left;
    this.#lines = 0;
    this.#left = 0;
    if (left === 0) return;
    this.#log({ level: "warn", message: `${left} more lines like "${example}" were left out` });
  }
}
