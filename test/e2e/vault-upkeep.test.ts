/** The upkeep of the vault on the real gateway: what is deleted gives its space back, and damage is found and named. */
import { strict as assert } from "node:assert";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { fileStore, s3Store } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];

for (const store of [fileStore, s3Store]) {
  describe(`the upkeep of a vault, on a ${store.name} store`, { skip: store.skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-upkeep-"));
    const bucket = join(folder, "bucket");
    mkdirSync(bucket);
    const gateway = new GatewayProcess(join(folder, "data"), [...store.options(bucket), ...SIZES]);
    const vault = (...args: string[]) => sluicegate("vault", ...args, "--data", gateway.dataDir);
    const random = new SeededRandom(5);
    let arn = "";
    const snapshots: string[] = [];

    after(async () => {
      await gateway.kill();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Writes random bytes; the snapshot of what there is then. */
    async function written(firstMib: number, count: number): Promise<string> {
      const client = await BlockClient.open(gateway.portal, "disk");
      for (let at = firstMib; at < firstMib + count; at++)
        await client.write((at * MIB) / 512, random.bytes(MIB));
      client.close();
      const id = await createSnapshot(gateway, arn);
      await completed(gateway, id);
      return id;
    }

    test("a snapshot from the middle of a chain gives back exactly what only it held", async () => {
      await gateway.start();
      arn = await makeStored(gateway, "disk");
      snapshots.push(await written(0, 16));
      const before = await store.sizeBytes(bucket);
      snapshots.push(await written(4, 8));
      const middle = (await store.sizeBytes(bucket)) - before;
      snapshots.push(await written(4, 8));
      assert(middle > 8 * MIB);
      const full = await store.sizeBytes(bucket);
      await gateway.boto.ec2("delete_snapshot", { SnapshotId: snapshots[1] });
      const look = vault("gc", "--dry-run");
      assert.equal(look.status, 0, look.stderr);
      assert.match(look.stdout, /2 roots; .*\nnothing in use: [1-9]/);
      assert(Math.abs((await store.sizeBytes(bucket)) - full) < 16 * 1024, "a dry run deletes nothing");
      const { status, stdout, stderr } = vault("gc");
      assert.equal(status, 0, stderr);
      assert.match(stdout, /deleted: [1-9]/);
      const freed = full - (await store.sizeBytes(bucket));
      assert(freed > 0.98 * middle && freed < 1.02 * middle, `${freed} bytes freed, ${middle} were its own`);
      assert.match(vault("verify").stdout, /nothing is wrong/);
      await makeCached(gateway, "first", GIB, { SnapshotId: snapshots[0] });
      await qemuIo(volumeUrl(gateway.portal, "first"), "read 0 16M");
      await gateway.crash();
      // How the upkeep went is known after a start too.
      const stats = vault("stats").stdout;
      assert.match(stats, /Last collection: +20\d\d-/);
      assert.match(stats, /Last verification: +20\d\d-/);
      assert.match(stats, /Problems: +0/);
      await makeCached(gateway, "last", GIB, { SnapshotId: snapshots[2] });
      await qemuIo(volumeUrl(gateway.portal, "last"), "read 0 16M");
      // The volume goes on, and what it had stored before is stored again where it is needed.
      snapshots.push(await written(0, 2));
      assert.match(vault("verify", "--sample", "50").stdout, /nothing is wrong/);
    });

    // Only where the bucket's objects are files that can be damaged.
    if (store !== fileStore) return;
    test("damage is found and named", async () => {
      const packs = join(bucket, "the-vault", "packs");
      const files = readdirSync(packs, { recursive: true, withFileTypes: true }).filter((item) =>
        item.isFile(),
      );
      // The largest holds blocks, and not only pages.
      const sizeOf = (file: (typeof files)[number]) => statSync(join(file.parentPath, file.name)).size;
      const file = files.sort((a, b) => sizeOf(b) - sizeOf(a))[0];
      assert(file !== undefined);
      const path = join(file.parentPath, file.name);
      const bytes = readFileSync(path);
      bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      const { status, stdout } = vault("verify");
      assert.equal(status, 3);
      assert.match(stdout, new RegExp(`record \\d+ of pack ${file.name} fails its tag`));
      assert.match(stdout, /hit: vol-[0-9a-f]{17}, snap-[0-9a-f]{17}(, snap-[0-9a-f]{17})*: 1 blocks: \d+/);
    });
  });
}
