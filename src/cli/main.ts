/** The command `sluicegate`. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { diskCreate, diskList } from "./disk.ts";
import { keyCreate, keyDelete, keyList, keyRotate } from "./key.ts";
import { environmentName, START_OPTIONS, type StartOptionName } from "./options.ts";
import { policyDryRun } from "./policy.ts";
import { recoverGateway } from "./recover.ts";
import { scheduleAdd, scheduleList, scheduleRemove } from "./schedule.ts";
import { start } from "./start.ts";
import { snapshotExport, snapshotImport } from "./transfer.ts";
import { vaultGc, vaultVerify } from "./vault.ts";
import { vaultKeyAdd, vaultKeyList, vaultKeyRemove, vaultRekey } from "./vault-keys.ts";
import { snapshotCreate, volumeList, volumeRecoveryPoints, volumeResize, volumeRestore } from "./volume.ts";

// The same two folders up from a source tree and from a built one.
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("sluicegate")
  .description("Self-hosted volume gateway: iSCSI volumes with snapshots in your own S3 bucket")
  .version(version)
  .showHelpAfterError();

const startCommand = program
  .command("start")
  .description("start the gateway")
  .option("--config <file>", "a YAML file with any of these options")
  .action((flags: Record<string, string>) => start(flags));
for (const [name, description] of Object.entries(START_OPTIONS)) {
  startCommand.option(`--${name} <value>`, `${description} [${environmentName(name as StartOptionName)}]`);
}

const disk = program.command("disk").description("local disks");
disk
  .command("create <name> <size>")
  .description("make a local disk: a sparse file of that size, such as 10GiB")
  .option("--data <folder>", "the gateway's data folder", process.env.SLUICEGATE_DATA ?? "./data")
  .action((name: string, size: string, { data }: { data: string }) => diskCreate(data, name, size));
disk
  .command("list")
  .description("list the local disks")
  .option("--data <folder>", "the gateway's data folder", process.env.SLUICEGATE_DATA ?? "./data")
  .action(({ data }: { data: string }) => diskList(data));

const onGateway = (command: Command): Command =>
  command
    .option("--data <folder>", "the gateway's data folder", process.env.SLUICEGATE_DATA ?? "./data")
    .option("--region <region>", "the gateway's region", process.env.SLUICEGATE_REGION ?? "us-east-1");

const volume = program.command("volume").description("volumes of the running gateway");
onGateway(volume.command("list").description("list the volumes")).action(volumeList);
onGateway(
  volume
    .command("resize <volume> <size>")
    .description("make a volume larger while it is in use, such as to 20GiB"),
).action(volumeResize);
onGateway(
  volume
    .command("recovery-points <volume>")
    .description("list the moments of a volume that can be restored")
    .option(
      "--every <seconds>",
      "from now on, make one this often while something is dirty (at least 5), or off",
    ),
).action(volumeRecoveryPoints);
onGateway(
  volume
    .command("restore <volume>")
    .description("make a snapshot of a kept moment, and a new volume of it")
    .option("--at <time>", "the newest moment that is not after this one, such as 2026-11-23T10:00:00Z")
    .option("--target <name>", "make a cached volume with this target name of it"),
).action(volumeRestore);

const schedule = program.command("schedule").description("snapshots that make themselves");
onGateway(schedule.command("list <volume>").description("list the schedules of a volume")).action(
  scheduleList,
);
onGateway(
  schedule
    .command("add <volume> <cron>")
    .description("add one, such as '0 3 * * 1-5'")
    .option("--name <name>", "what it is called")
    .option("--timezone <zone>", "GMT+1:00, or Europe/Berlin; the gateway's without it")
    .option("--description <text>", "what its snapshots are called"),
).action(scheduleAdd);
onGateway(schedule.command("remove <volume> <id>").description("remove one that was added")).action(
  scheduleRemove,
);

const snapshot = program.command("snapshot").description("snapshots of the running gateway");
onGateway(
  snapshot
    .command("create <volume...>")
    .description("snapshots of one volume or of several, at one instant")
    .option("--description <text>", "what they are", "sluicegate snapshot create"),
).action(snapshotCreate);

const onEbs = (command: Command): Command =>
  onGateway(command)
    .option("--ebs-endpoint <url>", "EBS direct API of another endpoint than AWS's")
    .option("--ebs-region <region>", "region of that EBS; without it the gateway's")
    .option("--ebs-profile <name>", "credentials for it: a profile of the shared credentials file");

onEbs(
  snapshot
    .command("export <snapshot> <file>")
    .description("write a snapshot to a disk image, or to an EBS snapshot with ebs in place of the file")
    .option("--base <snapshot>", "to EBS: send only what has changed since this one")
    .option("--parent <snapshot>", "the EBS snapshot that --base was exported to")
    .option("--format <format>", "raw or qcow2; without it what the file's name says")
    .option("--holes", "go on where a block is damaged; exit code 3 then"),
).action(snapshotExport);
onEbs(
  snapshot
    .command("import <file>")
    .description("make a snapshot of a disk image, or of an EBS snapshot: ebs:snap-…")
    .option("--format <format>", "raw or qcow2; without it what the file's name says")
    .option("--description <text>", "what it is", "sluicegate snapshot import")
    .option("--account <number>", "the account in ARNs", process.env.SLUICEGATE_ACCOUNT ?? "000000000000"),
).action(snapshotImport);

const policy = program.command("policy").description("lifecycle policies of the running gateway");
onGateway(
  policy
    .command("dry-run [policy]")
    .description("say what a policy, or each of them, would make and delete the next time"),
).action(policyDryRun);

const vault = program.command("vault").description("the vault of the running gateway");
onGateway(
  vault
    .command("gc")
    .description("delete what no snapshot, recovery point or volume needs (done daily by itself)")
    .option("--dry-run", "only say what that would be")
    .option("--forget <writer>", "do not wait for this writer: it is gone for good"),
).action(vaultGc);
onGateway(
  vault
    .command("verify")
    .description("look for damage; exit code 3 where there is any")
    .option("--sample <percent>", "read only so many percent of the packs")
    .option("--full", "read all packs (so it is without --sample)"),
).action(vaultVerify);

const key = program.command("key").description("access keys of the running gateway");
onGateway(key.command("list").description("list the keys")).action(keyList);
onGateway(
  key
    .command("create <name>")
    .description("make a key; its secret is shown this once")
    .option("--role <role>", "admin, or read-only: may only look", "admin"),
).action(keyCreate);
onGateway(key.command("delete <name>").description("take a key away, with its sessions")).action(keyDelete);
onGateway(
  key
    .command("rotate <name>")
    .description("give a key a new id and secret")
    .option("--keep-old <hours>", "how long the old pair stays good; a day without it, 0: not at all"),
).action(keyRotate);
onGateway(
  vault
    .command("rekey")
    .description("exchange the key file in the data folder; no data is written again")
    .option("--keep-old", "the old key file opens the vault still"),
).action(vaultRekey);
const vaultKey = vault.command("key").description("the key files and passphrases that open the vault");
onGateway(vaultKey.command("list").description("list them")).action(vaultKeyList);
onGateway(
  vaultKey
    .command("add")
    .description(
      "let a passphrase (asked for, or from SLUICEGATE_PASSPHRASE) or another key file open it too",
    )
    .option("--passphrase-file <file>", "the passphrase is the first line of this file")
    .option("--key-file <file>", "a key file: at least 32 random bytes"),
).action(vaultKeyAdd);
onGateway(vaultKey.command("remove <name>").description("that one opens the vault no more")).action(
  vaultKeyRemove,
);

program
  .command("recover")
  .description("bring a gateway back on an empty machine, from the bucket and its key")
  .requiredOption("--store <url>", "the vault: file:///folder or s3://bucket/prefix")
  .option("--key <file>", "the vault's key: a copy of vault.key; without it the passphrase is asked for")
  .option("--passphrase-file <file>", "the vault's passphrase is the first line of this file")
  .option("--s3-endpoint <url>", "URL of an S3 server other than AWS's")
  .option("--s3-region <region>", "region of the bucket")
  .option("--data <folder>", "where the gateway is to live", process.env.SLUICEGATE_DATA ?? "./data")
  .option("--cache-size <size>", "size of each cached gateway's cache disk", "20GiB")
  .option("--upload-buffer-size <size>", "size of each gateway's upload buffer", "10GiB")
  .option("--catalog <id>", "which gateway's, where several use the bucket")
  .option("--list", "only tell what there is; nothing is changed")
  .action(recoverGateway);

program.command("version").action(() => {
  process.stdout.write(`${version}\n`);
});

try {
  await program.parseAsync();
} catch (error) {
  // One line for a person; the rest is in the log.
  process.stderr.write(`sluicegate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
