/**
 * Reading snapshots block by block: which blocks a snapshot has, which differ between two, and their content. In units of
 * 512 KiB, whatever the vault's own blocks are.
 */
import { createHash } from "node:crypto";
import type { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { parseSnapshotId, type SnapshotId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import { DirectError } from "./direct-error.ts";
import { DIRECT_BLOCK_BYTES } from "./direct-spool.ts";
import type { DirectTokens } from "./direct-tokens.ts";
import type { DirectStore } from "./ports.ts";

const BLOCK_TOKEN_MS = 7 * 24 * 3600_000;
const PAGE_TOKEN_MS = 60 * 60_000;
const RESULTS_DEFAULT = 1000;
const READS_MAX = 32;
const LISTS_MAX = 4;
const GIB = 1024 ** 3;

export interface DirectReadsOptions {
  readonly catalog: Catalog;
  readonly store: DirectStore;
  readonly tokens: DirectTokens;
  readonly clock: Clock;
}

/** Which part of a list is wanted. A token of the page before goes before a start. */
export interface PageRequest {
  readonly pageToken?: string | undefined;
  readonly maxResults?: number | undefined;
  readonly startingBlockIndex?: number | undefined;
}

export interface ListedBlock {
  readonly index: number;
  /** Missing where the first snapshot does not have the block, or there is no first. */
  readonly firstToken?: string;
  /** Missing where the second, or only, snapshot does not have the block. */
  readonly token?: string;
}

export interface BlockPage {
  readonly blocks: readonly ListedBlock[];
  readonly expiresAtMs: number;
  readonly volumeSizeGib: number;
  readonly nextToken?: string;
}

export class DirectReads {
  readonly #options: DirectReadsOptions;
  /** However many ask, so much of it is in memory at a time. */
  readonly #reading = new Permits(READS_MAX);
  readonly #listing = new Permits(LISTS_MAX);

  constructor(options: DirectReadsOptions) {
    this.#options = options;
  }

  /** The blocks that are not all zeros, ascending. */
  list(snapshotId: string, page: PageRequest): Promise<BlockPage> {
    return this.#list(undefined, snapshotId, page);
  }

  /** The blocks in which the second snapshot is not the same as the first; without one, all that the second has. */
  listChanged(firstId: string | undefined, secondId: string, page: PageRequest): Promise<BlockPage> {
    return this.#list(firstId, secondId, page);
  }

  /** A block's content and its SHA-256, against a token of a list. */
  async get(
    snapshotId: string,
    index: number,
    token: string,
  ): Promise<{ readonly content: Buffer; readonly sum: string }> {
    const { tokens, clock, store } = this.#options;
    const row = await this.#readable(snapshotId);
    if (tokens.read(blockPurpose(row.id), token, clock.nowMs()) !== index)
      throw new DirectError(
        "validation",
        "The block token is not valid for this block, or it has expired.",
        "INVALID_BLOCK_TOKEN",
      );
    const offsetBytes = index * DIRECT_BLOCK_BYTES;
    const content = await this.#reading.run(() =>
      store.readDirectBlock(rootOf(row), offsetBytes, DIRECT_BLOCK_BYTES),
    );
    return { content, sum: createHash("sha256").update(content).digest("base64") };
  }

  async #list(firstId: string | undefined, secondId: string, page: PageRequest): Promise<BlockPage> {
    const { tokens, clock, store } = this.#options;
    const second = await this.#readable(secondId);
    const first = firstId === undefined ? undefined : await this.#readable(firstId);
    if (first !== undefined && lineageOf(first) !== lineageOf(second))
      throw new DirectError(
        "validation",
        `The snapshots ${first.id} and ${second.id} are not of one lineage.`,
        "UNRELATED_SNAPSHOTS",
      );
    const nowMs = clock.nowMs();
    const purpose = `page ${first?.id ?? ""} ${second.id}`;
    const start = this.#start(purpose, page, second, nowMs);
    const listing = {
      ...(first !== undefined && { beforeKey: rootOf(first) }),
      afterKey: rootOf(second),
      unitBytes: DIRECT_BLOCK_BYTES,
      first: start,
      max: page.maxResults ?? RESULTS_DEFAULT,
    };
    const { blocks, next } = await this.#listing.run(() => store.listDirectBlocks(listing));
    const expiresAtMs = nowMs + BLOCK_TOKEN_MS;
    const tokenOf = (id: SnapshotId, index: number) => tokens.make(blockPurpose(id), index, expiresAtMs);
    return {
      blocks: blocks.map(({ index, inBefore, inAfter }) => ({
        index,
        ...(inBefore && first !== undefined && { firstToken: tokenOf(first.id, index) }),
        ...(inAfter && { token: tokenOf(second.id, index) }),
      })),
      expiresAtMs,
      volumeSizeGib: Math.ceil(second.volume_size_bytes / GIB),
      ...(next !== undefined && { nextToken: tokens.make(purpose, next, nowMs + PAGE_TOKEN_MS) }),
    };
  }

  #start(purpose: string, page: PageRequest, row: SnapshotRow, nowMs: number): number {
    if (page.pageToken !== undefined) {
      const start = this.#options.tokens.read(purpose, page.pageToken, nowMs);
      if (start !== undefined) return start;
      throw new DirectError(
        "validation",
        "The page token is not valid for this list, or it has expired.",
        "INVALID_PAGE_TOKEN",
      );
    }
    const start = page.startingBlockIndex ?? 0;
    if (start * DIRECT_BLOCK_BYTES >= row.volume_size_bytes)
      throw new DirectError("validation", "The starting block is beyond the end.", "INVALID_PARAMETER_VALUE");
    return start;
  }

  /** The snapshot, which has to be there and completed. */
  async #readable(text: string): Promise<SnapshotRow> {
    const row = await findSnapshot(this.#options.catalog, text);
    if (row.state === "completed") return row;
    throw new DirectError(
      "validation",
      `The snapshot ${row.id} is ${row.state}: only completed ones can be read.`,
      "INVALID_SNAPSHOT_ID",
    );
  }
}

/** The snapshot that `text` names. Rejects with a DirectError where there is none. */
export async function findSnapshot(catalog: Catalog, text: string): Promise<SnapshotRow> {
  const id = parseSnapshotId(text);
  const row = id === undefined ? undefined : await catalog.snapshot(id);
  if (row === undefined || row.deleted === 1)
    throw new DirectError("notFound", `The snapshot '${text}' does not exist.`, "SNAPSHOT_NOT_FOUND");
  return row;
}

/** The volume that the snapshot's content began with. */
export function lineageOf(row: SnapshotRow): string {
  return row.lineage_id ?? row.volume_id;
}

function blockPurpose(id: SnapshotId): string {
  return `block ${id}`;
}

function rootOf(row: SnapshotRow): string {
  return row.root_key ?? "";
}
