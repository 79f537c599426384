/** Time and timers: injected, so that a simulation can own them. Nothing else may read the wall clock. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. It may jump. */
  nowMs(): number;
  /** Monotonic milliseconds since some fixed moment: for durations. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`; the answer cancels it. The timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs` on `clock`. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

/** Lets everything else that is ready run first: for long loops in a thread that also answers requests. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const LONG_MS = 2 ** 30;

/** Keeps the process alive, which timers and idle handles here do not, until the answer is called. */
export function stayAlive(): () => void {
  const timer = setInterval(() => {}, LONG_MS);
  return () => clearInterval(timer);
}
