/** `sluicegate recover`. */
import { readFileSync } from "node:fs";
import { stayAlive } from "../platform/clock.ts";
import { whyNotStore } from "../server-option-checks.ts";
import { type FoundVolume, type RecoveredSettings, type RecoverOptions, recover } from "../server-recover.ts";
import { OptionError, parseSize } from "./options.ts";
import { readPassphrase } from "./passphrase.ts";

interface Flags {
  readonly store: string;
  readonly key?: string;
  readonly passphraseFile?: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly data: string;
  readonly cacheSize: string;
  readonly uploadBufferSize: string;
  readonly catalog?: string;
  readonly list?: boolean;
}

/** Tells what the bucket has, and unless that is all that is wanted, brings the gateway back. */
export async function recoverGateway(flags: Flags): Promise<void> {
  const noStore = whyNotStore(flags.store);
  if (noStore !== undefined) throw new OptionError(`store: ${noStore}`);
  const letGo = stayAlive();
  try {
    const options: RecoverOptions = {
      dataDir: flags.data,
      storeUrl: flags.store,
      ...(flags.s3Endpoint !== undefined && { s3Endpoint: flags.s3Endpoint }),
      ...(flags.s3Region !== undefined && { s3Region: flags.s3Region }),
      secret:
        flags.key === undefined
          ? { passphrase: await readPassphrase(flags.passphraseFile, false) }
          : { keyFile: readFileSync(flags.key) },
      cacheSizeBytes: parseSize(flags.cacheSize),
      uploadBufferSizeBytes: parseSize(flags.uploadBufferSize),
      ...(flags.catalog !== undefined && { catalogId: flags.catalog }),
      isDryRun: flags.list === true,
      tell: (line) => process.stderr.write(`${line}\n`),
    };
    const { snapshots, volumes, restored, settings } = await recover(options);
    const lines = [`${snapshots.length} snapshots`];
    for (const { snapshotId, volumeId, startedAtMs, description } of [...snapshots].sort(
      (a, b) => a.startedAtMs - b.startedAtMs,
    )) {
      lines.push(`  ${snapshotId}  ${volumeId}  ${timeOf(startedAtMs)}  ${description}`);
    }
    lines.push(`${volumes.length} volumes`);
    const isBack = new Set(restored);
    for (const volume of volumes)
      lines.push(`  ${describe(volume)}${isBack.has(volume.volumeId) ? "  brought back" : ""}`);
    if (!options.isDryRun) lines.push(...told(settings));
    process.stdout.write(`${lines.join("\n")}\n`);
  } finally {
    letGo();
  }
}

/** What came back beside the volumes, and what is not in the bucket at all. */
function told({ gateways, schedules, chapCredentials, policies }: RecoveredSettings): string[] {
  return [
    `brought back with them: ${gateways} gateways with their names, tags, bandwidth limits and maintenance windows, ` +
      `${schedules} schedules, ${chapCredentials} CHAP credentials, ${policies} lifecycle policies`,
    "made anew by the first start: the API's access keys (DATA/credentials) and the token for /metrics",
    "not in the bucket: the activity log, how runs of schedules went, local disks that were in no use, and the settings of the command line",
  ];
}

function describe({ volumeId, definition, newest, isAsMade }: FoundVolume): string {
  const name = definition === undefined ? "(in no catalog)" : `${definition.kind} ${definition.target_name}`;
  const kind = isAsMade ? "as it was made, from the moment" : "newest moment";
  const moment =
    newest === undefined ? "nothing of it is in the bucket" : `${kind} ${timeOf(newest.cutAtMs)}`;
  return `${volumeId}  ${name}  ${moment}`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
