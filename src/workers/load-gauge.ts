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

/**
 * Tells again and again what part of its time this thread is at work for guests. `backgroundMs`: how much of it was spent
 * on what the reader of the gauge has it do, since the start: that is nothing to be polite to.
 */
export function publishLoad(gauge: SharedArrayBuffer, clock: Clock, backgroundMs: () => number): void {
  const shared = new Int32Array(gauge);
  let before = performance.eventLoopUtilization();
  let backgroundBefore = backgroundMs();
  const sample = () => {
    const now = performance.eventLoopUtilization();
    const { active, idle } = performance.eventLoopUtilization(now, before);
    before = now;
    const ownMs = backgroundMs() - backgroundBefore;
    backgroundBefore += ownMs;
    Atomics.store(shared, 0, Math.round(loadOf(active, idle, ownMs) * SCALE));
    clock.after(SAMPLE_EVERY_MS, sample);
  };
  sample();
}

/** The part of the time, 0 to 1, that was work and not in the background. */
export function loadOf(activeMs: number, idleMs: number, backgroundMs: number): number {
  const allMs = activeMs + idleMs;
  return allMs === 0 ? 0 : Math.min(1, Math.max(0, (activeMs - backgroundMs) / allMs));
}

/** The part of its time that the other thread is at work, 0 to 1. */
export function readLoad(gauge: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(gauge), 0) / SCALE;
}
