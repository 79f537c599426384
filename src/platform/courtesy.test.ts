import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Courtesy } from "./courtesy.ts";

describe("courtesy", () => {
  test("rests while others are busy, the longer the more it has worked, all jobs at once", async () => {
    const clock = new ManualClock();
    let load = 0;
    const courtesy = new Courtesy(clock, () => load);
    clock.advance(1_000);
    await courtesy.turn();
    load = 1;
    let done = 0;
    const first = courtesy.turn().then(() => {
      done += 1;
    });
    const second = courtesy.turn().then(() => {
      done += 1;
    });
    clock.advance(49);
    await Promise.resolve();
    assert.equal(done, 0);
    clock.advance(1);
    await Promise.all([first, second]);
    assert.equal(done, 2);
    clock.advance(5);
    load = 0.5;
    const third = courtesy.turn().then(() => {
      done += 1;
    });
    clock.advance(4);
    await Promise.resolve();
    assert.equal(done, 2);
    clock.advance(1);
    await third;
    // What is hardly work is no reason to rest.
    clock.advance(1);
    await courtesy.turn();
  });
});
