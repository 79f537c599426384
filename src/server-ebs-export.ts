/** Snapshots out of the vault into EBS. */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  CompleteSnapshotCommand,
  type EBSClient,
  EBSServiceException,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from "@aws-sdk/client-ebs";
import { DIRECT_BLOCK_BYTES } from "./gateway/direct-spool.ts";
import { delay, systemClock } from "./platform/clock.ts";
import { parseSnapshotId } from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { AT_A_TIME, type EbsEndpoint, ebsClient, tagsForEbs } from "./server-ebs-client.ts";
import { TransferError, type TransferProgress } from "./server-transfer.ts";
import { withVault } from "./server-vault-access.ts";
import type { SnapshotRecord } from "./vault/snapshot-record.ts";
import type { Vault } from "./vault/vault.ts";
import { listUnits, readBytes } from "./workers/direct-blocks.ts";

const GIB = 1024 ** 3;
const LIST_MAX = 10_000;
/** So long may a broken-off export rest before it has to begin anew: the most that EBS takes. */
const TIMEOUT_MINUTES = 4320;
const DESCRIPTION_LENGTH_MAX = 255;
const ASK_EVERY_MS = 2_000;
const COMPLETING_MS_MAX = 30 * 60_000;

/**
 * Makes an EBS snapshot of a snapshot, and answers its id when it can be read there. One that has broken off goes on where
 * it was when it is called again. With `base` only what has changed since then is sent, on top of `parentId`, the EBS
 * snapshot that the base was exported to.
 */
export function exportToEbs(options: {
  readonly dataDir: string;
  readonly snapshotId: string;
  readonly ebs: EbsEndpoint;
  readonly base?: { readonly snapshotId: string; readonly parentId: string };
  readonly onProgress: (progress: TransferProgress) => void;
}): Promise<string> {
  const { dataDir, ebs, base, onProgress } = options;
  return withVault(dataDir, async (vault) => {
    const records = await vault.records.listSnapshots();
    const snapshot = named(records, options.snapshotId);
    const before = base === undefined ? undefined : named(records, base.snapshotId);
    const client = ebsClient(ebs);
    const journal = ExportJournal.open(dataDir, [snapshot.snapshotId, ebs.endpoint, ebs.region, base]);
    try {
      const remoteId = await started(client, journal, snapshot, base?.parentId);
      await sendAll(vault, client, remoteId, journal, snapshot, before, onProgress);
      const { sums } = journal;
      await client.send(
        new CompleteSnapshotCommand({
          SnapshotId: remoteId,
          ChangedBlocksCount: sums.size,
          Checksum: sums.aggregate(),
          ChecksumAlgorithm: "SHA256",
          ChecksumAggregationMethod: "LINEAR",
        }),
      );
      await readable(client, remoteId);
      journal.remove();
      return remoteId;
    } catch (error) {
      throw asTransferError(error, journal);
    } finally {
      client.destroy();
    }
  });
}

function named(records: readonly SnapshotRecord[], text: string): SnapshotRecord {
  const id = parseSnapshotId(text);
  const found = records.find(({ snapshotId }) => snapshotId === id);
  if (found === undefined) throw new TransferError(`the vault has no snapshot ${text}`);
  return found;
}

async function started(
  client: EBSClient,
  journal: ExportJournal,
  snapshot: SnapshotRecord,
  parentId: string | undefined,
): Promise<string> {
  if (journal.remoteId !== undefined) return journal.remoteId;
  const { SnapshotId } = await client.send(
    new StartSnapshotCommand({
      VolumeSize: Math.ceil(snapshot.volumeSizeBytes / GIB),
      Description: (snapshot.description || snapshot.snapshotId).slice(0, DESCRIPTION_LENGTH_MAX),
      Tags: tagsForEbs(snapshot.tags),
      Timeout: TIMEOUT_MINUTES,
      ClientToken: journal.clientToken,
      ...(parentId !== undefined && { ParentSnapshotId: parentId }),
    }),
  );
  if (SnapshotId === undefined) throw new TransferError("EBS has answered without a snapshot's id");
  journal.begun(SnapshotId);
  return SnapshotId;
}

async function sendAll(
  vault: Vault,
  client: EBSClient,
  remoteId: string,
  journal: ExportJournal,
  snapshot: SnapshotRecord,
  before: SnapshotRecord | undefined,
  onProgress: (progress: TransferProgress) => void,
): Promise<void> {
  const totalBytes = snapshot.volumeSizeBytes;
  for (let first = 0; ; ) {
    const { blocks, next } = await listUnits(vault, systemClock, {
      ...(before !== undefined && { beforeKey: before.rootKey }),
      ...{ afterKey: snapshot.rootKey, unitBytes: DIRECT_BLOCK_BYTES, first, max: LIST_MAX },
    });
    const missing = blocks.filter(({ index }) => !journal.sums.has(index));
    await inParallel(missing, async ({ index }) => {
      const content = await readBytes(
        vault,
        snapshot.rootKey,
        index * DIRECT_BLOCK_BYTES,
        DIRECT_BLOCK_BYTES,
      );
      const sum = createHash("sha256").update(content).digest("base64");
      await client.send(
        new PutSnapshotBlockCommand({
          ...{ SnapshotId: remoteId, BlockIndex: index, BlockData: content, DataLength: content.length },
          ...{ Checksum: sum, ChecksumAlgorithm: "SHA256" },
        }),
      );
      journal.sent(index, sum);
      onProgress({ doneBytes: index * DIRECT_BLOCK_BYTES, totalBytes });
    });
    if (next === undefined) break;
    first = next;
  }
  onProgress({ doneBytes: totalBytes, totalBytes });
}

