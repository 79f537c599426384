/**
 * Latencies counted in classes whose bounds double: cheap enough for every I/O, fine enough for percentiles.
 *
 * Class 0 holds what took at most 16 µs, class i at most 16·2^i µs; the last one everything above 33 s.
 */

/** Upper bounds of the classes in microseconds; the class after them has none. */
export const LATENCY_BOUNDS_US: readonly number[] = Array.from({ length: 22 }, (_, i) => 16 * 2 ** i);
export const LATENCY_CLASSES = LATENCY_BOUNDS_US.length + 1;

const LARGEST_US = 16 * 2 ** 21;

/** The class of a latency. */
export function latencyClass(microseconds: number): number {
  if (microseconds <= 16) return 0;
  if (microseconds > LARGEST_US) return LATENCY_CLASSES - 1;
  return 32 - Math.clz32((Math.ceil(microseconds) - 1) >>> 4);
}

/**
 * The latency in microseconds that `share` (0 to 1) of those counted did not exceed, evenly spread within its class;
 * undefined where nothing was counted. What lies beyond the last bound counts as the last bound.
 */
export function latencyQuantile(counts: ArrayLike<number>, share: number): number | undefined {
  let total = 0;
  for (let i = 0; i < LATENCY_CLASSES; i++) total += counts[i] ?? 0;
  if (total === 0) return undefined;
  const wanted = share * total;
  let below = 0;
  for (let i = 0; i < LATENCY_CLASSES; i++) {
    const count = counts[i] ?? 0;
    if (count > 0 && below + count >= wanted) {
      const high = LATENCY_BOUNDS_US[i] ?? LARGEST_US;
      const low = i === 0 ? 0 : (LATENCY_BOUNDS_US[i - 1] ?? LARGEST_US);
      return low + (high - low) * Math.min(1, Math.max(0, (wanted - below) / count));
    }
    below += count;
  }
  return LARGEST_US;
}
