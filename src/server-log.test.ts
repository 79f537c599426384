/** The log as people read it. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { asText } from "./server-log.ts";

test("a line for people has time, level, message, reason and fields, and no stack", () => {
  const entry = {
    ...{ level: 50, time: Date.UTC(2026, 10, 24, 1, 2, 3), pid: 1, hostname: "host", msg: "can't" },
    ...{ err: { message: "the disk is away", stack: "Error\n    at x" }, volumeId: "vol-1", tries: 2 },
  };
  assert.equal(
    asText(JSON.stringify(entry)),
    "01:02:03 error: can't: the disk is away volumeId=vol-1 tries=2\n",
  );
});
