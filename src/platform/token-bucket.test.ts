import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { TokenBucket } from "./token-bucket.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a token bucket", () => {
  test("without a limit nobody waits", async () => {
    const bucket = new TokenBucket(new ManualClock());
    for (let i = 0; i < 100; i++) await bucket.take(1e9);
  });

  test("no more passes than the rate allows, and all of that", async () => {
    const random = new SeededRandom(3);
    const clock = new ManualClock();
    const bucket = new TokenBucket(clock);
    bucket.setRate(10_000);
    const startMs = clock.monotonicMs();
    let passed = 0;
    let asked = 0;
    while (clock.monotonicMs() - startMs < 60_000) {
      while (asked < passed + 50_000) {
        const bytes = random.below(9_000) + 1;
        asked += bytes;
        void bucket.take(bytes).then(() => {
          passed += bytes;
        });
      }
      clock.advance(random.below(200));
      await turn();
      const allowed = (10_000 * (clock.monotonicMs() - startMs)) / 1000 + 5_000 + 9_000;
      assert(passed <= allowed, `${passed} bytes, ${allowed} allowed`);
    }
    assert(passed > 0.97 * 10_000 * 60, `only ${passed} bytes`);
  });

  test("a new rate counts for those who wait already, and so does none", async () => {
    const clock = new ManualClock();
    const bucket = new TokenBucket(clock);
    bucket.setRate(1);
    clock.advance(10_000);
    const done: string[] = [];
    void bucket.take(1_000).then(() => done.push("first"));
    void bucket.take(1_000).then(() => done.push("second"));
    void bucket.take(1_000).then(() => done.push("third"));
    await turn();
    assert.deepEqual(done, ["first"]);
    bucket.setRate(2_000);
    clock.advance(600);
    await turn();
    assert.deepEqual(done, ["first", "second"]);
    bucket.setRate(undefined);
    await turn();
    assert.deepEqual(done, ["first", "second", "third"]);
  });

  test("what is done in the background lets the others go first, and gives up when it is told to", async () => {
    const clock = new ManualClock();
    const bucket = new TokenBucket(clock);
    bucket.setRate(1_000);
    const done: string[] = [];
    const stop = new AbortController();
    void bucket.take(2_000).then(() => done.push("debt"));
    void bucket.take(1, { isBackground: true }).then(() => done.push("background"));
    const given = bucket.take(1, { isBackground: true, signal: stop.signal });
    void bucket.take(1).then(() => done.push("guest"));
    stop.abort(new Error("not wanted any more"));
    await assert.rejects(given, /not wanted/);
    clock.advance(1_000);
    clock.advance(3_000);
    await turn();
    assert.deepEqual(done, ["debt", "guest", "background"]);
    await assert.rejects(bucket.take(1, { signal: stop.signal }), /not wanted/);
  });
});
