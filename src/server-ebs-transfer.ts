/**
 * Snapshots out of the vault into EBS, and out of EBS into the vault, by the EBS direct API of any endpoint: AWS's, or
 * that of another gateway.
 */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  type Block,
  CompleteSnapshotCommand,
  EBSClient,
  EBSServiceException,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from "@aws-sdk/client-ebs";
import { NO_GATEWAY, volumeArn } from "./gateway/arn.ts";
import { DIRECT_BLOCK_BYTES } from "./gateway/direct-spool.ts";
import { delay, systemClock } from "./platform/clock.ts";
import {
  makeSnapshotId,
  makeVolumeId,
  parseSnapshotId,
  type SnapshotId,
  type VolumeId,
} from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { TransferError, type TransferProgress } from "./server-transfer.ts";
import { withVault } from "./server-vault-access.ts";
import type { SnapshotRecord } from "./vault/snapshot-record.ts";
import type { EpochSource } from "./vault/upload.ts";
import type { Vault } from "./vault/vault.ts";
import { listUnits, readBytes } from "./workers/direct-blocks.ts";

const GIB = 1024 ** 3;
/** Blocks on their way at a time. */
const AT_A_TIME = 16;
const LIST_MAX = 10_000;
const ATTEMPTS_MAX = 8;
/** So long may a broken-off export rest before it has to begin anew: the most that EBS takes. */
const TIMEOUT_MINUTES = 4320;
const DESCRIPTION_LENGTH_MAX = 255;
const ASK_EVERY_MS = 2_000;
const COMPLETING_MS_MAX = 30 * 60_000;
const BLOCK_BYTES = 64 * 1024;
const ALL_PIECES = 0xffff;

/** Which EBS; credentials come from where the AWS SDK finds them. */
export interface EbsEndpoint {
  readonly region: string;
  readonly endpoint?: string;
  /** A profile of the shared credentials file. */
  readonly profile?: string;
}

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
          Checksum: aggregateOf(sums),
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

