/**
 * Snapshots that a client makes block by block: started, filled, sealed, and then uploaded like any other.
 *
 * What was acknowledged is in the snapshot's spool (direct-spool.ts) and survives a crash. A snapshot that gets no block,
 * and is not sealed, for as long as its start said, ends in `error`, and its spool goes.
 */
import { createHash, subtle, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import type { Catalog, Tag } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow, type StartedSnapshotRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import { makeSnapshotId, makeVolumeId, type SnapshotId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import type { Random } from "../platform/random.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { NO_GATEWAY, type Realm, volumeArn } from "./arn.ts";
import { DirectError } from "./direct-error.ts";
import { findSnapshot, lineageOf } from "./direct-reads.ts";
import { DIRECT_BLOCK_BYTES, DirectSpool } from "./direct-spool.ts";
import type { DirectStore } from "./ports.ts";
import type { Snapshots } from "./snapshots.ts";

export interface DirectUploadsOptions {
  readonly catalog: Catalog;
  readonly store: DirectStore;
  readonly snapshots: Snapshots;
  readonly disk: Disk;
  /** Where the spools are; nothing else may be there. */
  readonly folder: string;
  /** Bytes free on the disk of that folder. */
  readonly freeBytes: () => number;
  readonly realm: Realm;
  readonly clock: Clock;
  readonly random: Random;
  readonly onProblem: (message: string, error: unknown) => void;
}

export interface NewDirectSnapshot {
  readonly volumeSizeGib: number;
  readonly parentSnapshotId?: string | undefined;
  readonly description: string;
  readonly tags: readonly Tag[];
  readonly clientToken?: string | undefined;
  readonly timeoutMinutes: number;
}

export interface DirectBlock {
  readonly index: number;
  /** Base64 of its SHA-256. */
  readonly sum: string;
  readonly content: Buffer;
  /** How far the client says that it has come. */
  readonly progressPercent?: number | undefined;
}

export interface StartedSnapshot {
  readonly row: SnapshotRow;
  readonly tags: readonly Tag[];
  readonly parentSnapshotId: SnapshotId | null;
}

const GIB = 1024 ** 3;
const MINUTE_MS = 60_000;
const OPEN_MAX = 100;
/** Spools leave so much of the disk to what else lives there. */
const FREE_BYTES_MIN = GIB;
const WRITES_MAX = 4;
const RETRY_MS = 5_000;
const CHECK_EVERY_MS = 30_000;

/** One that takes blocks now. */
interface Open {
  readonly row: SnapshotRow;
  readonly started: StartedSnapshotRow;
  readonly spool: DirectSpool;
  readonly queue: SerialQueue;
  activeAtMs: number;
}

export class DirectUploads {
  readonly #options: DirectUploadsOptions;
  readonly #open = new Map<SnapshotId, Open>();
  readonly #starting = new SerialQueue();
  /** Writes under way in the thread pool, which others need as well. */
  readonly #writes = new Permits(WRITES_MAX);
  readonly #uploading = new Map<SnapshotId, Promise<void>>();
  #cancelTimer: () => void = () => {};
  #stopped = false;
  #stop: () => void = () => {};
  /** Rejects when this is closed: what waits for the bucket then is left to the next start. */
  readonly #stopping: Promise<never>;

  constructor(options: DirectUploadsOptions) {
    this.#options = options;
    this.#stopping = new Promise((_, reject) => {
      this.#stop = () => reject(new Error("the gateway is stopped"));
    });
    this.#stopping.catch(() => {});
  }

  /** Goes on where the last run has ended, and ends what runs out of time from now on. */
  async resume(): Promise<void> {
    const { catalog, disk, folder, onProblem } = this.#options;
    const unended = await catalog.started.unended();
    const wanted = new Set<string>(unended.map(({ snapshot_id }) => snapshot_id));
    for (const name of disk.list(folder)) if (!wanted.has(name)) disk.removeFolder(join(folder, name));
    for (const started of unended) {
      const row = await catalog.snapshot(started.snapshot_id);
      if (row === undefined) continue;
      try {
        if (started.state === "sealed") this.#upload(row, started);
        // While nothing ran nobody could send anything: that time does not count.
        else this.#open.set(row.id, this.#opened(row, started));
      } catch (error) {
        onProblem(`what was sent of ${row.id} can't be read`, error);
        await this.#fail(row, "what was sent of it can't be read");
      }
    }
    this.#watch();
  }

  /** Makes a snapshot that takes blocks. The same token with the same request answers the snapshot it has made before. */
  start(wanted: NewDirectSnapshot): Promise<StartedSnapshot> {
    return this.#starting.run(async () => {
      const { catalog, random, clock, realm } = this.#options;
      const fingerprint = fingerprintOf(wanted);
      const before =
        wanted.clientToken === undefined ? undefined : await catalog.started.byToken(wanted.clientToken);
      if (before !== undefined) return this.#sameAgain(before, fingerprint);
      if (this.#open.size >= OPEN_MAX)
        throw new DirectError("tooMany", `At most ${OPEN_MAX} snapshots can be made at a time.`);
      const sizeBytes = wanted.volumeSizeGib * GIB;
      const parent = await this.#parent(wanted.parentSnapshotId, sizeBytes);
      const volumeId = makeVolumeId(random);
      const row: SnapshotRow = {
        ...PLAIN_SNAPSHOT,
        id: makeSnapshotId(random),
        volume_id: volumeId,
        volume_arn: volumeArn(realm, NO_GATEWAY, volumeId),
        epoch: 1,
        state: "pending",
        reason: null,
        description: wanted.description,
        volume_size_bytes: sizeBytes,
        started_at: clock.nowMs(),
        completed_at: null,
        root_key: null,
        full_bytes: 0,
        deleted: 0,
        origin: "direct",
        lineage_id: parent === undefined ? null : (lineageOf(parent) as SnapshotRow["lineage_id"]),
      };
      const started: StartedSnapshotRow = {
        snapshot_id: row.id,
        client_token: wanted.clientToken ?? null,
        fingerprint,
        timeout_ms: wanted.timeoutMinutes * MINUTE_MS,
        parent_snapshot_id: parent?.id ?? null,
        parent_root_key: parent?.root_key ?? null,
        state: "open",
      };
      await catalog.started.add(row, wanted.tags, started);
      this.#open.set(row.id, this.#opened(row, started));
      return { row, tags: wanted.tags, parentSnapshotId: parent?.id ?? null };
    });
  }

  /** Keeps a block; when this resolves it survives a crash. One of the same index is replaced. */
  async put(snapshotId: string, { index, sum, content, progressPercent }: DirectBlock): Promise<void> {
    const open = await this.#taking(snapshotId);
    const invalid = (message: string, reason: "INVALID_BLOCK" | "INVALID_PARAMETER_VALUE") =>
      new DirectError("validation", message, reason);
    if (content.length !== DIRECT_BLOCK_BYTES)
      throw invalid(`A block has ${DIRECT_BLOCK_BYTES} bytes.`, "INVALID_BLOCK");
    if ((index + 1) * DIRECT_BLOCK_BYTES > open.row.volume_size_bytes)
      throw invalid(`The block ${index} is beyond the volume's end.`, "INVALID_BLOCK");
    // Half a mebibyte takes a while: on the thread pool, as the write does.
    const actual = Buffer.from(await subtle.digest("SHA-256", content));
    if (!isSum(sum, actual))
      throw invalid("The checksum does not match the data.", "INVALID_PARAMETER_VALUE");
    if (this.#options.freeBytes() < FREE_BYTES_MIN)
      throw new DirectError(
        "quota",
        "The gateway's disk has no room for more blocks now.",
        "DEPENDENCY_SERVICE_QUOTA_EXCEEDED",
      );
    // It may be sealed, deleted, or run out of time, meanwhile.
    const isTaking = () => this.#open.get(open.row.id) === open;
    try {
      await this.#writes.run(async () => {
        if (!isTaking()) throw notPending(open.row);
        await open.spool.put(index, actual, content);
      });
    } catch (error) {
      throw isTaking() ? error : notPending(open.row);
    }
    open.activeAtMs = this.#options.clock.monotonicMs();
    if (progressPercent === undefined) return;
    const { volume_id, epoch } = open.row;
    const progress = { doneBlocks: progressPercent, totalBlocks: 100 };
    this.#options.snapshots.uploadProgress({ volumeId: volume_id, epoch, ...progress });
  }

  /**
   * Takes no more blocks from now on, and uploads what was sent. `blockCount` is how many blocks the client has sent;
   * `sum`, where it is given, the SHA-256 over their SHA-256. Answers the snapshot's state.
   */
  async complete(
    snapshotId: string,
    blockCount: number,
    sum: string | undefined,
  ): Promise<SnapshotRow["state"]> {
    const row = await findSnapshot(this.#options.catalog, snapshotId);
    const open = this.#open.get(row.id);
    if (open === undefined) {
      // Asked again, after an answer that was lost.
      if (row.origin === "direct" && row.state !== "error") return row.state;
      throw notPending(row);
    }
    return open.queue.run(async () => {
      if (!this.#open.has(row.id)) return (await findSnapshot(this.#options.catalog, row.id)).state;
      // No block may come in between, and those that are on their way have to be there, or to have failed.
      this.#open.delete(row.id);
      try {
        await open.spool.idle();
        checkWhole(open.spool, blockCount, sum);
        await open.spool.sync();
        await this.#options.catalog.started.setState(row.id, "sealed");
      } catch (error) {
        this.#open.set(row.id, open);
        throw error;
      }
      open.spool.close();
      this.#upload(row, open.started);
      return "pending";
    });
  }

  /** The snapshot was deleted: what was sent of it goes too. */
  drop(id: SnapshotId): void {
    this.#open.get(id)?.spool.close();
    this.#open.delete(id);
    if (!this.#uploading.has(id)) this.#options.disk.removeFolder(this.#folderOf(id));
  }

  /** Waits for nothing but what is being written down: uploads under way are taken up again by the next start. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#stop();
    this.#cancelTimer();
    for (const { spool } of this.#open.values()) spool.close();
    this.#open.clear();
    await Promise.all(this.#uploading.values());
  }

  async #sameAgain(before: StartedSnapshotRow, fingerprint: string): Promise<StartedSnapshot> {
    const { catalog } = this.#options;
    if (before.fingerprint !== fingerprint)
      throw new DirectError("conflict", "The client token was used for another request.");
    const row = await findSnapshot(catalog, before.snapshot_id);
    return { row, tags: await catalog.tags.of(row.id), parentSnapshotId: before.parent_snapshot_id };
  }

  async #parent(text: string | undefined, sizeBytes: number): Promise<SnapshotRow | undefined> {
    if (text === undefined) return undefined;
    const parent = await findSnapshot(this.#options.catalog, text);
    if (parent.state !== "completed")
      throw new DirectError(
        "validation",
        `The parent ${parent.id} is ${parent.state}.`,
        "INVALID_SNAPSHOT_ID",
      );
    if (sizeBytes < parent.volume_size_bytes)
      throw new DirectError("validation", "The size is smaller than the parent's.", "INVALID_VOLUME_SIZE");
    return parent;
  }

  #opened(row: SnapshotRow, started: StartedSnapshotRow): Open {
    const spool = DirectSpool.open(this.#options.disk, this.#folderOf(row.id));
    return { row, started, spool, queue: new SerialQueue(), activeAtMs: this.#options.clock.monotonicMs() };
  }

  async #taking(snapshotId: string): Promise<Open> {
    const row = await findSnapshot(this.#options.catalog, snapshotId);
    const open = this.#open.get(row.id);
    if (open === undefined) throw notPending(row);
    return open;
  }

  #folderOf(id: SnapshotId): string {
    return join(this.#options.folder, id);
  }

  /** Uploads a sealed snapshot, again and again while the bucket can't take it. */
  #upload(row: SnapshotRow, started: StartedSnapshotRow): void {
    const run = async () => {
      while (!this.#stopped) {
        try {
          await this.#uploadOnce(row, started);
          return;
        } catch (error) {
          if (this.#stopped) return;
          if (!isPassing(error)) {
            this.#options.onProblem(`${row.id} can't be completed`, error);
            await this.#fail(row, error instanceof Error ? error.message : String(error));
            return;
          }
          this.#options.onProblem(`${row.id} can't be uploaded now`, error);
          await Promise.race([delay(this.#options.clock, RETRY_MS), this.#stopping.catch(() => {})]);
        }
      }
    };
    const uploading = run()
      .catch((error: unknown) => this.#options.onProblem(`the end of ${row.id} can't be recorded`, error))
      .finally(() => this.#uploading.delete(row.id));
    this.#uploading.set(row.id, uploading);
  }

  async #uploadOnce(row: SnapshotRow, started: StartedSnapshotRow): Promise<void> {
    const { store, snapshots, catalog, disk } = this.#options;
    const uploading = store.uploadSpool({
      volumeId: row.volume_id,
      folder: this.#folderOf(row.id),
      sizeBytes: row.volume_size_bytes,
      cutAtMs: row.started_at,
      ...(started.parent_root_key !== null && { parentRootKey: started.parent_root_key }),
    });
    const uploaded = await Promise.race([uploading, this.#stopping]);
    await snapshots.completeDirect(row.id, uploaded);
    await catalog.started.setState(row.id, "ended");
    disk.removeFolder(this.#folderOf(row.id));
  }

  async #fail(row: SnapshotRow, reason: string): Promise<void> {
    const { catalog, snapshots, disk } = this.#options;
    this.#open.get(row.id)?.spool.close();
    this.#open.delete(row.id);
    await snapshots.failDirect(row.id, reason);
    await catalog.started.setState(row.id, "ended");
    disk.removeFolder(this.#folderOf(row.id));
  }

  #watch(): void {
    const { clock, onProblem } = this.#options;
    this.#cancelTimer = clock.after(CHECK_EVERY_MS, () => {
      for (const { row, started, activeAtMs, queue } of this.#open.values()) {
        if (clock.monotonicMs() - activeAtMs < started.timeout_ms) continue;
        const minutes = started.timeout_ms / MINUTE_MS;
        const expire = async () => {
          if (this.#open.has(row.id)) await this.#fail(row, `it got no block for ${minutes} minutes`);
        };
        queue.run(expire).catch((error: unknown) => onProblem(`${row.id} has expired`, error));
      }
      this.#watch();
    });
  }
}

function notPending(row: SnapshotRow): DirectError {
  const how =
    row.origin === "direct" ? (row.state === "pending" ? "sealed" : row.state) : "not made of blocks";
  return new DirectError(
    "validation",
    `The snapshot ${row.id} takes no blocks: it is ${how}.`,
    "INVALID_SNAPSHOT_ID",
  );
}

/** Whether trying again later may help: the bucket can't be reached, or the local disk can't be read now. */
function isPassing(error: unknown): boolean {
  return (error as { kind?: unknown } | null)?.kind === "unavailable";
}

/** Throws a DirectError unless the spool holds so many blocks, with that SHA-256 over theirs where it is given. */
function checkWhole(spool: DirectSpool, blockCount: number, sum: string | undefined): void {
  if (spool.count !== blockCount)
    throw new DirectError(
      "validation",
      `${spool.count} blocks were sent, not ${blockCount}.`,
      "INVALID_PARAMETER_VALUE",
    );
  if (sum !== undefined && !isSum(sum, spool.aggregate()))
    throw new DirectError(
      "validation",
      "The checksum does not match those of the blocks.",
      "INVALID_PARAMETER_VALUE",
    );
}

function isSum(text: string, sum: Buffer): boolean {
  const given = Buffer.from(text, "base64");
  return given.length === sum.length && timingSafeEqual(given, sum);
}

function fingerprintOf({ clientToken: _, ...wanted }: NewDirectSnapshot): string {
  return createHash("sha256").update(JSON.stringify(wanted)).digest("hex");
}
