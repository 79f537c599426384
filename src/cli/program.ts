/** The commands of `sluicegate`, with their options: what the program, its completion and its reference are made of. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { bench } from "./bench.ts";
import { ENDPOINT_VARIABLE } from "./client.ts";
import { completionScript } from "./completion.ts";
import { configCheck } from "./config.ts";
import { diskCreate, diskList, diskUse } from "./disk.ts";
import { doctor } from "./doctor.ts";
import { environment } from "./environment.ts";
import { activity, gatewayList, gatewayShow, status } from "./gateway.ts";
import { keyCreate, keyDelete, keyList, keyRotate } from "./key.ts";
import { environmentName, START_OPTIONS, type StartOptionName } from "./options.ts";
import { print, printAsJson } from "./output.ts";
import { policyDryRun } from "./policy.ts";
import { recoverGateway } from "./recover.ts";
import { scheduleAdd, scheduleList, scheduleRemove, scheduleSet } from "./schedule.ts";
import {
  snapshotCreate,
  snapshotDelete,
  snapshotDiff,
  snapshotList,
  snapshotMount,
  snapshotRestore,
  snapshotShow,
  snapshotUnmount,
  snapshotWatch,
} from "./snapshot.ts";
import { start } from "./start.ts";
import { snapshotExport, snapshotImport } from "./transfer.ts";
import { vaultGc, vaultStats, vaultVerify } from "./vault.ts";
import { vaultKeyAdd, vaultKeyList, vaultKeyRemove, vaultRekey } from "./vault-keys.ts";
import {
  volumeCreateCached,
  volumeCreateStored,
  volumeDelete,
  volumeList,
  volumeRecoveryPoints,
  volumeResize,
  volumeRestore,
  volumeShow,
} from "./volume.ts";

// The same two folders up from a source tree and from a built one.
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Takes the program's options before any command runs. */
function takeGlobals(program: Command): void {
  const { json, endpoint } = program.opts<{ json?: boolean; endpoint?: string }>();
  printAsJson(json === true);
  if (endpoint !== undefined) process.env[ENDPOINT_VARIABLE] = endpoint;
}

export const program = new Command("sluicegate")
  .description("Self-hosted volume gateway: iSCSI volumes with snapshots in your own S3 bucket")
  .version(version)
  .option("--json", "print results as JSON")
  .option(
    "--endpoint <url>",
    `a gateway elsewhere, with keys as for AWS's tools: AWS_ACCESS_KEY_ID … [${ENDPOINT_VARIABLE}]`,
  )
  .configureHelp({ showGlobalOptions: true })
  .hook("preAction", takeGlobals)
  .exitOverride();

const onGateway = (command: Command): Command =>
  command
    .option("--data <folder>", "the gateway's data folder", process.env.SLUICEGATE_DATA ?? "./data")
    .option("--region <region>", "the gateway's region", process.env.SLUICEGATE_REGION ?? "us-east-1");

onGateway(program.command("status").description("how the running gateway does")).action(status);

onGateway(
  program
    .command("env")
    .description('what AWS\'s tools have to know of this gateway, for a shell: eval "$(sluicegate env)"'),
).action(environment);

const addStartOptions = (command: Command): Command => {
  for (const [name, description] of Object.entries(START_OPTIONS))
    command.option(`--${name} <value>`, `${description} [${environmentName(name as StartOptionName)}]`);
  return command;
};
addStartOptions(
  program
    .command("start")
    .description("start the gateway")
    .option("--config <file>", "a YAML file with any of these options"),
).action((flags: Record<string, string>) => start(flags));

addStartOptions(
  program
    .command("config")
    .description("the configuration of a start")
    .command("check")
    .description(
      "say what a start with these options, this environment and this file would be told, and by whom; exit code 2 or 3 where something is wrong with it",
    )
    .option("--config <file>", "the file that the gateway is started with"),
).action((flags: Record<string, string>) => configCheck(flags));

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
onGateway(
  disk
    .command("use <name>")
    .description("put a free disk to use")
    .requiredOption("--as <use>", "cache, or upload-buffer")
    .option("--gateway <gateway>", "for which gateway; without it the default one"),
).action(diskUse);

const gateway = program.command("gateway").description("the gateways that the running process is");
onGateway(gateway.command("list").description("list the gateways")).action(gatewayList);
onGateway(gateway.command("show <gateway>").description("one gateway, its storage and its volumes")).action(
  gatewayShow,
);

onGateway(
  program
    .command("activity")
    .description("what was done with the gateway, and what came about by itself, newest first")
    .option("--limit <count>", "so many entries", "50")
    .option("--resource <id>", "only what is about this id or ARN")
    .option("--name <name>", "only this operation or event"),
).action(activity);

const volume = program.command("volume").description("volumes of the running gateway");
onGateway(volume.command("list").description("list the volumes")).action(volumeList);
onGateway(
  volume.command("show <volume>").description("one volume, and how to attach it; by id, ARN or name"),
).action(volumeShow);
const volumeCreate = volume.command("create").description("make a volume");
const onNewVolume = (command: Command): Command =>
  onGateway(command)
    .option("--gateway <gateway>", "on which gateway; without it the default one")
    .option("--snapshot <id>", "with the content of a snapshot")
    .option("--interface <address>", "address that initiators are told", "127.0.0.1");
