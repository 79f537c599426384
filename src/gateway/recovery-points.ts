/**
 * Recovery points: the moments of a volume that are in the bucket, with or without a name. They are cut by the data
 * plane; here they are listed, found by time, given names, and thinned out as they grow older.
 */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { GatewayError } from "./errors.ts";
import type { RecoveryPointStore, StoredRoot } from "./ports.ts";
import type { Snapshots } from "./snapshots.ts";
import { rootsToDrop, type ThinningRule } from "./thinning.ts";

export interface RecoveryPointsOptions {
  readonly catalog: Catalog;
  readonly roots: RecoveryPointStore;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly rule: ThinningRule;
  readonly onProblem: (message: string, error: unknown) => void;
}

const THIN_EVERY_MS = 10 * 60_000;

export class RecoveryPoints {
  readonly #options: RecoveryPointsOptions;
  /** Naming a moment and taking unnamed ones away exclude each other. */
  readonly #queue = new SerialQueue();
  #cancelTimer: () => void = () => {};
  #thinning: Promise<void> = Promise.resolve();

  constructor(options: RecoveryPointsOptions) {
    this.#options = options;
  }

  /** The moments of the volume that can be restored, newest first. */
  async list(volumeId: VolumeId): Promise<StoredRoot[]> {
    const roots = await this.#options.roots.listRoots(volumeId);
    return [...roots].sort((a, b) => b.cutAtMs - a.cutAtMs);
  }

  /**
   * Makes a snapshot of the newest recovery point that is not newer than `atMs` (the newest of all without it).
   * Rejects with a GatewayError where there is none.
   */
  name(
    volume: VolumeRow,
    atMs: number | undefined,
    description: string,
    tags: readonly Tag[],
  ): Promise<SnapshotRow> {
    return this.#queue.run(async () => {
      const point = (await this.list(volume.id)).find(({ cutAtMs }) => atMs === undefined || cutAtMs <= atMs);
      if (point === undefined) {
        const when = atMs === undefined ? "" : ` at ${new Date(atMs).toISOString()} or before`;
        throw new GatewayError("InvalidParameters", `The volume has no recovery point${when}.`);
      }
      return this.#options.snapshots.createFrom(volume, point, point.fullBytes, description, tags);
    });
  }

  /** Runs `action`, which takes the newest recovery point of a volume for something, with no thinning meanwhile. */
  holding<T>(action: () => Promise<T>): Promise<T> {
    return this.#queue.run(action);
  }

  /** Thins out now, and again and again from now on. */
  start(): void {
    this.#thinning = this.thin();
    this.#cancelTimer = this.#options.clock.after(THIN_EVERY_MS, () => this.start());
  }

  /** Takes the recovery points away that the rule does not keep; what has a name, or a volume stands on, stays. */
  async thin(): Promise<void> {
    const { catalog, onProblem } = this.#options;
    for (const volume of await catalog.volumes()) {
      try {
        await this.#queue.run(() => this.#thinVolume(volume.id));
      } catch (error) {
        onProblem(`the recovery points of ${volume.id} can't be thinned out now`, error);
      }
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#thinning;
  }

  async #thinVolume(volumeId: VolumeId): Promise<void> {
    const { catalog, roots, clock, rule } = this.#options;
    const found = await roots.listRoots(volumeId);
    const pinned = new Set<string>();
    // After the listing: a name given before it is seen here, and one given later waits for us.
    for (const { root_key } of await catalog.allSnapshots()) if (root_key !== null) pinned.add(root_key);
    for (const { parent_root_key } of await catalog.volumes()) {
      if (parent_root_key !== null) pinned.add(parent_root_key);
    }
    const candidates = found.map(({ rootKey, cutAtMs, checkpointKey, chainKeys }) => ({
      rootKey,
      cutAtMs,
      standsOn: [...(checkpointKey === undefined ? [] : [checkpointKey]), ...(chainKeys ?? [])],
    }));
    const drop = rootsToDrop(candidates, rule, pinned, clock.nowMs());
    if (drop.length > 0) await roots.deleteRoots(volumeId, drop);
  }
}
