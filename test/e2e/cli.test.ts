/** The command line against a running gateway: what people and scripts get, and how commands end. */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BlockClient } from "../clients/block-client.ts";
import { GatewayProcess, sluicegate, sluicegateWith } from "../clients/gateway.ts";
import { qemuIo, runOk, run as runProgram, volumeUrl } from "../clients/iscsi.ts";
import { fileStore } from "./store.ts";

const MIB = 1024 ** 2;

describe("the command line", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-cli-"));
  const options = [...fileStore.options(folder), "--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];
  const gateway = new GatewayProcess(join(folder, "data"), options);
  const data = ["--data", gateway.dataDir];

  before(() => gateway.start());
  after(async () => {
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: string[]): string {
    const { status, stdout, stderr } = sluicegate(...args, ...data);
    assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
    // Standard error is for progress on a terminal, and this is none.
    assert.equal(stderr, "");
    return stdout;
  }
  const json = (...args: string[]) => JSON.parse(run(...args, "--json"));
  const fails = (status: number, words: RegExp, ...args: string[]) => {
    const done = sluicegate(...args, ...data);
    assert.equal(done.status, status, `${args.join(" ")}: ${done.stdout}${done.stderr}`);
    assert.match(done.stderr, words);
    assert.doesNotMatch(done.stderr, /^ {4}at /m, "a stack trace is nothing for a user");
  };

  test("volumes are made, listed, shown and deleted", () => {
    run("disk", "create", "disk1", "1GiB");
    assert.match(run("disk", "list"), /^DISK +SIZE +PATH\n(.*\n)*disk1 +1 GiB /m);
    assert.match(run("volume", "create", "stored", "one", "disk1"), /iqn\.1997-05\.com\.amazon:one/);
    const made = json("volume", "create", "cached", "two", "2GiB");
    assert.match(made.VolumeARN, /^arn:aws:storagegateway:/);
    assert.match(run("volume", "list"), /^vol-\S+ +two +cached +2 GiB +0 B +AVAILABLE$/im);
    assert.equal(json("volume", "list").length, 2);
    assert.match(run("volume", "show", "two"), /iscsiadm -m node -T iqn\.1997-05\.com\.amazon:two -p 127/);
    fails(2, /--yes/, "volume", "delete", "one");
    assert.match(run("volume", "delete", "one", "--yes"), /deleted/);
    assert.equal(json("volume", "list").length, 1);
    fails(1, /there is no volume one/, "volume", "show", "one");
  });

  test("snapshots are made, watched, compared, mounted, restored and deleted", async () => {
    const client = await BlockClient.open(gateway.portal, "two");
    await client.write(0, Buffer.alloc(4 * MIB, 1));
    const first = run("snapshot", "create", "two", "--wait", "--description", "before").split("\t")[0] ?? "";
    await client.write((64 * MIB) / 512, Buffer.alloc(MIB, 2));
    client.close();
    const [{ SnapshotId: second }] = json("snapshot", "create", "two");
    assert.match(run("snapshot", "watch", second), /completed/);
    const list = run("snapshot", "list", "--volume", "two");
    assert(list.indexOf(second) < list.indexOf(first) && list.includes("before"), list);
    assert.equal(json("snapshot", "show", first).Description, "before");

    const diff = sluicegate("snapshot", "diff", first, second, "--blocks", ...data);
    assert.equal(diff.status, 3, diff.stderr);
    assert.match(diff.stdout, /^1 MiB in 1 ranges differ/);
    assert.match(diff.stdout, new RegExp(`^${64 * MIB} +1 MiB$`, "m"));
    assert.match(run("snapshot", "diff", first, first), /the same/);

    assert.match(run("snapshot", "mount", first, "--name", "look"), /iqn\.1997-05\.com\.amazon:look/);
    const look = volumeUrl(gateway.portal, "look");
    const reads = ["-r", "-f", "raw", "-c", "read -P 1 0 4M", "-c", "read -P 0 64M 1M", look];
    assert.doesNotMatch(await runOk("qemu-io", reads), /verification failed/);
    const writes = await runProgram("qemu-io", ["-f", "raw", "-c", "write -P 9 0 64k", look]);
    assert.match(writes.output, /LUN is write protected/);
    // One that does not ask first is refused, too.
    const rude = await BlockClient.open(gateway.portal, "look");
    await assert.rejects(rude.write(0, Buffer.alloc(512, 9)));
    rude.close();
    run("snapshot", "unmount", "look");
    fails(1, /not one of those/, "snapshot", "unmount", "two");

    run("snapshot", "restore", second, "three");
    await qemuIo(volumeUrl(gateway.portal, "three"), "read -P 2 64M 1M");
    fails(2, /"before".*--yes/, "snapshot", "delete", first);
    run("snapshot", "delete", first, "--yes");
    fails(1, /there is no snapshot/, "snapshot", "show", first);
    fails(1, /no snapshot's id/, "snapshot", "show", "nonsense");
  });

  test("schedules are set, added, listed and removed", () => {
    run("schedule", "set", "two", "--at", "3", "--every", "12");
    fails(2, /0 to 23/, "schedule", "set", "two", "--at", "99", "--every", "12");
    const id = run("schedule", "add", "two", "0 3 * * 1-5", "--name", "nightly").trim();
    assert.match(run("schedule", "list"), /^two +\S+ .*from 3:00 every 12 h/m);
    assert.match(run("schedule", "list", "two"), /nightly +0 3 \* \* 1-5/);
    run("schedule", "remove", "two", id);
    assert.doesNotMatch(run("schedule", "list"), /nightly/);
  });

  test("status, gateways, activity and the vault are told", () => {
    assert.match(run("status"), /^Health: +ok$/m);
    assert.equal(json("status").Health.IsReady, true);
    assert.match(run("gateway", "list"), /default-cached +cached/);
    assert.match(run("gateway", "show", "default-cached"), /^Volumes: +.*three \(cached\)/m);
    assert.match(run("activity"), /default +DeleteVolume +succeeded/);
    assert.equal(json("activity", "--limit", "3").length, 3);
    assert.match(run("vault", "stats"), /^Deduplication: +\d/m);
    assert(json("vault", "stats").StoredBytes > 0);
    assert.equal(json("vault", "verify").problemCount, 0);
  });

  test("a gateway elsewhere is asked with keys as AWS's tools have them", () => {
    const { accessKeyId, secretAccessKey } = gateway.botoSettings();
    const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const done = sluicegateWith(env, "--endpoint", gateway.endpoint, "volume", "list");
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stdout, /three/);
    const wrong = sluicegateWith(
      { ...env, AWS_SECRET_ACCESS_KEY: "wrong" },
      ...["--endpoint", gateway.endpoint, "volume", "list"],
    );
    assert.equal(wrong.status, 1);
  });

  test("ends as documented: 2 for what can't be meant, 4 where no gateway answers", () => {
    fails(2, /unknown command/, "volume", "dance");
    fails(2, /missing required argument/, "volume", "show");
    fails(2, /no size/, "volume", "create", "cached", "four", "large");
    fails(1, /there is no volume/, "snapshot", "create", "nothing");
    const nowhere = sluicegate("status", "--data", join(folder, "nowhere"));
    assert.equal(nowhere.status, 4);
    assert.match(nowhere.stderr, /no gateway runs on/);
    const dead = join(folder, "dead");
    spawnSync("cp", ["-r", gateway.dataDir, dead]);
    writeFileSync(join(dead, "endpoint"), "http://127.0.0.1:1\n");
    assert.equal(sluicegate("status", "--data", dead).status, 4);
  });

  test("doctor finds a running gateway well, and a key that is another vault's", () => {
    const doctor = (dataDir: string) =>
      sluicegate(
        "doctor",
        "--data",
        dataDir,
        ...options,
        "--listen",
        "127.0.0.1:0",
        "--iscsi",
        "127.0.0.1:0",
      );
    const well = doctor(gateway.dataDir);
    // Sparse disks of 512 MiB: the machine of the test may have less room than they promise.
    assert.doesNotMatch(well.stdout, /^FAILING/m);
    assert.match(well.stdout, /^ok +vault: the key opens the vault/m);
    assert.match(well.stdout, /^ok +running data-worker: \d volumes are served/m);
    const other = join(folder, "other-key");
    spawnSync("cp", ["-r", gateway.dataDir, other]);
    writeFileSync(join(other, "vault.key"), Buffer.alloc(32, 9));
    const ill = doctor(other);
    assert.equal(ill.status, 3, ill.stderr);
    assert.match(ill.stdout, /^FAILING +vault: the vault can't be opened/m);
  });

  test("completion knows every command, and shells take the scripts", () => {
    const completion = (shell: string) => sluicegate("completion", shell).stdout;
    const bash = completion("bash");
    const ask = (...words: string[]) => {
      const script = `${bash}\nCOMP_WORDS=(sluicegate ${words.join(" ")}); COMP_CWORD=${words.length}; _sluicegate; echo "\${COMPREPLY[*]}"`;
      return spawnSync("bash", ["-c", script], { encoding: "utf8" }).stdout.trim().split(" ");
    };
    assert(ask('""').includes("snapshot"));
    assert.deepEqual(ask("volume", "cre"), ["create"]);
    assert.deepEqual(ask("volume", "create", '""'), ["stored", "cached"]);
    assert(ask("snapshot", "list", "--vol").includes("--volume"));
    assert.match(completion("fish"), /-a snapshot -d 'snapshots of the running gateway'/);
    assert.match(completion("zsh"), /^#compdef sluicegate/);
    assert.equal(sluicegate("completion", "tcsh").status, 2);
  });
});
