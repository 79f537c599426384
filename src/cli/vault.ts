/** `sluicegate vault`. */
import { delay, stayAlive, systemClock } from "../platform/clock.ts";
import { ApiClient } from "./client.ts";
import { ClientError, EXIT } from "./failure.ts";
import { clientOf, type GatewayChoice } from "./inventory.ts";
import { bytes, pairs, print, time } from "./output.ts";
import { clearBar, showBar } from "./progress-bar.ts";

interface Job {
  readonly Kind: string;
  readonly State: "running" | "done" | "failed";
  readonly StartTime: number;
  readonly Progress?: { readonly Phase: string; readonly Done: number; readonly Total: number };
  readonly Reason?: string;
  readonly Collection?: {
    readonly state: string;
    readonly roots: number;
    readonly packs: number;
    readonly packBytes: number;
    readonly deadPacks: number;
    readonly deadBytes: number;
    readonly sparsePacks: number;
    readonly sparseBytes: number;
    readonly sparseLiveBytes: number;
    readonly unreadablePacks: number;
    readonly deletedPacks: number;
    readonly deletedBytes: number;
    readonly sparedPacks: number;
    readonly waitingFor: readonly string[];
  };
  readonly Verification?: {
    readonly packs: number;
    readonly packsRead: number;
    readonly bytesRead: number;
    readonly recordsRead: number;
    readonly roots: number;
    readonly problems: readonly string[];
    readonly problemCount: number;
    readonly hits: readonly {
      readonly rootKey: string;
      readonly volumeId: string;
      readonly snapshotIds: readonly string[];
      readonly ranges: readonly (readonly [number, number])[];
      readonly blocks: number;
    }[];
  };
}

const POLL_MS = 250;
const MIB = 1024 ** 2;
const RANGES_SHOWN = 20;

/** Deletes what no snapshot, recovery point or volume needs; or says what that would be. */
export async function vaultGc(
  choice: GatewayChoice & { readonly dryRun?: boolean; readonly forget?: string },
): Promise<void> {
  const { Collection: found } = await run(choice, {
    Kind: "CollectGarbage",
    DryRun: choice.dryRun === true,
    ...(choice.forget !== undefined && { ForgetWriters: [choice.forget] }),
  });
  if (found === undefined) return;
  const lines = [
    `${found.roots} roots; ${found.packs} packs, ${mib(found.packBytes)}`,
    `nothing in use: ${found.deadPacks} packs, ${mib(found.deadBytes)}`,
    `little in use: ${found.sparsePacks} packs, ${mib(found.sparseBytes)}, of which ${mib(found.sparseLiveBytes)} are copied together`,
  ];
  if (found.unreadablePacks > 0)
    lines.push(`kept, as nobody can read what is in them: ${found.unreadablePacks} packs (run vault verify)`);
  if (found.state === "done") lines.push(`deleted: ${found.deletedPacks} packs, ${mib(found.deletedBytes)}`);
  if (found.sparedPacks > 0)
    lines.push(`spared, as they came into use meanwhile: ${found.sparedPacks} packs`);
  if (found.state === "waiting") {
    lines.push(
      "nothing is deleted yet: these writers have to answer first, which they do within minutes when they run",
      "(one that never will again is left out with --forget WRITER):",
    );
    for (const owner of found.waitingFor) lines.push(`  ${owner}`);
  }
  print(found, () => lines);
}