onNewVolume(
  volumeCreate
    .command("stored <name> <disk>")
    .description("all of it on a free local disk")
    .option("--preserve", "keep what the disk holds"),
).action(volumeCreateStored);
onNewVolume(
  volumeCreate
    .command("cached <name> [size]")
    .description("all of it in the bucket, the hot part on the cache")
    .option("--clone <volume>", "with the content of a volume's newest recovery point"),
).action(volumeCreateCached);
onGateway(
  volume
    .command("delete <volume>")
    .description("delete a volume; its snapshots stay")
    .option("--yes", "really"),
).action(volumeDelete);
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

const snapshot = program.command("snapshot").description("snapshots of the running gateway");
onGateway(
  snapshot
    .command("create <volume...>")
    .description("snapshots of one volume or of several, at one instant")
    .option("--description <text>", "what they are", "sluicegate snapshot create")
    .option("--wait", "until they are in the bucket"),
).action(snapshotCreate);
onGateway(
  snapshot
    .command("list")
    .description("list snapshots, newest first")
    .option("--volume <volume>", "only those of this volume")
    .option("--state <state>", "only pending, completed or error"),
).action(snapshotList);
onGateway(snapshot.command("show <snapshot>").description("one snapshot")).action(snapshotShow);
onGateway(
  snapshot
    .command("watch <snapshot...>")
    .description("show how far snapshots have come, until they are in the bucket"),
).action(snapshotWatch);
onGateway(
  snapshot
    .command("restore <snapshot> <name>")
    .description("make a cached volume of a snapshot; usable at once")
    .option("--gateway <gateway>", "on which gateway; without it the default one")
    .option("--interface <address>", "address that initiators are told", "127.0.0.1"),
).action(snapshotRestore);
onGateway(
  snapshot.command("delete <snapshot...>").description("delete snapshots").option("--yes", "really"),
).action(snapshotDelete);
onGateway(
  snapshot
    .command("diff <first> <second>")
    .description("where two snapshots of one volume differ; exit code 3 where they do")
    .option("--blocks", "list the ranges"),
).action(snapshotDiff);
onGateway(
  snapshot
    .command("mount <snapshot>")
    .description("offer a snapshot as a write-protected target, for a look into it")
    .option("--name <name>", "of the target; without it mounted-SNAPSHOT")
    .option("--interface <address>", "address that initiators are told", "127.0.0.1"),
).action(snapshotMount);
onGateway(snapshot.command("unmount <name>").description("end a look into a snapshot")).action(
  snapshotUnmount,
);

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
    .description(
      "make a snapshot of a disk image, or of an EBS snapshot: ebs:snap-…; one that broke off goes on",
    )
    .option("--abandon", "take away what one that broke off has left, instead")
    .option("--format <format>", "raw or qcow2; without it what the file's name says")
    .option("--description <text>", "what it is", "sluicegate snapshot import")
    .option("--account <number>", "the account in ARNs", process.env.SLUICEGATE_ACCOUNT ?? "000000000000"),
).action(snapshotImport);

const schedule = program.command("schedule").description("snapshots that make themselves");
onGateway(schedule.command("list [volume]").description("the schedules of a volume, or of all")).action(
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
onGateway(
  schedule
    .command("set <volume>")
    .description("set the one that AWS's API knows of")
    .requiredOption("--at <hour>", "hour of the day of the first, in the gateway's time zone")
    .requiredOption("--every <hours>", "1 to 24; those that divide the day come at the same hours every day")
    .option("--description <text>", "of the snapshots"),
).action(scheduleSet);
onGateway(schedule.command("remove <volume> <id>").description("remove one that was added")).action(
  scheduleRemove,
);

const policy = program.command("policy").description("lifecycle policies of the running gateway");
onGateway(
  policy
    .command("dry-run [policy]")
    .description("say what a policy, or each of them, would make and delete the next time"),
).action(policyDryRun);

const vault = program.command("vault").description("the vault of the running gateway");
onGateway(
  vault.command("stats").description("how much there is in the vault, and what deduplication saves"),
).action(vaultStats);
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

addStartOptions(
  program
    .command("doctor")
    .description(
      "look for what keeps a gateway from working, and say what to do; exit code 3 where there is something",
    )
    .option("--config <file>", "the file that the gateway is started with"),
).action((flags: Record<string, string>) => doctor(flags, version));

onGateway(
  program
    .command("bench <volume>")
    .description("measure a volume over iSCSI with qemu-img: reads only, unless --write is said")
    .option("--write", "measure writes too: WHAT IS ON THE VOLUME IS LOST")
    .option("--seconds <count>", "about so long each", "5"),
).action(bench);

program
  .command("completion <shell>")
  .description("print a completion script for bash, zsh or fish")
  .action((shell: string) => {
    process.stdout.write(completionScript(program, shell));
  });

program
  .command("version")
  .description("print the version")
  .action(() => {
    print({ Version: version }, () => version);
  });
