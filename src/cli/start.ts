/** `sluicegate start`. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { stayAlive, systemClock } from "../platform/clock.ts";
import { type RunningServer, startServer } from "../server.ts";
import { VAULT_LOCATION_FILE } from "../server-vault-access.ts";
import { ENDPOINT_FILE } from "./client.ts";
import { watchLifeline } from "./lifeline.ts";
import { kebab, readStartOptions } from "./options.ts";

const CLOSE_MS_MAX = 9_000;

/** Runs the gateway until SIGTERM or SIGINT; then closes it cleanly, within 10 s. */
export async function start(flags: Record<string, string>): Promise<void> {
  watchLifeline(() => process.kill(process.pid, "SIGKILL"));
  const letGo = stayAlive();
  try {
    await serve(flags);
  } finally {
    letGo();
  }
}

async function serve(flags: Record<string, string>): Promise<void> {
  const { config, ...given } = kebab(flags);
  const options = readStartOptions(given, process.env, config);
  const isFirst = !existsSync(join(options.dataDir, VAULT_LOCATION_FILE));
  const server = await startServer(options);
  const endpointFile = join(options.dataDir, ENDPOINT_FILE);
  writeFileSync(endpointFile, `${server.api}\n`, { mode: 0o600 });
  process.stdout.write(`ready api=${server.api} iscsi=${server.iscsi} console=${server.api}/\n`);
  if (isFirst) process.stderr.write(welcome(resolve(options.dataDir), server));

  const stopped = new Promise<string>((resolveStopped) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolveStopped(signal));
  });
  const failure = await Promise.race([stopped.then(() => undefined), server.failed]);
  if (failure !== undefined) {
    // Nothing in memory can be believed: leave at once; the next start finds all that was acknowledged.
    process.stderr.write(`sluicegate: ${failure}\n`);
    process.exit(1);
  }
  systemClock.after(CLOSE_MS_MAX, () => {
    process.stderr.write("sluicegate: could not close in time; the next start goes on from here\n");
    process.exit(1);
  });
  rmSync(endpointFile, { force: true });
  await server.close();
  process.exit(0);
}

/** What a newcomer has to know, where the command is called as it was called just now. */
function welcome(dataDir: string, { api, iscsi }: RunningServer): string {
  const isClone = process.env.npm_lifecycle_event !== undefined;
  const command = isClone ? "npm run sluicegate --" : "sluicegate";
  const quiet = isClone ? "npm run -s sluicegate --" : "sluicegate";
  const data = dataDir === resolve("data") ? "" : ` --data ${dataDir}`;
  return [
    "",
    "This is the first start. What was made:",
    `  ${dataDir}/credentials   the access key, as AWS clients read it`,
    `  ${dataDir}/vault.key     the key of the vault: WITHOUT IT THE SNAPSHOTS CAN'T BE READ. Keep a copy elsewhere.`,
    "  two gateways, default-stored and default-cached",
    "",
    "It serves:",
    `  console   ${api}/   sign in with what is in the file credentials`,
    `  API       ${api}`,
    `  iSCSI     ${iscsi}`,
    "",
    "Next, in another terminal:",
    `  ${command} volume create cached myvolume 10GiB${data}   a first volume, and how to attach it`,
    `  eval "$(${quiet} env${data})"   lets AWS's tools find this gateway; then, for example:`,
    `  aws storagegateway list-gateways --endpoint-url ${api}`,
    "Ctrl-C ends it; the next start goes on where it was.",
    "",
  ].join("\n");
}