/** Looks for damage. Ends with exit code 3 where there is any. */
export async function vaultVerify(choice: GatewayChoice & { readonly sample?: string }): Promise<void> {
  const SamplePercent = choice.sample === undefined ? 100 : Number(choice.sample.replace(/%$/, ""));
  if (!(SamplePercent >= 0 && SamplePercent <= 100))
    throw new ClientError("--sample takes a number from 0 to 100");
  const { Verification: found } = await run(choice, { Kind: "Verify", SamplePercent });
  if (found === undefined) return;
  const lines = [
    `${found.packsRead} of ${found.packs} packs read, ${mib(found.bytesRead)}, ${found.recordsRead} records; ${found.roots} roots followed`,
    ...found.problems,
  ];
  const more = found.problemCount - found.problems.length;
  if (more > 0) lines.push(`and ${more} more`);
  for (const hit of found.hits) {
    const names = hit.snapshotIds.length === 0 ? "a recovery point" : hit.snapshotIds.join(", ");
    const ranges = hit.ranges
      .slice(0, RANGES_SHOWN)
      .map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
    const rest = hit.ranges.length > RANGES_SHOWN ? " …" : "";
    const what =
      hit.ranges.length === 0 ? "can't be read at all" : `${hit.blocks} blocks: ${ranges.join(", ")}${rest}`;
    lines.push(`hit: ${hit.volumeId}, ${names}: ${what}`);
  }
  lines.push(found.problemCount === 0 ? "nothing is wrong" : `${found.problemCount} problems`);
  print(found, () => lines);
  if (found.problemCount > 0) process.exitCode = EXIT.amiss;
}

interface VaultShape {
  readonly VaultId: string;
  readonly Store: string;
  readonly Packs: number;
  readonly Chunks: number;
  readonly ChunkBytes: number;
  readonly StoredBytes: number;
  readonly SnapshotBytes: number;
  readonly Snapshots: number;
  readonly LastCollectionTime?: number;
  readonly LastVerificationTime?: number;
  readonly Problems?: number;
}

/** How much there is in the vault, and what deduplication and compression save. */
export async function vaultStats(choice: GatewayChoice): Promise<void> {
  const found = await clientOf(choice).callOwn<VaultShape>("DescribeVault", {});
  const ratio = (whole: number, part: number) => (part === 0 ? "-" : `${(whole / part).toFixed(2)} : 1`);
  const moment = (seconds: number | undefined) => (seconds === undefined ? "never" : time(seconds));
  print(found, () =>
    pairs([
      ["Vault", found.VaultId],
      ["Bucket", found.Store],
      ["Snapshots", `${found.Snapshots}, ${bytes(found.SnapshotBytes)} if each were kept by itself`],
      ["In the bucket", `${bytes(found.StoredBytes)} in ${found.Packs} packs, ${found.Chunks} records`],
      ["Deduplication", ratio(found.SnapshotBytes, found.ChunkBytes)],
      ["Compression", ratio(found.ChunkBytes, found.StoredBytes)],
      ["Last collection", moment(found.LastCollectionTime)],
      ["Last verification", moment(found.LastVerificationTime)],
      ["Problems", found.Problems === undefined ? undefined : String(found.Problems)],
    ]),
  );
}

/** Starts the job and waits for its end, with a bar on a terminal. */
async function run(
  choice: GatewayChoice,
  input: {
    readonly Kind: string;
    readonly DryRun?: boolean;
    readonly ForgetWriters?: readonly string[];
    readonly SamplePercent?: number;
  },
): Promise<Job> {
  const api = ApiClient.of(choice.data, choice.region);
  const letGo = stayAlive();
  try {
    const { StartTime } = await api.callOwn<Job>("StartVaultJob", input);
    for (;;) {
      const { Jobs } = await api.callOwn<{ Jobs: readonly Job[] }>("DescribeVaultJobs", {});
      const job = Jobs.find((each) => each.Kind === input.Kind && each.StartTime === StartTime);
      if (job === undefined) throw new ClientError("the job has gone: another one was started");
      if (job.Progress !== undefined) showBar(job.Progress.Phase, job.Progress.Done, job.Progress.Total);
      if (job.State !== "running") {
        clearBar();
        if (job.State === "failed") throw new ClientError(job.Reason ?? "it failed");
        return job;
      }
      await delay(systemClock, POLL_MS);
    }
  } finally {
    letGo();
  }
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
