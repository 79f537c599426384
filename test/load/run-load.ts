/** A gateway with much in it, under load by many clients: what `npm run load` and its short form in `npm test` share. */
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { childrenOf, GatewayProcess } from "../clients/gateway.ts";
import { type LargeGateway, makeLargeGateway } from "../kit/large-gateway.ts";
import type { ClientsOrder, ClientsResult } from "./clients.ts";
import { isList } from "./mix.ts";

export interface LoadOptions extends LargeGateway {
  /** Kept and used again where it holds a gateway already. */
  readonly dataDir: string;
  readonly clients: number;
  readonly seconds: number;
  readonly thinkMs: number;
  readonly tell: (line: string) => void;
}

export interface LoadLine {
  readonly name: string;
  readonly count: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

export interface LoadReport {
  readonly lines: readonly LoadLine[];
  readonly errors: readonly string[];
  /** Of all calls that list or describe. */
  readonly lists: LoadLine;
  readonly callsPerSecond: number;
  readonly clientUtilization: number;
  readonly startMs: number;
  /** Resident memory of the gateway's process: after its start, and at the end. */
  readonly idleBytes: number;
  readonly loadedBytes: number;
}

const KIB = 1024;

/** Makes the gateway, starts it, has the clients at it, and stops it. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { dataDir, volumes, snapshots, hasRecords, clients, seconds, thinkMs, tell } = options;
  if (!existsSync(join(dataDir, "catalog.sqlite"))) {
    tell(`making ${volumes} volumes and ${snapshots} snapshots`);
    await makeLargeGateway(dataDir, { volumes, snapshots, hasRecords });
  }
  tell("starting the gateway");
  const gateway = new GatewayProcess(dataDir, [], { readyMsMax: START_MS_MAX });
  const beganMs = performance.now();
  await gateway.start();
  try {
    const startMs = performance.now() - beganMs;
    const pid = childrenOf(gateway.launcher?.pid ?? 0)[0];
    assert(pid !== undefined);
    const idleBytes = residentBytes(pid);
    tell(`${clients} clients for ${seconds} s`);
    const result = await runClients({ settings: gateway.botoSettings(), clients, seconds, thinkMs });
    return {
      ...summaryOf(result),
      ...{ startMs, idleBytes, loadedBytes: residentBytes(pid), clientUtilization: result.utilization },
    };
  } finally {
    await gateway.stop();
  }
}

const START_MS_MAX = 300_000;

async function runClients(order: ClientsOrder): Promise<ClientsResult> {
  const script = fileURLToPath(new URL("./clients.ts", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 0, "the clients have failed");
  return JSON.parse(text) as ClientsResult;
}

function summaryOf({
  latenciesMs,
  errors,
  tookMs,
}: ClientsResult): Pick<LoadReport, "lines" | "errors" | "lists" | "callsPerSecond"> {
  const entries = Object.entries(latenciesMs).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = entries.map(([name, values]) => lineOf(name, values));
  const lists = entries.flatMap(([name, values]) => (isList(name) ? values : []));
  const calls = lines.reduce((sum, { count }) => sum + count, 0);
  return { lines, errors, lists: lineOf("all lists", lists), callsPerSecond: (1000 * calls) / tookMs };
}

function lineOf(name: string, values: readonly number[]): LoadLine {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return { name, count: sorted.length, medianMs: at(0.5), p99Ms: at(0.99) };
}

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * KIB;
}
