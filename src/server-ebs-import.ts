/** Snapshots out of EBS, for an import into the vault. */
import { createHash } from "node:crypto";
import {
  type EBSClient,
  EBSServiceException,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
} from "@aws-sdk/client-ebs";
import { DIRECT_BLOCK_BYTES } from "./gateway/direct-spool.ts";
import type { SnapshotId } from "./platform/ids.ts";
import { AT_A_TIME, type EbsEndpoint, ebsClient } from "./server-ebs-client.ts";
import {
  IMPORT_BLOCK_BYTES,
  type ImportContent,
  type ImportOptions,
  importSnapshot,
} from "./server-import.ts";
import { TransferError } from "./server-transfer.ts";

const GIB = 1024 ** 3;
const LIST_MAX = 10_000;
const PER_UNIT = DIRECT_BLOCK_BYTES / IMPORT_BLOCK_BYTES;

/** Makes a snapshot of an EBS snapshot; answers its id. One that has broken off goes on where it was. */
export async function importFromEbs(
  remoteId: string,
  ebs: EbsEndpoint,
  options: ImportOptions,
): Promise<SnapshotId> {
  const client = ebsClient(ebs);
  try {
    const remote = await listRemote(client, remoteId);
    return await importSnapshot(
      {
        name: `ebs:${remoteId}`,
        identity: ebsIdentity(remoteId, ebs),
        fingerprint: createHash("sha256").update(remote.indexes).update(`${remote.sizeBytes}`).digest("hex"),
        open: async () => new RemoteContent(client, remoteId, remote),
      },
      options,
    );
  } catch (error) {
    if (!(error instanceof EBSServiceException)) throw error;
    throw new TransferError(`EBS: ${error.message} (called again, an import that had begun goes on)`, {
      cause: error,
    });
  } finally {
    client.destroy();
  }
}

/** What an import of the EBS snapshot is known by. */
export function ebsIdentity(remoteId: string, { endpoint, region }: EbsEndpoint): readonly unknown[] {
  return ["ebs", endpoint, region, remoteId];
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

/** An EBS snapshot; some blocks are fetched ahead. */
class RemoteContent implements ImportContent {
  readonly sizeBytes: number;
  readonly runCount: number;
  readonly #client: EBSClient;
  readonly #remoteId: string;
  readonly #indexes: Uint32Array;
  readonly #coming = new Map<number, Promise<Buffer>>();
  /** Of the page that is being fetched. */
  #tokens = new Map<number, string>();
  /** The run that is fetched next. */
  #next: number | undefined;

  constructor(client: EBSClient, remoteId: string, { sizeBytes, indexes }: RemoteBlocks) {
    this.#client = client;
    this.#remoteId = remoteId;
    this.#indexes = indexes;
    this.sizeBytes = sizeBytes;
    this.runCount = indexes.length;
  }

  blocksOf(run: number): readonly number[] {
    const first = (this.#indexes[run] ?? 0) * PER_UNIT;
    return Array.from({ length: PER_UNIT }, (_, i) => first + i);
  }

  async read(run: number, into: Buffer): Promise<void> {
    this.#next ??= run;
    while (this.#coming.size < AT_A_TIME && this.#next < this.runCount) {
      const next = this.#next;
      this.#next += 1;
      const index = this.#indexes[next] ?? 0;
      const fetching = this.#fetch(index, await this.#tokenOf(index));
      // It is waited for in its turn; until then nobody hears of its failure.
      fetching.catch(() => {});
      this.#coming.set(next, fetching);
    }
    const content = await this.#coming.get(run);
    if (content === undefined) throw new TransferError(`run ${run} of ${this.#remoteId} is out of its turn`);
    this.#coming.delete(run);
    content.copy(into);
  }

  close(): void {
    this.#coming.clear();
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
