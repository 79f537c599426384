import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow } from "../catalog/schema.ts";
import type { GatewayId } from "../platform/ids.ts";
import { Bandwidth } from "./bandwidth.ts";
import { GatewayError } from "./errors.ts";
import type { BandwidthInterval } from "./gateway-settings.ts";
import type { BandwidthLimits } from "./ports.ts";

const MINUTE_MS = 60_000;
const ID = "sgw-00000001" as GatewayId;
const refused = (code: string) => (error: unknown) => error instanceof GatewayError && error.code === code;

describe("bandwidth limits", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-bandwidth-"));
  // A Tuesday.
  const clock = new ManualClock(Date.parse("2026-11-24T16:30:00Z"));
  const told: BandwidthLimits[] = [];
  let catalog: Catalog;
  let bandwidth: Bandwidth;
  before(async () => {
    catalog = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
    const row: GatewayRow = {
      id: ID,
      name: "g",
      kind: "STORED",
      timezone: "GMT-8:00",
      created_at: 0,
      state: "running",
      settings: "{}",
    };
    await catalog.addGateway(row, []);
    bandwidth = new Bandwidth({
      catalog,
      clock,
      control: { setBandwidth: async (_id, limits) => void told.push(limits) },
      onProblem: (message, error) => assert.fail(`${message}: ${error}`),
    });
    await bandwidth.look();
  });
  after(async () => {
    await bandwidth.close();
    await catalog.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const gateway = async (): Promise<GatewayRow> => {
    const row = await catalog.gateway(ID);
    assert(row !== undefined);
    return row;
  };
  const interval = (over: Partial<BandwidthInterval>): BandwidthInterval => ({
    startHour: 9,
    startMinute: 0,
    endHour: 17,
    endMinute: 59,
    daysOfWeek: [1, 2, 3, 4, 5],
    ...over,
  });

  test("without one nothing is told", () => assert.deepEqual(told, []));

  test("a single limit holds always; one that is not given stays; both can be taken away", async () => {
    await bandwidth.setLimits(await gateway(), { uploadBitsPerSecond: 80_000 });
    await bandwidth.setLimits(await gateway(), { downloadBitsPerSecond: 160_000 });
    assert.deepEqual(told.splice(0), [
      { uploadBytesPerSecond: 10_000 },
      { uploadBytesPerSecond: 10_000, downloadBytesPerSecond: 20_000 },
    ]);
    assert.deepEqual(bandwidth.schedule(await gateway()), [
      {
        startHour: 0,
        startMinute: 0,
        endHour: 23,
        endMinute: 59,
        daysOfWeek: [0, 1, 2, 3, 4, 5, 6],
        uploadBitsPerSecond: 80_000,
        downloadBitsPerSecond: 160_000,
      },
    ]);
    await bandwidth.remove(await gateway(), "UPLOAD");
    await assert.rejects(
      bandwidth.remove(await gateway(), "UPLOAD"),
      refused("BandwidthThrottleScheduleNotFound"),
    );
    await bandwidth.remove(await gateway(), "ALL");
    assert.deepEqual(told.splice(0), [{ downloadBytesPerSecond: 20_000 }, {}]);
    await assert.rejects(
      bandwidth.remove(await gateway(), "ALL"),
      refused("BandwidthThrottleScheduleNotFound"),
    );
  });

  test("a schedule holds between its times, in the gateway's zone, its last minute included", async () => {
    // 8:30 in the gateway's zone.
    await bandwidth.setSchedule(await gateway(), [interval({ uploadBitsPerSecond: 800_000 })]);
    assert.deepEqual(told, []);
    clock.advance(30 * MINUTE_MS);
    await bandwidth.look();
    assert.deepEqual(told.splice(0), [{ uploadBytesPerSecond: 100_000 }]);
    clock.advance(9 * 60 * MINUTE_MS - MINUTE_MS);
    await bandwidth.look();
    assert.deepEqual(told, [], "at 17:59 it still holds");
    clock.advance(MINUTE_MS);
    await bandwidth.look();
    assert.deepEqual(told.splice(0), [{}]);
    clock.advance(4 * 24 * 60 * MINUTE_MS - 60 * MINUTE_MS);
    await bandwidth.look();
    assert.deepEqual(told, [], "not on a Saturday");
  });

  test("intervals that overlap, end before they begin, or limit nothing are refused", async () => {
    const refuse = async (...intervals: BandwidthInterval[]) =>
      assert.rejects(bandwidth.setSchedule(await gateway(), intervals), refused("InvalidParameters"));
    const limit = { uploadBitsPerSecond: 80_000 };
    await refuse(interval(limit), interval({ ...limit, startHour: 17, endHour: 20, daysOfWeek: [5, 6] }));
    await refuse(interval({ ...limit, endHour: 8 }));
    await refuse(interval({}));
    await bandwidth.setSchedule(await gateway(), [
      interval(limit),
      interval({ ...limit, startHour: 18, endHour: 20 }),
      interval({ ...limit, daysOfWeek: [0, 6] }),
    ]);
    await bandwidth.setSchedule(await gateway(), []);
  });
});
