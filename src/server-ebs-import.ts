/** Snapshots out of EBS into the vault. */
import { createHash } from "node:crypto";
import {
  type EBSClient,
  EBSServiceException,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
} from "@aws-sdk/client-ebs";
import { NO_GATEWAY, volumeArn } from "./gateway/arn.ts";
import { DIRECT_BLOCK_BYTES } from "./gateway/direct-spool.ts";
import { systemClock } from "./platform/clock.ts";
import { makeSnapshotId, makeVolumeId, type SnapshotId, type VolumeId } from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import { AT_A_TIME, type EbsEndpoint, ebsClient } from "./server-ebs-client.ts";
import { TransferError, type TransferProgress } from "./server-transfer.ts";
import { withVault } from "./server-vault-access.ts";
import type { EpochSource } from "./vault/upload.ts";

const GIB = 1024 ** 3;
const LIST_MAX = 10_000;
const BLOCK_BYTES = 64 * 1024;
const PER_UNIT = DIRECT_BLOCK_BYTES / BLOCK_BYTES;
const ALL_PIECES = 0xffff;

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
  /** Ascending. Tokens are asked for when they are needed: there may be millions. */
  readonly indexes: Uint32Array;
}

async function listRemote(client: EBSClient, SnapshotId: string): Promise<RemoteBlocks> {
  const pages: Uint32Array[] = [];
  let sizeBytes = 0;
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new ListSnapshotBlocksCommand({ SnapshotId, MaxResults: LIST_MAX, NextToken }),
    );
    if (page.BlockSize !== DIRECT_BLOCK_BYTES)
      throw new TransferError(`blocks of ${page.BlockSize} bytes are not known here`);
    sizeBytes = (page.VolumeSize ?? 0) * GIB;
    pages.push(Uint32Array.from(page.Blocks ?? [], ({ BlockIndex = 0 }) => BlockIndex));
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  const indexes = new Uint32Array(pages.reduce((sum, page) => sum + page.length, 0));
  let at = 0;
  for (const page of pages) {
    indexes.set(page, at);
    at += page.length;
  }
  return { sizeBytes, indexes };
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
  readonly #indexes: Uint32Array;
  readonly #coming = new Map<number, Promise<Buffer>>();
  /** Of the page that is being fetched. */
  #tokens = new Map<number, string>();
  #next = 0;

  constructor(client: EBSClient, remoteId: string, { sizeBytes, indexes }: RemoteBlocks) {
    this.#client = client;
    this.#remoteId = remoteId;
    this.#indexes = indexes;
    this.sizeBytes = sizeBytes;
    this.dirtyBlockCount = indexes.length * PER_UNIT;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    for (const index of this.#indexes) yield Array.from({ length: PER_UNIT }, (_, i) => index * PER_UNIT + i);
  }

  dirtyPieces(): number {
    return ALL_PIECES;
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    while (this.#coming.size < AT_A_TIME && this.#next < this.#indexes.length) {
      const next = this.#indexes[this.#next] ?? 0;
      this.#next += 1;
      const fetching = this.#fetch(next, await this.#tokenOf(next));
      // It is waited for in its turn; until then nobody hears of its failure.
      fetching.catch(() => {});
      this.#coming.set(next, fetching);
    }
    const index = (blocks[0] ?? 0) / PER_UNIT;
    const content = await this.#coming.get(index);
    if (content === undefined) throw new TransferError(`block ${index} is out of its turn`);
    this.#coming.delete(index);
    content.copy(into);
  }

  async #tokenOf(index: number): Promise<string> {
    if (!this.#tokens.has(index)) {
      const { Blocks = [] } = await this.#client.send(
        new ListSnapshotBlocksCommand({
          ...{ SnapshotId: this.#remoteId, StartingBlockIndex: index, MaxResults: LIST_MAX },
        }),
      );
      this.#tokens = new Map(Blocks.map(({ BlockIndex = 0, BlockToken = "" }) => [BlockIndex, BlockToken]));
    }
    const token = this.#tokens.get(index);
    if (token === undefined)
      throw new TransferError(`block ${index} of ${this.#remoteId} is not there any more`);
    return token;
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
