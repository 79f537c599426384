import { strict as assert } from "node:assert";
import { test } from "node:test";
import { GroupCommit } from "./group-commit.ts";

test("one run at a time, also where a caller goes on at once while others wait", async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const commit = new GroupCommit(async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    runs += 1;
  });
  const again = commit.run().then(() => commit.run());
  const other = commit.run();
  await Promise.all([again, other]);
  assert.equal(most, 1);
  // Whoever comes between two runs is served by one that begins later.
  const before = runs;
  await commit.run();
  assert.equal(runs, before + 1);
});

test("a run that fails is told to those that it was for, and the next one begins", async () => {
  let fails = true;
  const commit = new GroupCommit(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    if (fails) throw new Error("no");
  });
  const first = assert.rejects(commit.run(), /no/);
  const second = commit.run();
  await first;
  fails = false;
  await second;
});
