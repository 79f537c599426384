/**
 * Snapshots: from the cut to the record in the bucket.
 *
 * A snapshot's row is written when its cut survives a crash, and is answered then. It becomes `completed` after its
 * root and its record are in the bucket, `error` with a reason when that can never be (invariant 3).
 */
import { strict as assert } from "node:assert";
import type { Catalog, Tag } from "../catalog/catalog.ts";
import { PLAIN_SNAPSHOT, type SnapshotRow, type VolumeRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import { makeSnapshotId, type SnapshotId, type VolumeId } from "../platform/ids.ts";
import { KeyedQueue } from "../platform/keyed-queue.ts";
import type { Random } from "../platform/random.ts";
import { GatewayError } from "./errors.ts";
import { type CompletedFigures, type KnownSnapshot, KnownSnapshots, placeOf } from "./known-snapshots.ts";
import { lineageOfVolume } from "./lineage.ts";
import { checkLock } from "./lock-check.ts";
import type {
  FailedCut,
  SnapshotStore,
  UploadedCut,
  UploadProgress,
  VolumeHost,
  VolumeHostEvents,
} from "./ports.ts";
import { marksOfRun, type ScheduleRun, settled } from "./schedule.ts";
import { adoptSnapshots, cutOf, keyOfCut as keyOf, pendingRow, recordOf } from "./snapshot-records.ts";
import { SnapshotRemovals } from "./snapshot-removals.ts";
import { isInUse } from "./volume-rows.ts";
import type { Volumes } from "./volumes.ts";

export interface SnapshotsOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly store: SnapshotStore;
  readonly volumes: Volumes;
  readonly clock: Clock;
  readonly random: Random;
  /** A snapshot that takes blocks from a client was deleted. */
  readonly onDirectGone: (id: SnapshotId) => void;
  /** A snapshot of this root was deleted. Never rejects. */
  readonly onNameGone: (volumeId: VolumeId, rootKey: string) => Promise<void>;
  readonly onProblem: (message: string, error: unknown) => void;
  /** Told of every snapshot that is completed or has failed. Must not throw. */
  readonly onSnapshotEnded?: (snapshot: SnapshotRow) => void;
}

/** A snapshot as it is at the moment. */
export interface SnapshotView {
  readonly row: SnapshotRow;
  readonly tags: readonly Tag[];
  /** 0 to 100; 100 only when completed. */
  readonly progressPercent: number;
}

const RETRY_MS = 5_000;
const PENDING_PERCENT_MAX = 99;

