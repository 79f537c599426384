import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Catalog } from "../catalog/catalog.ts";
import { createDiskFile, Disks, disksFolder } from "./disks.ts";

const MIB = 1024 ** 2;
const folder = mkdtempSync(join(tmpdir(), "sg-disk-nodes-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("a disk's node stays, whatever disks come and go, and whoever looks at the same time", async () => {
  const catalog = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
  const disks = new Disks(catalog, folder, []);
  const nodes = async () => Object.fromEntries((await disks.all()).map(({ diskId, node }) => [diskId, node]));
  createDiskFile(folder, "m", MIB);
  createDiskFile(folder, "p", MIB);
  const looks = await Promise.all([nodes(), nodes(), nodes()]);
  for (const look of looks) assert.deepEqual(look, { m: "SCSI (0:0)", p: "SCSI (0:1)" });
  createDiskFile(folder, "a", MIB);
  createDiskFile(folder, "z", MIB);
  assert.deepEqual(await nodes(), { a: "SCSI (0:2)", m: "SCSI (0:0)", p: "SCSI (0:1)", z: "SCSI (0:3)" });
  rmSync(join(disksFolder(folder), "m"));
  createDiskFile(folder, "b", MIB);
  assert.deepEqual(await nodes(), { a: "SCSI (0:2)", b: "SCSI (0:4)", p: "SCSI (0:1)", z: "SCSI (0:3)" });
  createDiskFile(folder, "m", MIB);
  const again = await Catalog.open({ sqlitePath: join(folder, "catalog.sqlite") });
  const later = await new Disks(again, folder, []).all();
  assert.equal(later.find(({ diskId }) => diskId === "m")?.node, "SCSI (0:0)");
  assert.equal(later.find(({ diskId }) => diskId === "b")?.node, "SCSI (0:4)");
  await again.close();
  await catalog.close();
});
