/** Snapshots from one gateway to another through the EBS direct API, as they go to AWS and come from there. */
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { changedBlocks, directClient } from "../clients/direct.ts";
import { childrenOf, GatewayProcess } from "../clients/gateway.ts";
import { isEqual, qemuIo, run, runOk, volumeUrl, writeImage } from "../clients/iscsi.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, GIB, makeCached, makeStored, until } from "./volume-kit.ts";

const MIB = 1024 ** 2;
const command = fileURLToPath(new URL("../../bin/sluicegate.js", import.meta.url));

describe("snapshots to EBS and back", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-to-ebs-"));
  const make = (name: string) =>
    new GatewayProcess(join(folder, name), [
      ...fileStore.options(join(folder, name)),
      ...["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"],
    ]);
  const [here, there] = [make("here"), make("there")];
  const image = join(folder, "image");
  const content = Buffer.alloc(150 * MIB);
  let arn = "";
  let first = "";
  let remote = "";

  const args = (...rest: string[]) => [
    ...[command, "snapshot", ...rest, "--data", here.dataDir],
    ...["--ebs-endpoint", there.endpoint, "--ebs-profile", "default"],
  ];
  const env = () => ({ ...process.env, AWS_SHARED_CREDENTIALS_FILE: join(there.dataDir, "credentials") });
  const snapshot = (...rest: string[]) => run(process.execPath, args(...rest), env());
  const idOf = ({ status, output }: { status: number | null; output: string }) => {
    assert.equal(status, 0, output);
    return /snap-[0-9a-f]{17}\s*$/.exec(output)?.[0].trim() ?? assert.fail(output);
  };

  before(async () => {
    await Promise.all([here.start(), there.start()]);
    const random = new SeededRandom(5);
    for (let at = 0; at < 120 * MIB; at += 2 * MIB) random.bytes(MIB).copy(content, at);
    writeFileSync(image, content);
    arn = await makeStored(here, "disk");
    await writeImage(image, volumeUrl(here.portal, "disk"));
    first = await createSnapshot(here, arn);
    await completed(here, first);
  });
  after(async () => {
    await Promise.all([here.kill(), there.kill()]);
    rmSync(folder, { recursive: true, force: true });
  });

  test("an export that is killed on its way goes on, and the other side has every byte", async () => {
    const child = spawn(process.execPath, args("export", first, "ebs"), { env: env(), stdio: "ignore" });
    const exited = once(child, "exit");
    const journals = join(here.dataDir, "ebs-exports");
    const lines = () => {
      const [name] = existsSync(journals) ? readdirSync(journals) : [];
      return name === undefined ? [] : readFileSync(join(journals, name), "utf8").split("\n");
    };
    await until("some blocks are sent", async () => (lines().length > 10 ? true : undefined));
    for (const pid of [...childrenOf(child.pid ?? 0), child.pid ?? 0]) process.kill(pid, "SIGKILL");
    await exited;
    const sent = lines().length;
    assert(sent < 120, "it was too fast to be killed on its way");
    const begun = JSON.parse(lines()[0] ?? "").remoteId;
    remote = idOf(await snapshot("export", first, "ebs"));
    assert.equal(remote, begun);
    assert.deepEqual(readdirSync(journals), []);
    const { Snapshots } = await there.boto.ec2("describe_snapshots", { OwnerIds: ["self"] });
    assert.deepEqual(
      Snapshots.map((one: { SnapshotId: string; State: string; Description: string }) => [
        one.SnapshotId,
        one.State,
      ]),
      [[remote, "completed"]],
    );
    await makeCached(there, "copy", GIB, { SnapshotId: remote });
    assert(await isEqual(image, volumeUrl(there.portal, "copy")));
  });

  test("only what has changed goes on top of what is there", async () => {
    await qemuIo(volumeUrl(here.portal, "disk"), "write -P 7 10M 64k", "write -z 20M 1M", "flush");
    const second = await createSnapshot(here, arn);
    await completed(here, second);
    const increment = idOf(await snapshot("export", second, "ebs", "--base", first, "--parent", remote));
    const client = directClient(there.botoSettings());
    const changed = await changedBlocks(client, remote, increment);
    client.destroy();
    assert.deepEqual(
      changed.map(({ index, second: has }) => [index, has !== undefined]),
      [
        [20, true],
        [40, false],
        [41, false],
      ],
    );
    content.fill(7, 10 * MIB, 10 * MIB + 64 * 1024).fill(0, 20 * MIB, 21 * MIB);
    writeFileSync(image, content);
    await makeCached(there, "increment", GIB, { SnapshotId: increment });
    assert(await isEqual(image, volumeUrl(there.portal, "increment")));
    const back = idOf(await snapshot("import", `ebs:${increment}`, "--description", "back"));
    const { Snapshots } = await here.boto.ec2("describe_snapshots", { SnapshotIds: [back] });
    assert.deepEqual([Snapshots[0].Description, Snapshots[0].State], ["back", "completed"]);
    const raw = join(folder, "back.raw");
    await runOk(process.execPath, [command, "snapshot", "export", back, raw, "--data", here.dataDir]);
    await runOk("qemu-img", ["compare", "-f", "raw", "-F", "raw", image, raw]);
  });

  test("what can't be is said", async () => {
    const refused = async (pattern: RegExp, ...rest: string[]) => {
      const { status, output } = await snapshot(...rest);
      assert.equal(status, 1, output);
      assert.match(output, pattern);
    };
    await refused(/has no snapshot/, "export", "snap-00000000000000000", "ebs");
    await refused(/does not exist/, "import", "ebs:snap-00000000000000000");
    await refused(/go together/, "export", first, "ebs", "--base", first);
  });
});
