/**
 * npm run load: 100 clients for 60 s on a gateway of 1,000 volumes and 10,000 snapshots, and what every operation took.
 * Ends with 1 where a call failed, or the median of the lists is beyond the bar. `--clients N`, `--seconds N`,
 * `--think-ms N` (a client's pause after each answer; none by default), `--volumes N`, `--snapshots N`, `--data DIR`
 * (kept, and used again the next time).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type LoadLine, runLoad } from "./run-load.ts";

const MEDIAN_MS_MAX = 50;
const MIB = 1024 ** 2;

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "100" },
    seconds: { type: "string", default: "60" },
    "think-ms": { type: "string", default: "0" },
    volumes: { type: "string", default: "1000" },
    snapshots: { type: "string", default: "10000" },
    data: { type: "string" },
  },
});
const print = (text: string) => process.stdout.write(`${text}\n`);
const folder = values.data === undefined ? mkdtempSync(join(tmpdir(), "sg-load-")) : resolve(values.data);
try {
  const report = await runLoad({
    dataDir: folder,
    clients: Number(values.clients),
    seconds: Number(values.seconds),
    thinkMs: Number(values["think-ms"]),
    volumes: Number(values.volumes),
    snapshots: Number(values.snapshots),
    hasRecords: true,
    tell: print,
  });
  const row = ({ name, count, medianMs, p99Ms }: LoadLine) =>
    print(`${name.padEnd(34)}${String(count).padStart(8)}${ms(medianMs)}${ms(p99Ms)}`);
  print(`${"".padEnd(34)}${"calls".padStart(8)}${"median ms".padStart(11)}${"p99 ms".padStart(11)}`);
  for (const line of report.lines) row(line);
  row(report.lists);
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  print(
    `${Math.round(report.callsPerSecond)} calls/s, ${report.errors.length} errors; clients' own thread ${Math.round(100 * report.clientUtilization)} % busy`,
  );
  print(
    `ready after ${(report.startMs / 1000).toFixed(1)} s with ${mib(report.idleBytes)} resident, ${mib(report.loadedBytes)} at the end`,
  );
  for (const error of report.errors) print(`error: ${error}`);
  const isGood = report.errors.length === 0 && report.lists.medianMs < MEDIAN_MS_MAX;
  print(`${isGood ? "PASS" : "FAIL"}: no error, and lists below ${MEDIAN_MS_MAX} ms at the median`);
  process.exitCode = isGood ? 0 : 1;
} finally {
  if (values.data === undefined) rmSync(folder, { recursive: true, force: true });
}

function ms(value: number): string {
  return value.toFixed(1).padStart(11);
}
