/** The gateway's log on standard error: JSON for machines, lines of text for whoever sits in front of it. */
import { writeSync } from "node:fs";
import { type Logger, pino } from "pino";

const STANDARD_ERROR = 2;
const LEVELS: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warning",
  50: "error",
  60: "fatal",
};
/** What every line has, and a person need not read. */
const SELF_EVIDENT = new Set(["level", "time", "pid", "hostname", "msg", "err"]);

/** A log whose lines are written before the call returns. */
export function createLog(level: string, format: "json" | "text"): Logger {
  if (format === "json") return pino({ level }, pino.destination({ dest: STANDARD_ERROR, sync: true }));
  return pino({ level }, { write: (line: string) => void writeSync(STANDARD_ERROR, asText(line)) });
}

/** One line of JSON as a line for people: time of day, level, message, what it failed with, and the other fields. */
export function asText(line: string): string {
  const entry = JSON.parse(line) as Record<string, unknown> & {
    readonly level: number;
    readonly time: number;
    readonly msg?: string;
    readonly err?: { readonly message?: string };
  };
  const time = new Date(entry.time).toISOString().slice(11, 19);
  const reason = entry.err?.message === undefined ? "" : `: ${entry.err.message}`;
  const fields = Object.entries(entry)
    .filter(([name]) => !SELF_EVIDENT.has(name))
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
  return `${time} ${LEVELS[entry.level] ?? entry.level}: ${entry.msg ?? ""}${reason}${fields}\n`;
}
