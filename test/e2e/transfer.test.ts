/** Snapshots to disk images and back, beside the running gateway. */
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { childrenOf, GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { firstDifference } from "../clients/image.ts";
import { isEqual, qemuIo, runOk, volumeUrl, writeImage } from "../clients/iscsi.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { fileStore, s3Store } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const command = fileURLToPath(new URL("../../bin/sluicegate.js", import.meta.url));
const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];

for (const store of [fileStore, s3Store]) {
  describe(`disk images and snapshots, on a ${store.name} store`, { skip: store.skip }, () => {
    const folder = mkdtempSync(join(tmpdir(), "sg-transfer-"));
    const bucket = join(folder, "bucket");
    mkdirSync(bucket);
    const gateway = new GatewayProcess(join(folder, "data"), [...store.options(bucket), ...SIZES]);
    const snapshot = (...args: string[]) => sluicegate("snapshot", ...args, "--data", gateway.dataDir);
    const image = join(folder, "image");
    let snapshotId = "";

    /** Starts a command and kills it as soon as `isFar`. */
    const killOnItsWay = async (args: readonly string[], isFar: () => boolean) => {
      const all = [command, "snapshot", ...args, "--data", gateway.dataDir];
      const child = spawn(process.execPath, all, { stdio: "ignore" });
      const exited = once(child, "exit");
      await until("it is on its way", async () => (isFar() ? true : undefined));
      for (const pid of [...childrenOf(child.pid ?? 0), child.pid ?? 0]) process.kill(pid, "SIGKILL");
      await exited;
    };

    before(() => gateway.start());
    after(async () => {
      await gateway.kill();
      rmSync(folder, { recursive: true, force: true });
    });

    test("a snapshot becomes an image: raw, and qcow2, sparse and bit for bit", async () => {
      const arn = await makeStored(gateway, "disk");
      const content = Buffer.alloc(20 * MIB);
      new SeededRandom(7).bytes(9 * MIB).copy(content, 3 * MIB);
      writeFileSync(image, content);
      await writeImage(image, volumeUrl(gateway.portal, "disk"));
      snapshotId = await createSnapshot(gateway, arn);
      await completed(gateway, snapshotId);
      // What is written after the cut is not in it.
      await qemuIo(volumeUrl(gateway.portal, "disk"), "write -P 9 5M 64k", "flush");
      for (const name of ["out.raw", "out.qcow2"]) {
        const path = join(folder, name);
        const { status, stderr } = snapshot("export", snapshotId, path);
        assert.equal(status, 0, stderr);
        assert(statSync(path).blocks * 512 < 12 * MIB, `${name} is not sparse`);
        const format = name.endsWith("raw") ? "raw" : "qcow2";
        await runOk("qemu-img", ["compare", "-f", "raw", "-F", format, image, path]);
      }
      assert.equal(statSync(join(folder, "out.raw")).size, GIB);
      assert.match(snapshot("export", snapshotId, join(folder, "out.raw")).stderr, /is there already/);
      assert.match(snapshot("export", "snap-00000000000000000", join(folder, "x")).stderr, /has no snapshot/);
    });

    test("an image becomes a snapshot, which becomes a volume", async () => {
      for (const name of ["out.qcow2", "image"]) {
        const { status, stdout, stderr } = snapshot(
          "import",
          join(folder, name),
          "--description",
          `of ${name}`,
        );
        assert.equal(status, 0, stderr);
        const id = stdout.trim();
        const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [id] });
        assert.deepEqual(
          [Snapshots[0].State, Snapshots[0].VolumeSize, Snapshots[0].Description],
          ["completed", 1, `of ${name}`],
        );
        const target = `from-${name}`.replace(".", "-");
        await makeCached(gateway, target, GIB, { SnapshotId: id });
        assert(await isEqual(image, volumeUrl(gateway.portal, target)));
      }
      assert.match(snapshot("import", join(folder, "nowhere")).stderr, /there is no file/);
    });

    // The same on every store, and only here can objects be damaged.
    if (store !== fileStore) return;
    test("damage leaves holes, if that is wanted", () => {
      const packs = join(bucket, "the-vault", "packs");
      const files = readdirSync(packs, { recursive: true, withFileTypes: true }).filter((item) =>
        item.isFile(),
      );
      const sizeOf = (file: (typeof files)[number]) => statSync(join(file.parentPath, file.name)).size;
      const file = files.sort((a, b) => sizeOf(b) - sizeOf(a))[0];
      assert(file !== undefined);
      const path = join(file.parentPath, file.name);
      const bytes = readFileSync(path);
      bytes[200_000] = (bytes[200_000] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      const holed = join(folder, "holed");
      const refused = snapshot("export", snapshotId, holed);
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /fails its tag/);
      const { status, stderr } = snapshot("export", snapshotId, holed, "--holes");
      assert.equal(status, 3, stderr);
      const hole = Number(/zeros now: (\d+)$/m.exec(stderr)?.[1]);
      const expected = readFileSync(image);
      expected.fill(0, hole * 65536, (hole + 1) * 65536);
      writeFileSync(join(folder, "expected"), expected);
      assert.equal(firstDifference(holed, join(folder, "expected"), 0, GIB), undefined);
    });

    test("what is killed on its way goes on: an import with the part that it was at, an export where it was", async () => {
      const large = join(folder, "large");
      writeFileSync(large, randomBytes(300 * MIB));
      const parts = join(gateway.dataDir, "imports");
      const journal = () => {
        const [name] = existsSync(parts) ? readdirSync(parts) : [];
        const path = join(parts, name ?? "", "import.json");
        return name !== undefined && existsSync(path) ? readFileSync(path, "utf8") : "";
      };
      await killOnItsWay(["import", large], () => journal().includes('"epoch":2'));
      const { part } = JSON.parse(journal()) as { part: { to: number } };
      const resumed = snapshot("import", large);
      assert.equal(resumed.status, 0, resumed.stderr);
      const at = Number(/goes on at (\d+) MiB/.exec(resumed.stderr)?.[1]);
      assert(at > 0 && at <= part.to * 4, resumed.stderr);
      assert.deepEqual(readdirSync(parts), []);
      const id = resumed.stdout.trim();
      const { Snapshots } = await gateway.boto.ec2("describe_snapshots", { SnapshotIds: [id] });
      assert.equal(Snapshots[0].State, "completed");

      const raw = join(folder, "large.raw");
      const exports = join(gateway.dataDir, "exports");
      const doneBlocks = () => {
        const [name] = existsSync(exports) ? readdirSync(exports) : [];
        const note = join(exports, name ?? "", "written.json");
        const text = name !== undefined && existsSync(note) ? readFileSync(note, "utf8") : "{}";
        return (JSON.parse(text) as { doneBlocks?: number }).doneBlocks ?? 0;
      };
      await killOnItsWay(["export", id, raw], () => doneBlocks() > 0);
      const done = doneBlocks();
      // What counts as written is not written again: it stays as somebody has changed it.
      const part0 = openSync(`${raw}.part`, "r+");
      writeSync(part0, Buffer.alloc(1, 1), 0, 1, 0);
      closeSync(part0);
      const exported = snapshot("export", id, raw);
      assert.equal(exported.status, 0, exported.stderr);
      assert(done > 0 && !existsSync(`${raw}.part`));
      assert.deepEqual(readdirSync(exports), []);
      const expected = readFileSync(large);
      expected[0] = 1;
      assert(readFileSync(raw).subarray(0, expected.length).equals(expected));
      rmSync(raw);

      await killOnItsWay(["import", large], () => journal() !== "");
      const abandoned = snapshot("import", large, "--abandon");
      assert.equal(abandoned.status, 0, abandoned.stderr);
      assert.deepEqual(readdirSync(parts), []);
      assert.match(snapshot("import", large, "--abandon").stderr, /no import of .* has been broken off/);
    });
  });
}
