/**
 * The webhook of the real gateway is told of what comes about: every event that does not take a minute's silence of the
 * bucket or a full buffer, which src/server-admin.test.ts brings about with a clock of its own.
 */
import { strict as assert } from "node:assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EVENT_TYPES } from "../../src/admin/event.ts";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { WebhookListener } from "../kit/webhook-listener.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, makeCached, snapshotState, until } from "./volume-kit.ts";

interface Told {
  readonly Type: string;
  readonly Severity: string;
  readonly Message: string;
  readonly Resources: readonly string[];
}

describe("the webhook's events", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-webhook-"));
  const bucket = join(folder, "the-vault");
  const hook = new WebhookListener();
  let gateway: GatewayProcess;
  let volumeArn = "";

  before(async () => {
    await hook.start();
    gateway = new GatewayProcess(join(folder, "data"), [
      ...fileStore.options(folder),
      ...["--cache-size", "128MiB", "--upload-buffer-size", "128MiB"],
      ...["--webhook-url", hook.url],
      ...["--webhook-events", EVENT_TYPES.join(",")],
    ]);
    await gateway.start();
  });
  after(async () => {
    await gateway?.kill();
    hook.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const vault = (...args: string[]) => sluicegate("vault", ...args, "--data", gateway.dataDir);
  const heard = (type: string, severity: string): Promise<Told> =>
    until(
      `the webhook was told of ${type}`,
      async () => hook.events<Told>().find((event) => event.Type === type && event.Severity === severity),
      120_000,
    );

  test("a start, a snapshot, a collection, a verification", async () => {
    await heard("GatewayStarted", "info");
    volumeArn = await makeCached(gateway, "disk");
    await qemuIo(volumeUrl(gateway.portal, "disk"), "write -P 5 0 4M", "flush");
    const id = await createSnapshot(gateway, volumeArn);
    await completed(gateway, id);
    assert.deepEqual((await heard("SnapshotCompleted", "info")).Resources, [id, volumeArn]);
    assert.equal(vault("gc").status, 0);
    await heard("CollectionDone", "info");
    assert.equal(vault("verify").status, 0);
    await heard("VerificationPassed", "info");
  });

  test("damage, and a collection that can't say what is needed", async () => {
    const packs = readdirSync(join(bucket, "packs"), { recursive: true, withFileTypes: true })
      .filter((item) => item.isFile())
      .map((item) => join(item.parentPath, item.name))
      .sort((a, b) => statSync(b).size - statSync(a).size);
    const pack = packs[0] ?? "";
    const bytes = readFileSync(pack);
    const rotten = Buffer.from(bytes);
    rotten[150] = (rotten[150] ?? 0) ^ 1;
    writeFileSync(pack, rotten);
    assert.equal(vault("verify").status, 3);
    assert.match((await heard("VerificationFailed", "error")).Message, /has found [1-9]\d* problems/);
    writeFileSync(pack, bytes);

    const [volume = ""] = readdirSync(join(bucket, "volumes"));
    const root = join(bucket, "volumes", volume, "roots", "0000000001-0000009999");
    writeFileSync(root, "no root at all");
    assert.equal(vault("gc").status, 1);
    assert.match((await heard("CollectionFailed", "warning")).Message, /has failed/);
    rmSync(root);
  });

  test("another gateway takes the volume over: its snapshot fails, and it stops", async () => {
    const other = ["--data", join(folder, "other"), "--key", join(gateway.dataDir, "vault.key")];
    const sizes = ["--cache-size", "128MiB", "--upload-buffer-size", "128MiB"];
    const { status, stderr } = sluicegate("recover", "--store", `file://${bucket}`, ...other, ...sizes);
    assert.equal(status, 0, stderr);
    const id = await createSnapshot(gateway, volumeArn);
    await until("it has failed", async () =>
      (await snapshotState(gateway, id)).State === "error" ? true : undefined,
    );
    const failed = await heard("SnapshotFailed", "error");
    assert.deepEqual(failed.Resources, [id, volumeArn]);
    assert.match(failed.Message, /another gateway/);
    const { Message, Resources } = await heard("VolumeStopped", "error");
    assert.match(Message, /has stopped: .*another gateway/);
    assert.equal(Resources.length, 1);
  });
});
