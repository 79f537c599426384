import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LATENCY_BOUNDS_US, LATENCY_CLASSES, latencyClass, latencyQuantile } from "./latency-histogram.ts";

describe("classes of latencies", () => {
  test("every latency is in the first class whose bound it does not exceed", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (us) => {
        const found = LATENCY_BOUNDS_US.findIndex((bound) => us <= bound);
        assert.equal(latencyClass(us), found < 0 ? LATENCY_CLASSES - 1 : found);
      }),
    );
    for (const [i, bound] of LATENCY_BOUNDS_US.entries()) {
      assert.equal(latencyClass(bound), i);
      assert.equal(latencyClass(bound + 0.001), i + 1);
    }
  });

  test("a quantile lies in the class of the value that it is of", () => {
    const latencies = [10, 20, 20, 100, 5_000];
    const counts = new Float64Array(LATENCY_CLASSES);
    for (const us of latencies) counts[latencyClass(us)] = (counts[latencyClass(us)] ?? 0) + 1;
    const at = (share: number) => latencyQuantile(counts, share) ?? Number.NaN;
    assert(at(0.5) > 16 && at(0.5) <= 32);
    assert(at(0.99) > 4096 && at(0.99) <= 8192);
    assert.equal(latencyQuantile(new Float64Array(LATENCY_CLASSES), 0.5), undefined);
  });
});
