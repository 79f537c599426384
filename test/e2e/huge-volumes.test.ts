/** The largest volumes there are: what they cost is what is in them. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored, statusOf, until } from "./volume-kit.ts";

/** A file on ext4 has at most 16 TiB less a block, and a volume whole GiB. */
const STORED_GIB = 16 * 1024 - 1;
const CACHED_GIB = 32 * 1024;
const SECTORS_PER_GIB = GIB / 512;
const SPARSE_MIB_MAX = 400;

/** Where it is written: at both ends, and between them. */
function places(gib: number): number[] {
  return [
    0,
    12345,
    (gib / 2) * SECTORS_PER_GIB - 128,
    gib * SECTORS_PER_GIB - 256,
    gib * SECTORS_PER_GIB - 1,
  ].map(Math.floor);
}

describe("volumes of 16 and 32 TiB", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-huge-"));
  const gateway = new GatewayProcess(join(folder, "data"), [
    "--cache-size",
    "256MiB",
    "--upload-buffer-size",
    "128MiB",
  ]);
  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const kind of ["stored", "cached"] as const) {
    const gib = kind === "stored" ? STORED_GIB : CACHED_GIB;
    const make = (name: string, more: object = {}) =>
      kind === "stored"
        ? makeStored(gateway, name, `${gib}GiB`, more)
        : makeCached(gateway, name, gib * GIB, more);

    test(`${kind}, ${gib} GiB: made, written, cut at once, killed, restored, read back`, async () => {
      const arn = await make(`huge-${kind}`);
      const client = await BlockClient.open(gateway.portal, `huge-${kind}`);
      assert.equal(await client.capacity(), gib * SECTORS_PER_GIB);
      for (const [i, sector] of places(gib).entries()) await client.write(sector, Buffer.alloc(512, i + 1));
      const startMs = systemClock.monotonicMs();
      const snapshotId = await createSnapshot(gateway, arn);
      const tookMs = systemClock.monotonicMs() - startMs;
      assert(tookMs < 5_000, `CreateSnapshot took ${tookMs} ms`);
      await client.write(0, Buffer.alloc(512, 99));
      client.close();
      await gateway.crash();
      await completed(gateway, snapshotId);
      const copy = await make(`huge-${kind}-copy`, { SnapshotId: snapshotId });
      const reader = await BlockClient.open(gateway.portal, `huge-${kind}-copy`);
      for (const [i, sector] of places(gib).entries()) {
        assert((await reader.read(sector, 1)).equals(Buffer.alloc(512, i + 1)), `sector ${sector}`);
      }
      assert((await reader.read(777 * SECTORS_PER_GIB, 128)).equals(Buffer.alloc(65536)));
      reader.close();
      const again = await BlockClient.open(gateway.portal, `huge-${kind}`);
      assert.equal((await again.read(0, 1))[0], 99);
      again.close();
      await until(
        "restored",
        async () => ((await statusOf(gateway, copy)) === "AVAILABLE" ? true : undefined),
        120_000,
      );
    });
  }

  test("what they take on the disk is what was written", () => {
    const { stdout } = spawnSync("du", ["-sm", folder], { encoding: "utf8" });
    const mib = Number.parseInt(stdout, 10);
    assert(mib < SPARSE_MIB_MAX, `${mib} MiB`);
  });
});
