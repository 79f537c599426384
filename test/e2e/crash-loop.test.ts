import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { crashRounds } from "./crash-rounds.ts";

describe("kill -9 under a write load", () => {
  test("five times: no acknowledged write is lost, and snapshots hold what they were taken of", async (t) => {
    const { writes, failedSnapshots } = await crashRounds(5, 1, (line) => t.diagnostic(line));
    assert(writes > 100, `only ${writes} writes`);
    // Nothing but the process has died: there is no reason for a snapshot to fail.
    assert.equal(failedSnapshots, 0);
  });
});
