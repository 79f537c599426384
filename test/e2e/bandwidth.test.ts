/**
 * Bandwidth limits, as bytes that really pass: no more may go in a time than the limit allows. How much less goes is
 * for a machine that does nothing else to tell, so only that way is measured.
 */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { completed, createSnapshot, GIB, gatewayArn, makeCached, snapshotState } from "./volume-kit.ts";

const MIB = 2 ** 20;
const MIB_SECTORS = MIB / 512;
const BYTES_PER_SECOND = 512 * 1024;
const BITS_PER_SECOND = BYTES_PER_SECOND * 8;
/** What may pass at once after a pause, beside one piece that is on its way. */
const BURST_BYTES = BYTES_PER_SECOND / 2;
/** The lowest limits of the API: a mebibyte takes minutes. */
const SLOWEST = { AverageUploadRateLimitInBitsPerSec: 51_200, AverageDownloadRateLimitInBitsPerSec: 102_400 };

describe("bandwidth limits", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-bandwidth-"));
  const sizes = ["--cache-size", "128MiB", "--upload-buffer-size", "64MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), sizes);
  let GatewayARN: string;
  let arn: string;
  let client: BlockClient;
  let written = 0;

  before(async () => {
    await gateway.start();
    GatewayARN = await gatewayArn(gateway, "CACHED");
    arn = await makeCached(gateway, "limited");
    client = await BlockClient.open(gateway.portal, "limited");
  });
  after(async () => {
    client?.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A snapshot that has so many bytes to send that nobody has seen before. */
  async function snapshotOf(mebibytes: number): Promise<string> {
    for (let i = 0; i < mebibytes; i++) await client.write(written++ * MIB_SECTORS, randomBytes(MIB));
    return createSnapshot(gateway, arn);
  }

  async function tookMs(action: () => Promise<void>): Promise<number> {
    const beganMs = systemClock.monotonicMs();
    await action();
    return systemClock.monotonicMs() - beganMs;
  }

  const setLimits = (limits: object) =>
    gateway.boto.gateway("update_bandwidth_rate_limit", { GatewayARN, ...limits });
  const removeLimits = (BandwidthType: string) =>
    gateway.boto.gateway("delete_bandwidth_rate_limit", { GatewayARN, BandwidthType });

  test("what is uploaded takes at least the time that the limit gives it", async () => {
    await setLimits({ AverageUploadRateLimitInBitsPerSec: BITS_PER_SECOND });
    // A piece goes when there is room for its beginning: those before the last are what can be counted on.
    const ms = await tookMs(async () => {
      for (let i = 0; i < 3; i++) await completed(gateway, await snapshotOf(2));
    });
    const atLeastMs = (1000 * (4 * MIB - BURST_BYTES)) / BYTES_PER_SECOND;
    assert(ms >= atLeastMs, `${Math.round(ms)} ms for 6 MiB, not ${Math.round(atLeastMs)} at least`);
  });

  test("a limit that is taken away holds up nothing any more, not even what waits for it", async () => {
    await setLimits(SLOWEST);
    // What is a debt of seconds at the limit before is one of minutes at this.
    const waiting = await snapshotOf(1);
    assert.equal((await snapshotState(gateway, waiting)).State, "pending");
    await removeLimits("UPLOAD");
    await completed(gateway, waiting);
    const left = await gateway.boto.gateway("describe_bandwidth_rate_limit", { GatewayARN });
    assert.equal(left.AverageUploadRateLimitInBitsPerSec, undefined);
    assert.equal(left.AverageDownloadRateLimitInBitsPerSec, SLOWEST.AverageDownloadRateLimitInBitsPerSec);
    await removeLimits("ALL");
  });

  test("what is fetched by a restored volume takes its time too, until the limit goes", async () => {
    const snapshotId = await snapshotOf(0);
    await completed(gateway, snapshotId);
    await setLimits({ AverageDownloadRateLimitInBitsPerSec: BITS_PER_SECOND });
    await makeCached(gateway, "restored", GIB, { SnapshotId: snapshotId });
    const restored = await BlockClient.open(gateway.portal, "restored");
    // Reads ahead fetch up to some mebibytes in one piece.
    const ms = await tookMs(async () => {
      for (let i = 0; i < written; i++) await restored.read(i * MIB_SECTORS, MIB_SECTORS);
    });
    const atLeastMs = (1000 * ((written - 4) * MIB - BURST_BYTES)) / BYTES_PER_SECOND;
    assert(ms >= atLeastMs, `${Math.round(ms)} ms for ${written} MiB, not ${Math.round(atLeastMs)} at least`);
    restored.close();

    await setLimits(SLOWEST);
    await makeCached(gateway, "slow", GIB, { SnapshotId: snapshotId });
    const slow = await BlockClient.open(gateway.portal, "slow");
    const all = Promise.all(
      Array.from({ length: written }, (_, i) => slow.read(i * MIB_SECTORS, MIB_SECTORS)),
    );
    await removeLimits("ALL");
    const contents = await all;
    for (const [i, content] of contents.entries())
      assert(content.equals(await client.read(i * MIB_SECTORS, MIB_SECTORS)), `mebibyte ${i}`);
    slow.close();
  });

  test("a schedule limits in its intervals only", async () => {
    const nowMs = systemClock.nowMs();
    const dayOf = (ms: number) => new Date(ms).getUTCDay();
    const interval = (DaysOfWeek: number[]) => ({
      ...{ StartHourOfDay: 0, StartMinuteOfHour: 0, EndHourOfDay: 23, EndMinuteOfHour: 59, DaysOfWeek },
      AverageUploadRateLimitInBitsPerSec: SLOWEST.AverageUploadRateLimitInBitsPerSec,
    });
    const set = (days: number[]) =>
      gateway.boto.gateway("update_bandwidth_rate_limit_schedule", {
        GatewayARN,
        BandwidthRateLimitIntervals: [interval(days)],
      });
    // Neither today nor, should midnight come in between, tomorrow.
    const today = dayOf(nowMs);
    const idle = [2, 3, 4, 5].map((days) => (today + days) % 7);
    await set(idle);
    for (let i = 0; i < 2; i++) await completed(gateway, await snapshotOf(1));
    await set([0, 1, 2, 3, 4, 5, 6]);
    // One may be in time; it leaves a debt of minutes to the other.
    const waiting = [await snapshotOf(1), await snapshotOf(1)];
    assert.equal((await snapshotState(gateway, waiting[1] ?? "")).State, "pending");
    await set(idle);
    for (const id of waiting) await completed(gateway, id);
  });
});
