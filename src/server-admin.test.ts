/** From a sample to the webhook: the alarms that take a full buffer, or a minute's silence of the bucket. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import pino from "pino";
import { ManualClock } from "../test/kit/manual-clock.ts";
import { SeededRandom } from "../test/kit/seeded-random.ts";
import { WebhookListener } from "../test/kit/webhook-listener.ts";
import type { BackupFigures, DataFigures } from "./gateway/measurements.ts";
import type { GatewayId } from "./platform/ids.ts";
import { systemDisk } from "./platform/system-disk.ts";
import { createWatch } from "./server-admin.ts";

const GATEWAY = "sgw-12345678" as GatewayId;
const STEP_MS = 10_000;

interface Told {
  readonly Type: string;
  readonly Severity: string;
  readonly Resources: readonly string[];
}

describe("alarms reach the webhook", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-alarms-"));
  const hook = new WebhookListener();
  before(() => hook.start());
  after(() => {
    hook.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("of a buffer and a cache that fill up, and of a bucket that gives no answer", async () => {
    const clock = new ManualClock();
    let [buffer, cache] = [0, 0];
    let store: BackupFigures["store"] = { state: "reachable", sinceMs: clock.nowMs() };
    const plane = {
      dataFigures: async (): Promise<DataFigures> =>
        ({
          volumes: [],
          gateways: [
            {
              gatewayId: GATEWAY,
              ...{ uploadBufferUsedBytes: buffer, uploadBufferAllocatedBytes: 100 },
              ...{ cacheDirtyBytes: cache, cacheUsedBytes: cache, cacheAllocatedBytes: 100 },
              ...{ cacheHits: 0, cacheMisses: 0 },
            },
          ],
          utilization: 0,
        }) as unknown as DataFigures,
      backupFigures: async (): Promise<BackupFigures> => ({
        ...{ volumes: [], gateways: [], requests: [], utilization: 0, store },
      }),
      describeVault: async () => ({ storedBytes: 0 }),
    };
    const catalog = {
      gateways: async () => [{ id: GATEWAY, name: "one" }],
      snapshotCounts: async () => [],
    };
    const watch = createWatch({
      ...{ dataDir: folder, version: "1", clock, disk: systemDisk, random: new SeededRandom(1) },
      plane: plane as never,
      catalog: catalog as never,
      log: pino({ level: "silent" }),
      onProblem: (message) => assert.fail(message),
      webhook: { url: hook.url },
    });
    /** Samples are taken until the event has arrived. */
    const heard = async (type: string): Promise<Told> => {
      for (let steps = 0; ; steps++) {
        assert(steps < 500, `${type} is not told`);
        const found = hook.events<Told>().find(({ Type }) => Type === type);
        if (found !== undefined) return found;
        const next = new Promise<void>((resolve) => {
          hook.onTaken = resolve;
        });
        clock.advance(STEP_MS);
        for (let i = 0; i < 50; i++)
          await Promise.race([next, new Promise((resolve) => setImmediate(resolve))]);
      }
    };
    await watch.start();
    [buffer, cache] = [85, 90];
    for (const type of ["UploadBufferHigh", "CacheDirtyHigh"]) {
      const event = await heard(type);
      assert.deepEqual([event.Severity, event.Resources], ["warning", [GATEWAY]]);
    }
    [buffer, cache] = [10, 10];
    for (const type of ["UploadBufferNormal", "CacheDirtyNormal"])
      assert.equal((await heard(type)).Severity, "info");
    store = { state: "unreachable", sinceMs: clock.nowMs(), reason: "no answer" };
    assert.equal((await heard("StoreUnreachable")).Severity, "error");
    store = { state: "reachable", sinceMs: clock.nowMs() };
    assert.equal((await heard("StoreReachable")).Severity, "info");
    // Each once, in the order in which they came about; what is only good to know is not told unless it is asked for.
    assert.deepEqual(
      hook.events<Told>().map(({ Type }) => Type),
      [
        ...["UploadBufferHigh", "CacheDirtyHigh", "UploadBufferNormal", "CacheDirtyNormal"],
        ...["StoreUnreachable", "StoreReachable"],
      ],
    );
    await watch.close();
  });
});