function ebsClient({ region, endpoint, profile }: EbsEndpoint): EBSClient {
  return new EBSClient({
    region,
    maxAttempts: ATTEMPTS_MAX,
    ...(endpoint !== undefined && { endpoint }),
    ...(profile !== undefined && { profile }),
  });
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
      Tags: snapshot.tags.map(({ key, value }) => ({ Key: key, Value: value })),
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

function aggregateOf(sums: ReadonlyMap<number, string>): string {
  const hash = createHash("sha256");
  for (const [, sum] of [...sums].sort(([a], [b]) => a - b)) hash.update(Buffer.from(sum, "base64"));
  return hash.digest("base64");
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

/** What was sent of an export, in the data folder: a line about its beginning, then one for each block. */
class ExportJournal {
  readonly clientToken: string;
  /** Base64 of the SHA-256 of each block that has arrived. */
  readonly sums = new Map<number, string>();
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

/** Makes a snapshot of an EBS snapshot; answers its id. */
export function importFromEbs(options: {
  readonly dataDir: string;
  readonly remoteId: string;
  readonly ebs: EbsEndpoint;
  readonly description: string;
  readonly region: string;
  readonly accountId: string;
  readonly onProgress: (progress: TransferProgress) => void;
}): Promise<SnapshotId> {
  const { dataDir, remoteId, ebs, description, region, accountId, onProgress } = options;
  return withVault(dataDir, async (vault) => {
    const client = ebsClient(ebs);
    try {
      const remote = await listRemote(client, remoteId);
      const epoch = new RemoteEpoch(client, remoteId, remote);
      const uploaded = await vault.uploadEpoch(epoch, ({ doneBlocks, totalBlocks }) =>
        onProgress({ doneBytes: doneBlocks * BLOCK_BYTES, totalBytes: totalBlocks * BLOCK_BYTES }),
      );
      const snapshotId = makeSnapshotId(systemRandom);
      const { volumeId, sizeBytes, cutAtMs } = epoch;
      await vault.records.putSnapshot({
        ...{ snapshotId, volumeId, description, tags: [], rootKey: uploaded.rootKey },
        volumeArn: volumeArn({ region, accountId }, NO_GATEWAY, volumeId),
        volumeSizeBytes: sizeBytes,
        startedAtMs: cutAtMs,
        completedAtMs: systemClock.nowMs(),
        fullBytes: uploaded.fullBytes,
      });
      return snapshotId;
    } catch (error) {
      if (!(error instanceof EBSServiceException)) throw error;
      throw new TransferError(`EBS: ${error.message}`, { cause: error });
    } finally {
      client.destroy();
    }
  });
}

interface RemoteBlocks {
  readonly sizeBytes: number;
  readonly blocks: readonly Block[];
}

async function listRemote(client: EBSClient, SnapshotId: string): Promise<RemoteBlocks> {
  const blocks: Block[] = [];
  let sizeBytes = 0;
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new ListSnapshotBlocksCommand({ SnapshotId, MaxResults: LIST_MAX, NextToken }),
    );
    if (page.BlockSize !== DIRECT_BLOCK_BYTES)
      throw new TransferError(`blocks of ${page.BlockSize} bytes are not known here`);
    sizeBytes = (page.VolumeSize ?? 0) * GIB;
    blocks.push(...(page.Blocks ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return { sizeBytes, blocks };
}

/** An EBS snapshot as the only epoch of a volume of its own; some blocks are fetched ahead. */
class RemoteEpoch implements EpochSource {
  readonly volumeId: VolumeId = makeVolumeId(systemRandom);
  readonly epoch = 1;
  readonly kind = "checkpoint";
  readonly cutAtMs = systemClock.nowMs();
  readonly blockBytes = BLOCK_BYTES;
  readonly sizeBytes: number;
  readonly dirtyBlockCount: number;
  readonly #client: EBSClient;
  readonly #remoteId: string;
  readonly #blocks: readonly Block[];
  readonly #coming = new Map<number, Promise<Buffer>>();
  #next = 0;

  constructor(client: EBSClient, remoteId: string, { sizeBytes, blocks }: RemoteBlocks) {
    this.#client = client;
    this.#remoteId = remoteId;
    this.#blocks = blocks;
    this.sizeBytes = sizeBytes;
    this.dirtyBlockCount = blocks.length * PER_UNIT;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    for (const { BlockIndex = 0 } of this.#blocks)
      yield Array.from({ length: PER_UNIT }, (_, i) => BlockIndex * PER_UNIT + i);
  }

  dirtyPieces(): number {
    return ALL_PIECES;
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    while (this.#coming.size < AT_A_TIME && this.#next < this.#blocks.length) {
      const { BlockIndex = 0, BlockToken } = this.#blocks[this.#next] ?? {};
      this.#next += 1;
      const fetching = this.#fetch(BlockIndex, BlockToken ?? "");
      // It is waited for in its turn; until then nobody hears of its failure.
      fetching.catch(() => {});
      this.#coming.set(BlockIndex, fetching);
    }
    const index = (blocks[0] ?? 0) / PER_UNIT;
    const content = await this.#coming.get(index);
    if (content === undefined) throw new TransferError(`block ${index} is out of its turn`);
    this.#coming.delete(index);
    content.copy(into);
  }

  async #fetch(BlockIndex: number, BlockToken: string): Promise<Buffer> {
    const SnapshotId = this.#remoteId;
    const { BlockData, Checksum } = await this.#client.send(
      new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }),
    );
    const content = Buffer.from((await BlockData?.transformToByteArray()) ?? []);
    const sum = createHash("sha256").update(content).digest("base64");
    if (content.length !== DIRECT_BLOCK_BYTES || sum !== Checksum)
      throw new TransferError(`block ${BlockIndex} of ${SnapshotId} does not match its checksum`);
    return content;
  }
}

const PER_UNIT = DIRECT_BLOCK_BYTES / BLOCK_BYTES;

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
