/** The secrets that open a vault come and go while its gateway runs, and each does what it says. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { GatewayProcess, sluicegate } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { fileStore } from "./store.ts";
import { completed, createSnapshot, makeCached } from "./volume-kit.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
const READER = fileURLToPath(new URL("../../tools/restore.py", import.meta.url));

describe("the keys of a vault", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-keys-"));
  const bucket = join(folder, "bucket");
  mkdirSync(bucket);
  const store = fileStore.options(bucket);
  const gateway = new GatewayProcess(join(folder, "data"), [...store, ...SIZES]);
  const oldKey = join(folder, "old.key");
  const passphraseFile = join(folder, "passphrase");
  const wrongFile = join(folder, "wrong");
  writeFileSync(passphraseFile, "vier Wörter sind genug\n", { mode: 0o600 });
  writeFileSync(wrongFile, "fünf Wörter sind zu viel\n", { mode: 0o600 });
  const vaultCommand = (...args: string[]) => sluicegate("vault", ...args, "--data", gateway.dataDir);
  const recover = (...args: string[]) => sluicegate("recover", ...store, ...SIZES, ...args);
  const look = (...args: string[]) => recover("--list", "--data", join(folder, "look"), ...args);
  let snapshotId = "";
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("are exchanged, added and removed beside the running gateway", async () => {
    await gateway.start();
    const key = join(gateway.dataDir, "vault.key");
    copyFileSync(key, oldKey);
    const arn = await makeCached(gateway, "disk");
    await qemuIo(volumeUrl(gateway.portal, "disk"), "write -P 5 0 4M", "flush");
    snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);

    assert.equal(vaultCommand("rekey").status, 0);
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.match(look("--key", oldKey).stderr, /the key file does not open this vault/);
    assert.match(look("--key", key).stdout, /1 snapshots/);
    const added = vaultCommand("key", "add", "--passphrase-file", passphraseFile);
    assert.equal(added.status, 0, added.stderr);
    assert.match(look("--passphrase-file", passphraseFile).stdout, new RegExp(snapshotId));
    assert.match(look("--passphrase-file", wrongFile).stderr, /the passphrase does not open this vault/);

    assert.equal(vaultCommand("key", "add", "--key-file", oldKey).status, 0);
    const listed = vaultCommand("key", "list").stdout;
    assert.match(listed, /key-file.*this gateway/);
    assert.match(listed, /passphrase/);
    const [name = ""] = /^\w+(?= {2}key-file(?!.*this gateway))/m.exec(listed) ?? [];
    assert.equal(vaultCommand("key", "remove", name).status, 0);
    assert.match(look("--key", oldKey).stderr, /does not open/);
    const [ours = ""] = /^\w+(?= {2}key-file.*this gateway)/m.exec(listed) ?? [];
    assert.match(vaultCommand("key", "remove", ours).stderr, /vault rekey/);
    assert.match(vaultCommand("key", "remove", "00000000").stderr, /no key slot/);
    await gateway.crash();
    await qemuIo(volumeUrl(gateway.portal, "disk"), "read -P 5 0 4M");
  });

  test("a passphrase alone brings the gateway back, with a key file of its own", async () => {
    const image = join(folder, "image");
    const args = [
      READER,
      "--vault",
      join(bucket, "the-vault"),
      "--passphrase-file",
      passphraseFile,
      "restore",
      snapshotId,
      image,
    ];
    const reader = spawnSync("/usr/bin/python3", args, { encoding: "utf8" });
    assert.equal(reader.status, 0, reader.stderr);
    assert.equal(statSync(image).size, 1024 ** 3);

    await gateway.kill();
    rmSync(gateway.dataDir, { recursive: true });
    const { status, stderr } = recover("--data", gateway.dataDir, "--passphrase-file", passphraseFile);
    assert.equal(status, 0, stderr);
    await gateway.start();
    await qemuIo(volumeUrl(gateway.portal, "disk"), "read -P 5 0 4M");
  });

  test("a gateway without its key says so, and makes no other in its place", async () => {
    await gateway.kill();
    const key = join(gateway.dataDir, "vault.key");
    copyFileSync(key, oldKey);
    rmSync(key);
    const args = [
      "start",
      ...store,
      "--data",
      gateway.dataDir,
      "--listen",
      "127.0.0.1:0",
      "--iscsi",
      "127.0.0.1:0",
    ];
    assert.match(sluicegate(...args).stderr, /vault\.key is gone/);
    copyFileSync(oldKey, key);
    await gateway.start();
    await gateway.kill();
    const stranger = join(folder, "stranger");
    args[args.indexOf(gateway.dataDir)] = stranger;
    assert.match(sluicegate(...args).stderr, /there is a vault already.*recover/);
    assert.throws(() => statSync(join(stranger, "vault.key")), { code: "ENOENT" });
  });
});
