/**
 * How busy the data worker is, told to the backup worker through shared memory: who reads it crosses no thread, and
 * who writes it does so twenty times a second, not once an I/O.
 */
import { performance } from "node:perf_hooks";
import type { Clock } from "../platform/clock.ts";

const SAMPLE_EVERY_MS = 50;
const SCALE = 1000;

/** One number, shared by both threads. */
export function makeLoadGauge(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** Tells again and again what part of its time this thread is at work. */
export function publishLoad(gauge: SharedArrayBuffer, clock: Clock): void {
  const shared = new Int32Array(gauge);
  let before = performance.eventLoopUtilization();
  const sample = () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    Atomics.store(shared, 0, Math.round(utilization * SCALE));
    clock.after(SAMPLE_EVERY_MS, sample);
  };
  sample();
}

/** The part of its time that the other thread is at work, 0 to 1. */
export function readLoad(gauge: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(gauge), 0) / SCALE;
}
