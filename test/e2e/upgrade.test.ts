/** What an earlier version has left behind is opened by this one: volumes, snapshots, and the bucket alone. */
import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, runOk, volumeUrl } from "../clients/iscsi.ts";
import { completed, createSnapshot, makeCached } from "./volume-kit.ts";

const fixtures = fileURLToPath(new URL("../fixtures/upgrade/", import.meta.url));
const OF_KEPT = ["read -P 17 0 2M", "read -P 34 512M 64k"];
const OF_HOT = ["read -P 51 1M 1M"];
const SIZES = ["--cache-size", "64MiB", "--upload-buffer-size", "64MiB"];
const SNAPSHOT_OF_KEPT = "snap-fe49fe385f8e1cd25";
const SNAPSHOT_OF_HOT = "snap-79191c10e06771fce";

for (const archive of readdirSync(fixtures).filter((name) => name.endsWith(".tar.gz"))) {
  describe(`the data of version ${archive.replace(".tar.gz", "")}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-upgrade-"));
    const dataDir = join(folder, "data");
    const store = ["--store", `file://${join(folder, "vault")}`];
    const gateway = new GatewayProcess(dataDir, [...store, ...SIZES]);
    const recovered = new GatewayProcess(join(folder, "recovered"), [...store, ...SIZES]);

    after(async () => {
      await gateway.kill();
      await recovered.kill();
      rmSync(folder, { recursive: true, force: true });
    });

    const reads = (from: GatewayProcess, target: string, ...commands: string[]) =>
      qemuIo(volumeUrl(from.portal, target), ...commands);

    test("serves on: volumes hold what was written last, snapshots what was there then", async () => {
      await runOk("tar", ["-xSf", join(fixtures, archive), "-C", folder]);
      // It was made in another folder.
      const catalog = new DatabaseSync(join(dataDir, "catalog.sqlite"));
      catalog
        .prepare("UPDATE disks SET path = ? || substr(path, instr(path, '/data/disks/') + length('/data'))")
        .run(dataDir);
      catalog.close();
      await gateway.start();
      await reads(gateway, "kept", ...OF_KEPT, "read -P 68 4M 64k", "read -P 0 8M 1M");
      await reads(gateway, "hot", ...OF_HOT, "read -P 85 3M 64k");
      await makeCached(gateway, "of-kept", 1024 ** 3, { SnapshotId: SNAPSHOT_OF_KEPT });
      await reads(gateway, "of-kept", ...OF_KEPT, "read -P 0 4M 64k");
      await makeCached(gateway, "of-hot", 1024 ** 3, { SnapshotId: SNAPSHOT_OF_HOT });
      await reads(gateway, "of-hot", ...OF_HOT, "read -P 0 3M 64k");
    });

    test("and goes on: new snapshots stand on the old ones, and all is still there after a crash", async () => {
      const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
      const arns: string[] = VolumeInfos.map((each: { VolumeARN: string }) => each.VolumeARN);
      await qemuIo(volumeUrl(gateway.portal, "kept"), "write -P 102 16M 64k");
      for (const arn of arns) await completed(gateway, await createSnapshot(gateway, arn));
      await gateway.crash();
      await reads(gateway, "kept", ...OF_KEPT, "read -P 68 4M 64k", "read -P 102 16M 64k");
      await reads(gateway, "hot", ...OF_HOT, "read -P 85 3M 64k");
      const verified = sluicegate("vault", "verify", "--data", dataDir);
      assert.match(verified.stdout, /nothing is wrong/, verified.stderr);
    });

    test("the bucket and the key alone bring it back", async () => {
      await gateway.stop();
      const key = join(dataDir, "vault.key");
      const done = sluicegate("recover", ...store, "--key", key, "--data", recovered.dataDir, ...SIZES);
      assert.equal(done.status, 0, done.stderr);
      await recovered.start();
      await reads(recovered, "kept", ...OF_KEPT, "read -P 68 4M 64k", "read -P 102 16M 64k");
      await reads(recovered, "hot", ...OF_HOT, "read -P 85 3M 64k");
    });

    test("what a later version has changed is refused by this one, with what to do, and stays as it is", async () => {
      await recovered.stop();
      const refusal = () =>
        sluicegate(
          "start",
          "--data",
          recovered.dataDir,
          ...store,
          "--listen",
          "127.0.0.1:0",
          "--iscsi",
          "127.0.0.1:0",
        );
      const path = join(recovered.dataDir, "catalog.sqlite");
      const catalog = new DatabaseSync(path);
      catalog.exec("INSERT INTO kysely_migration VALUES ('9999-later', '2030-01-01T00:00:00.000Z')");
      catalog.close();
      const ofCatalog = refusal();
      assert.equal(ofCatalog.status, 1, ofCatalog.stderr);
      assert.match(
        ofCatalog.stderr,
        /the catalog is a newer version's \(it has "9999-later"\): install that version/,
      );
      const again = new DatabaseSync(path);
      again.exec("DELETE FROM kysely_migration WHERE name = '9999-later'");
      again.close();

      const vaultJson = join(folder, "vault", "vault.json");
      const before = readFileSync(vaultJson, "utf8");
      writeFileSync(vaultJson, before.replace(/"formatVersion":\s*\d+/, '"formatVersion": 99'));
      const ofVault = refusal();
      assert.equal(ofVault.status, 1, ofVault.stderr);
      assert.match(ofVault.stderr, /the vault has format 99, and this version knows 1: use the version/);
      writeFileSync(vaultJson, before);

      // Nothing was harmed by the attempts.
      await recovered.start();
      await reads(recovered, "kept", ...OF_KEPT, "read -P 68 4M 64k", "read -P 102 16M 64k");
      await reads(recovered, "hot", ...OF_HOT, "read -P 85 3M 64k");
    });
  });
}