/** Waits until EBS has made the snapshot of what it was sent. */
async function readable(client: EBSClient, SnapshotId: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + COMPLETING_MS_MAX;
  for (;;) {
    try {
      await client.send(new ListSnapshotBlocksCommand({ SnapshotId, MaxResults: 100 }));
      return;
    } catch (error) {
      if (!(error instanceof EBSServiceException) || error.name !== "ValidationException") throw error;
      if (systemClock.monotonicMs() > endMs)
        throw new TransferError(`${SnapshotId} was sent, and EBS has not completed it yet: ${error.message}`);
      await delay(systemClock, ASK_EVERY_MS);
    }
  }
}

function asTransferError(error: unknown, journal: ExportJournal): unknown {
  if (!(error instanceof EBSServiceException)) return error;
  const reason = (error as { Reason?: unknown }).Reason;
  if (reason === "INVALID_SNAPSHOT_ID" || reason === "SNAPSHOT_NOT_FOUND") {
    journal.remove();
    return new TransferError(`${error.message} (called again, the export begins anew)`, { cause: error });
  }
  return new TransferError(`EBS: ${error.message} (called again, the export goes on)`, { cause: error });
}

const SUM_BYTES = 32;
const SUMS_PAGE = 4096;

/** The SHA-256 of blocks, by their indexes: of millions of them too. */
class BlockSums {
  readonly #pages = new Map<number, { readonly sums: Buffer; readonly isThere: Uint8Array }>();
  size = 0;

  has(index: number): boolean {
    return this.#pages.get(Math.floor(index / SUMS_PAGE))?.isThere[index % SUMS_PAGE] === 1;
  }

  /** `sum` is Base64. */
  set(index: number, sum: string): void {
    const number = Math.floor(index / SUMS_PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = { sums: Buffer.alloc(SUMS_PAGE * SUM_BYTES), isThere: new Uint8Array(SUMS_PAGE) };
      this.#pages.set(number, page);
    }
    if (!this.has(index)) this.size += 1;
    page.isThere[index % SUMS_PAGE] = 1;
    Buffer.from(sum, "base64").copy(page.sums, (index % SUMS_PAGE) * SUM_BYTES);
  }

  /** SHA-256 over all of them in the order of their indexes, in Base64: the LINEAR aggregate. */
  aggregate(): string {
    const hash = createHash("sha256");
    for (const [, { sums, isThere }] of [...this.#pages].sort(([a], [b]) => a - b)) {
      for (const [i, is] of isThere.entries())
        if (is === 1) hash.update(sums.subarray(i * SUM_BYTES, (i + 1) * SUM_BYTES));
    }
    return hash.digest("base64");
  }
}

/** What was sent of an export, in the data folder: a line about its beginning, then one for each block. */
class ExportJournal {
  readonly clientToken: string;
  /** Of each block that has arrived. */
  readonly sums = new BlockSums();
  #remoteId: string | undefined;
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
    const [head = "", ...lines] = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
    const { clientToken, remoteId } =
      head === "" ? {} : (JSON.parse(head) as { clientToken: string; remoteId?: string });
    this.clientToken = clientToken ?? `sluicegate-${systemRandom.bytes(16).toString("hex")}`;
    this.#remoteId = remoteId;
    // The last line may be torn: that block is sent again.
    for (const line of lines.slice(0, -1)) {
      const [index = "", sum = ""] = line.split(" ");
      if (/^\d+$/.test(index) && sum.length === 44) this.sums.set(Number(index), sum);
    }
    if (remoteId === undefined) this.#write();
    else if (lines.length > 0 && lines.at(-1) !== "") appendFileSync(path, "\n");
  }

  /** The journal of the export of these properties; a new one where there is none. */
  static open(dataDir: string, properties: unknown): ExportJournal {
    const folder = join(resolve(dataDir), "ebs-exports");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return new ExportJournal(
      join(folder, createHash("sha256").update(JSON.stringify(properties)).digest("hex")),
    );
  }

  get remoteId(): string | undefined {
    return this.#remoteId;
  }

  begun(remoteId: string): void {
    this.#remoteId = remoteId;
    this.#write();
  }

  sent(index: number, sum: string): void {
    this.sums.set(index, sum);
    appendFileSync(this.#path, `${index} ${sum}\n`);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  #write(): void {
    const head = {
      clientToken: this.clientToken,
      ...(this.#remoteId !== undefined && { remoteId: this.#remoteId }),
    };
    writeFileSync(this.#path, `${JSON.stringify(head)}\n`, { mode: 0o600 });
  }
}

/** Several at a time; the first failure stops the rest. */
async function inParallel<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let isFailed = false;
  const work = async () => {
    while (next < items.length && !isFailed) {
      const item = items[next] as T;
      next += 1;
      try {
        await action(item);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: AT_A_TIME }, work));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
