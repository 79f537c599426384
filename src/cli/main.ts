/** The command `sluicegate`. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { diskCreate, diskList } from "./disk.ts";
import { environmentName, START_OPTIONS, type StartOptionName } from "./options.ts";
import { start } from "./start.ts";

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
