/**
 * Loaded into the gateway (`--import`) by `npm run bench:profile`: in each of its threads, profiles the CPU and counts
 * collections of garbage, from when the file `begin` appears in the folder until `end` does.
 */
import { existsSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { GCProfiler } from "node:v8";
import { threadId } from "node:worker_threads";

/** What is written for each thread: `profile` is a CPU profile as the inspector has it. */
export interface Observation {
  readonly profile: unknown;
  readonly collections: number;
  readonly collectionMs: number;
  /** Bytes of the heap that were filled between collections. */
  readonly allocatedBytes: number;
}

const LOOK_EVERY_MS = 50;
const SAMPLE_EVERY_US = 500;
const folder = process.env.SLUICEGATE_OBSERVE ?? "";
const session = new Session();
const collector = new GCProfiler();
let isObserving = false;

const timer = setInterval(() => {
  if (!isObserving && existsSync(join(folder, "begin"))) begin();
  if (isObserving && existsSync(join(folder, "end"))) end();
}, LOOK_EVERY_MS);
timer.unref();

function begin(): void {
  isObserving = true;
  collector.start();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
  session.post("Profiler.start");
}

function end(): void {
  clearInterval(timer);
  const { statistics } = collector.stop() ?? { statistics: [] };
  let allocatedBytes = 0;
  let before: number | undefined;
  for (const { beforeGC, afterGC } of statistics) {
    if (before !== undefined) allocatedBytes += beforeGC.heapStatistics.usedHeapSize - before;
    before = afterGC.heapStatistics.usedHeapSize;
  }
  session.post("Profiler.stop", (error, answer) => {
    if (error !== null) throw error;
    const observation: Observation = {
      profile: answer.profile,
      collections: statistics.length,
      collectionMs: statistics.reduce((sum, { cost }) => sum + cost, 0) / 1000,
      allocatedBytes,
    };
    writeFileSync(join(folder, `${threadId}.json`), JSON.stringify(observation));
  });
}