export class Snapshots implements VolumeHostEvents {
  readonly #options: SnapshotsOptions;
  readonly #progress = new Map<string, number>();
  /** Ends of uploads that are being written down, by volume and epoch. */
  readonly #ending = new Map<string, Promise<void>>();
  /** What changes a snapshot's row and its record: one thing after the other. */
  readonly #changing = new KeyedQueue<SnapshotId>();
  readonly #known: KnownSnapshots;
  readonly #removals: SnapshotRemovals;
  #stopped = false;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#known = new KnownSnapshots(options.catalog);
    this.#removals = new SnapshotRemovals(options);
  }

  /** Cuts the volume; answers when the snapshot survives a crash. Its upload goes on by itself. */
  async create(volume: VolumeRow, description: string, tags: readonly Tag[]): Promise<SnapshotRow> {
    const [row] = await this.createTogether([volume], description, tags);
    assert(row !== undefined);
    return row;
  }

  /**
   * Cuts several volumes at one instant: no write that waited for the acknowledgement of another one is in one of the
   * snapshots while that other is missing from its own. All are made or none. Answers in the order of `volumes`.
   */
  async createTogether(
    volumes: readonly VolumeRow[],
    description: string,
    tags: readonly Tag[] | ((volumeId: VolumeId) => readonly Tag[]),
    schedule?: ScheduleRun,
  ): Promise<SnapshotRow[]> {
    const { catalog, host, random } = this.#options;
    if (!volumes.every(isInUse)) throw new GatewayError("VolumeNotReady");
    const wanted = volumes.map(({ id }) => ({ volumeId: id, snapshotId: makeSnapshotId(random) }));
    const lineages = await Promise.all(volumes.map((volume) => lineageOfVolume(catalog, volume)));
    const cuts = await host.cut(wanted);
    const rows = volumes.map((volume, i): SnapshotRow => {
      const id = wanted[i]?.snapshotId;
      const cut = cuts[i];
      assert(id !== undefined && cut !== undefined);
      return {
        ...this.#rowOf(volume, id, description),
        epoch: cut.epoch,
        state: "pending",
        started_at: cut.cutAtMs,
        lineage_id: lineages[i] ?? null,
        ...(schedule !== undefined && marksOfRun(schedule)),
      };
    });
    const tagsOf = typeof tags === "function" ? (row: SnapshotRow) => tags(row.volume_id) : tags;
    await catalog.addSnapshots(rows, tagsOf, schedule && settled(schedule, rows));
    // The uploads may have ended before the rows were there to be told.
    for (const row of rows) {
      const state = await host.cutState(row.volume_id, row.epoch);
      if (state.state === "uploaded") this.cutUploaded(state);
      if (state.state === "failed") this.cutFailed({ ...cutOf(row), reason: state.reason });
    }
    return rows;
  }

  /**
   * Gives a moment of the volume that is in the bucket already a name. It is complete at once: the record is in the
   * bucket when this answers.
   */
  async createFrom(
    volume: VolumeRow,
    point: { readonly rootKey: string; readonly cutAtMs: number; readonly sizeBytes: number },
    fullBytes: number,
    description: string,
    tags: readonly Tag[],
  ): Promise<SnapshotRow> {
    const { catalog, random, clock } = this.#options;
    const row: SnapshotRow = {
      ...this.#rowOf(volume, makeSnapshotId(random), description),
      volume_size_bytes: point.sizeBytes,
      state: "completed",
      started_at: point.cutAtMs,
      completed_at: clock.nowMs(),
      root_key: point.rootKey,
      full_bytes: fullBytes,
      lineage_id: await lineageOfVolume(catalog, volume),
    };
    await catalog.addSnapshots([row], tags);
    try {
      await this.#putRecord(row);
    } catch (error) {
      await catalog.removeSnapshot(row.id);
      throw error;
    }
    return row;
  }

  /** All that were not deleted, by their ids. */
  async list(): Promise<readonly SnapshotView[]> {
    const { all, pending } = await this.#known.list();
    if (pending.size === 0) return all;
    const views: SnapshotView[] = [...all];
    for (const id of pending) {
      const at = placeOf(all, id);
      const known = all[at];
      if (known !== undefined) views[at] = this.#viewOf(known);
    }
    return views;
  }

  /** How many are completed, and what they would take if each were kept by itself. */
  readonly completed = (): Promise<CompletedFigures> => this.#known.completed();

  /** Those of the ids that are there, in the order of the ids. */
  async listNamed(ids: readonly string[]): Promise<SnapshotView[]> {
    return (await this.#known.of(ids)).map((known) => this.#viewOf(known));
  }

  /** Those whose source is one of the volumes, by their ids. */
  async listOfVolumes(volumeIds: readonly string[]): Promise<SnapshotView[]> {
    return (await this.#known.ofVolumes(volumeIds)).map((known) => this.#viewOf(known));
  }

  #viewOf(known: KnownSnapshot): SnapshotView {
    if (known.row.state !== "pending") return known;
    return { ...known, progressPercent: this.#percent(known.row) };
  }

  /** The snapshot of that id; undefined where there is none, or it was deleted. */
  async find(id: SnapshotId): Promise<SnapshotRow | undefined> {
    const row = await this.#options.catalog.snapshot(id);
    return row?.deleted === 0 ? row : undefined;
  }

  /** With its tags. */
  async view(id: SnapshotId): Promise<SnapshotView | undefined> {
    const row = await this.find(id);
    if (row === undefined) return undefined;
    return { row, tags: await this.#options.catalog.tags.of(id), progressPercent: this.#percent(row) };
  }

  /**
   * Deletes a snapshot. A pending one is hidden at once and goes away when its upload ends; one in a bucket that gives no
   * answer, when that is back.
   */
  remove(id: SnapshotId): Promise<void> {
    return this.#changing.run(id, () => this.#remove(id));
  }

  async #remove(id: SnapshotId): Promise<void> {
    const { catalog } = this.#options;
    const row = await catalog.snapshot(id);
    if (row === undefined || row.deleted === 1) throw new GatewayError("SnapshotNotFound");
    await checkLock(row, this.#options);
    await catalog.updateSnapshot(id, { deleted: 1 });
    if (row.origin === "direct" && row.state !== "completed") {
      const started = await catalog.started.of(id);
      if (started?.state === "sealed") return;
      await catalog.removeSnapshot(id);
      this.#options.onDirectGone(id);
      return;
    }
    if (row.state === "pending") return;
    await this.#removals.take(row);
  }

  /** Writes down what was changed in the row of a snapshot; of a completed one also in the bucket. */
  change(id: SnapshotId, make: (row: SnapshotRow) => Partial<Omit<SnapshotRow, "id">>): Promise<SnapshotRow> {
    return this.#changing.run(id, async () => {
      const { catalog } = this.#options;
      const row = await this.find(id);
      if (row === undefined) throw new GatewayError("SnapshotNotFound");
      const change = make(row);
      const changed = { ...row, ...change };
      // The bucket first: what is promised here is kept by whoever recovers it.
      if (row.state === "completed") await this.#putRecord(changed);
      await catalog.updateSnapshot(id, change);
      return changed;
    });
  }

  /** Another name for what a completed snapshot holds; complete when this answers. */
  async copy(source: SnapshotRow, description: string, tags: readonly Tag[]): Promise<SnapshotRow> {
    const { catalog, random, clock } = this.#options;
    const nowMs = clock.nowMs();
    const row: SnapshotRow = {
      ...source,
      ...PLAIN_SNAPSHOT,
      id: makeSnapshotId(random),
      lineage_id: source.lineage_id ?? source.volume_id,
      epoch: 0,
      description,
      started_at: nowMs,
      completed_at: nowMs,
    };
    await catalog.addSnapshots([row], tags);
    try {
      await this.#putRecord(row);
      // Its root may have gone with the source's name while nothing else held it.
      if ((await catalog.snapshot(source.id))?.deleted !== 0) throw new GatewayError("SnapshotNotFound");
    } catch (error) {
      await this.#options.store.deleteSnapshot(row.id);
      await catalog.removeSnapshot(row.id);
      throw error;
    }
    return row;
  }

  /** A snapshot that was made of a client's blocks is in the bucket. */
  completeDirect(
    id: SnapshotId,
    uploaded: { readonly rootKey: string; readonly fullBytes: number },
  ): Promise<void> {
    return this.#changing.run(id, () => this.#completeDirect(id, uploaded));
  }

  async #completeDirect(
    id: SnapshotId,
    { rootKey, fullBytes }: { readonly rootKey: string; readonly fullBytes: number },
  ): Promise<void> {
    const { catalog, clock } = this.#options;
    const row = await catalog.snapshot(id);
    if (row === undefined) return;
    const change = {
      state: "completed",
      root_key: rootKey,
      full_bytes: fullBytes,
      completed_at: clock.nowMs(),
    } as const;
    if (row.deleted === 0) await this.#putRecord({ ...row, ...change });
    await catalog.updateSnapshot(id, change);
    this.#progress.delete(keyOf(row.volume_id, row.epoch));
    const now = await catalog.snapshot(id);
    if (now?.deleted === 1) await this.#removals.take(now);
    else this.#options.onSnapshotEnded?.({ ...row, ...change });
  }

  /** A snapshot that was to be made of a client's blocks will never be. */
  async failDirect(id: SnapshotId, reason: string): Promise<void> {
    const { catalog } = this.#options;
    const row = await catalog.snapshot(id);
    if (row === undefined) return;
    if (row.deleted === 1) return catalog.removeSnapshot(id);
    const failed = { state: "error", reason } as const;
    await catalog.updateSnapshot(id, failed);
    this.#options.onSnapshotEnded?.({ ...row, ...failed });
  }

  /** Replaces tags; those of a completed snapshot are kept in the bucket too. */
  changeTags(id: SnapshotId, put: readonly Tag[], remove: readonly string[]): Promise<void> {
    return this.#changing.run(id, async () => {
      const { catalog } = this.#options;
      const row = await this.find(id);
      if (row === undefined) throw new GatewayError("SnapshotNotFound");
      // The bucket first: a change that it can't take now is refused whole.
      if (row.state === "completed") {
        const gone = new Set([...remove, ...put.map(({ key }) => key)]);
        const kept = (await catalog.tags.of(id)).filter(({ key }) => !gone.has(key));
        await this.#options.store.putSnapshot(recordOf(row, [...kept, ...put]));
      }
      await catalog.tags.remove(id, remove);
      await catalog.tags.put(id, put);
    });
  }

  /** After a start: finishes what the last run left open, and takes in what only the bucket knows. */
  async reconcile(): Promise<void> {
    const { onProblem } = this.#options;
    await this.reconcilePending();
    await this.#removals.sweep();
    try {
      await this.adopt();
    } catch (error) {
      onProblem("the snapshots in the bucket can't be listed now", error);
    }
  }

  /**
   * Finds out what has become of cuts whose end nobody has told here. Those of a volume that is not open wait: its disk
   * may be away, or its gateway shut down, and they go on when it is back.
   */
  async reconcilePending(): Promise<void> {
    const { catalog, host } = this.#options;
    for (const row of await catalog.pendingSnapshots()) {
      if (row.origin !== "cut") continue;
      const state = await host.cutState(row.volume_id, row.epoch);
      const isGone = state.state === "closed" && (await catalog.volume(row.volume_id)) === undefined;
      if (state.state === "uploaded") this.cutUploaded(state);
      else if (state.state === "failed") this.cutFailed({ ...cutOf(row), reason: state.reason });
      else if (state.state === "unknown" || isGone) {
        this.cutFailed({ ...cutOf(row), reason: "the volume does not know of this cut" });
      }
    }
  }

  /** Takes in what only the bucket knows. */
  adopt(): Promise<void> {
    return adoptSnapshots(this.#options.catalog, this.#options.store);
  }

  /** Waits for ends of uploads that are being written down. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#removals.close();
    await Promise.all(this.#ending.values());
  }

  uploadProgress(progress: UploadProgress): void {
    const percent = progress.totalBlocks === 0 ? 0 : (100 * progress.doneBlocks) / progress.totalBlocks;
    this.#progress.set(keyOf(progress.volumeId, progress.epoch), Math.min(percent, PENDING_PERCENT_MAX));
  }

  cutUploaded(cut: UploadedCut): void {
    this.#end(keyOf(cut.volumeId, cut.epoch), async () => {
      const pending = await this.#pendingRow(cut);
      if (pending !== undefined) await this.#changing.run(pending.id, () => this.#complete(pending.id, cut));
    });
  }

  async #complete(id: SnapshotId, cut: UploadedCut): Promise<void> {
    const { catalog, clock } = this.#options;
    const row = await catalog.snapshot(id);
    if (row === undefined) return;
    if (row.deleted === 1) {
      await catalog.removeSnapshot(row.id);
      return;
    }
    const change = {
      state: "completed",
      root_key: cut.rootKey,
      full_bytes: cut.fullBytes,
      completed_at: clock.nowMs(),
    } as const;
    // The bucket first: what is told as completed can be recovered from it alone (invariant 8).
    const done = { ...row, ...change };
    await this.#putRecord(done);
    await catalog.updateSnapshot(row.id, change);
    this.#options.onSnapshotEnded?.(done);
  }

  cutFailed(cut: FailedCut): void {
    this.#end(keyOf(cut.volumeId, cut.epoch), async () => {
      const row = await this.#pendingRow(cut);
      if (row === undefined) return;
      if (row.deleted === 1) await this.#options.catalog.removeSnapshot(row.id);
      else {
        const failed = { state: "error", reason: cut.reason } as const;
        await this.#options.catalog.updateSnapshot(row.id, failed);
        this.#options.onSnapshotEnded?.({ ...row, ...failed });
      }
    });
  }

  #rowOf(volume: VolumeRow, id: SnapshotId, description: string): SnapshotRow {
    return pendingRow(volume, this.#options.volumes.arnOf(volume), id, description);
  }

  #percent(row: SnapshotRow): number {
    if (row.state === "completed") return 100;
    return Math.floor(this.#progress.get(keyOf(row.volume_id, row.epoch)) ?? 0);
  }

  /** Writes an end down, again and again while the bucket or the catalog can't take it. */
  #end(key: string, action: () => Promise<void>): void {
    const before = this.#ending.get(key);
    const run = async () => {
      await before;
      while (!this.#stopped) {
        try {
          await action();
          this.#progress.delete(key);
          return;
        } catch (error) {
          this.#options.onProblem("the end of a snapshot can't be recorded yet", error);
          await delay(this.#options.clock, RETRY_MS);
        }
      }
    };
    const ending: Promise<void> = run().finally(() => {
      if (this.#ending.get(key) === ending) this.#ending.delete(key);
    });
    this.#ending.set(key, ending);
  }

  async #pendingRow(cut: { volumeId: string; epoch: number }): Promise<SnapshotRow | undefined> {
    const rows = await this.#options.catalog.pendingSnapshots();
    return rows.find((row) => row.volume_id === cut.volumeId && row.epoch === cut.epoch);
  }

  async #putRecord(row: SnapshotRow): Promise<void> {
    await this.#options.store.putSnapshot(recordOf(row, await this.#options.catalog.tags.of(row.id)));
  }
}
