import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { LineLimiter } from "./line-limiter.ts";

test("a flood of lines becomes a few and a count, and quiet times show all", () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const limiter = new LineLimiter(clock, ({ message }) => lines.push(message));
  for (let i = 0; i < 1000; i++) limiter.write({ level: "warn", message: "dropped" });
  assert.equal(lines.length, 20);
  clock.advance(10_000);
  assert.deepEqual(lines.slice(20), ['980 more lines like "dropped" were left out']);
  limiter.write({ level: "warn", message: "dropped" });
  clock.advance(10_000);
  assert.deepEqual(lines.slice(21), ["dropped"]);
});
