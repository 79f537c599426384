import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { VolumeId } from "../platform/ids.ts";
import { UploadTurns } from "./upload-turns.ts";

const VOLUME = "vol-00000000000000001" as VolumeId;

test("the next upload of a volume begins when the one that was left has ended, which is told to", async () => {
  const turns = new UploadTurns();
  const events: string[] = [];
  const upload = (name: string) => async (signal: AbortSignal) => {
    events.push(`${name} begins`);
    while (!signal.aborted && name !== "last") await new Promise((resolve) => setImmediate(resolve));
    events.push(`${name} ends`);
    if (signal.aborted) throw new Error("stopped");
    return name;
  };
  const first = assert.rejects(turns.run(VOLUME, upload("first")), /stopped/);
  turns.cancel(VOLUME);
  const second = assert.rejects(turns.run(VOLUME, upload("second")), /stopped/);
  const last = turns.run(VOLUME, upload("last"));
  await Promise.all([first, second]);
  assert.equal(await last, "last");
  assert.deepEqual(events, [
    "first begins",
    "first ends",
    "second begins",
    "second ends",
    "last begins",
    "last ends",
  ]);
});
