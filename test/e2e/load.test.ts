/**
 * Many clients on a gateway with much in it. How long calls take is for `npm run load`, on a machine that does nothing
 * else; here everything has to be answered, and what was asked for has to have been done.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Catalog } from "../../src/catalog/catalog.ts";
import { type LoadReport, runLoad } from "../load/run-load.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-load-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const VOLUMES = 1_000;
const SNAPSHOTS = 10_000;

test("100 clients on 1,000 volumes and 10,000 snapshots get an answer to everything", async (t) => {
  const report = await runLoad({
    dataDir: folder,
    ...{ volumes: VOLUMES, snapshots: SNAPSHOTS, hasRecords: false, clients: 100, seconds: 5, thinkMs: 0 },
    tell: (line) => t.diagnostic(line),
  });
  t.diagnostic(
    `${Math.round(report.callsPerSecond)} calls/s, lists ${report.lists.medianMs.toFixed(1)} ms at the median, ` +
      `ready after ${Math.round(report.startMs)} ms, ${report.loadedBytes >> 20} MiB`,
  );
  assert.deepEqual(report.errors, []);
  const count = (name: string) => countOf(report, name);
  for (const name of ["ListVolumes", "DescribeSnapshots, pages", "DescribeVolumes, ids", "CreateSnapshot"])
    assert(count(name) > 0, `no call of ${name} was answered`);
  const catalog = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
  try {
    assert.equal((await catalog.volumes()).length, VOLUMES);
    const rows = await catalog.snapshots();
    // A client that was cut short at the end may have been done a favour that it has not heard of.
    const made = rows.length - SNAPSHOTS;
    assert(made >= count("CreateSnapshot"), `${made} of ${count("CreateSnapshot")}`);
    assert(!rows.some(({ state }) => state === "error"));
    assert((await catalog.tags.ofAll("vol-")).some(({ key }) => key === "seen"));
  } finally {
    await catalog.close();
  }
});

function countOf({ lines }: LoadReport, wanted: string): number {
  return lines.find(({ name }) => name === wanted)?.count ?? 0;
}
