/**
 * Recovery points: the moments of a volume that are in the bucket, with or without a name. They are cut by the data
 * plane; here they are listed, found by time, given names, and thinned out as they grow older.
 */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { GatewayError, invalid } from "./errors.ts";
import type { RecoveryPointStore, StoredRoot, VolumeHost } from "./ports.ts";
import type { Snapshots } from "./snapshots.ts";
import { rootsToDrop, type ThinningRule } from "./thinning.ts";

export interface RecoveryPointsOptions {
  readonly catalog: Catalog;
  readonly host: Pick<VolumeHost, "report">;
  readonly roots: RecoveryPointStore;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly rule: ThinningRule;
  readonly onProblem: (message: string, error: unknown) => void;
}

const THIN_EVERY_MS = 10 * 60_000;
/** Volumes whose roots are kept in mind at a time. */
const GROUP_MAX = 64;

/** What a volume stands on, besides what the catalog knows. */
interface Base {
  readonly rootKey?: string;
}

export class RecoveryPoints {
  readonly #options: RecoveryPointsOptions;
  /** Naming a moment and taking unnamed ones away exclude each other. */
  readonly #queue = new SerialQueue();
  #cancelTimer: () => void = () => {};
  #thinning: Promise<void> = Promise.resolve();

  constructor(options: RecoveryPointsOptions) {
    this.#options = options;
  }

  /** Which recovery points are kept as they grow older: of all volumes, as the gateway was started with it. */
  get rule(): ThinningRule {
    return this.#options.rule;
  }

  /** The moments of the volume that can be restored, newest first: as they were cut, whatever the clock said. */
  async list(volumeId: VolumeId): Promise<StoredRoot[]> {
    return [...(await this.#options.roots.listRoots(volumeId))].reverse();
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
      if (point === undefined && atMs === undefined)
        throw new GatewayError("VolumeNotReady", "It has no recovery point yet.");
      if (point === undefined)
        throw invalid(`The volume has no recovery point at ${new Date(atMs ?? 0).toISOString()} or before.`);
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
    const volumes = await this.#options.catalog.volumes();
    await this.#thinAll(
      volumes.map(({ id }) => id),
      true,
    );
  }

  /** The same for volumes that are gone: what has no name goes when the rule does not keep it any more. */
  async thinGone(): Promise<void> {
    const { catalog, roots } = this.#options;
    const there = new Set((await catalog.volumes()).map(({ id }) => id));
    const own = await roots.listOwnVolumes();
    const making = new Set((await catalog.pendingSnapshots()).map(({ volume_id }) => volume_id));
    // The root of one that is being made has no name yet.
    const gone = own.filter((id) => !there.has(id) && !making.has(id));
    await this.#thinAll(gone, false, true);
  }

  /**
   * Thins volumes out, group by group: most of them have nothing that could go, and who needs what (which may be asked of
   * thousands of records in the bucket) is asked once for all the others of a group.
   */
  async #thinAll(volumeIds: readonly VolumeId[], keepNewest: boolean, isStrict = false): Promise<void> {
    const { roots, onProblem } = this.#options;
    const tolerate = async (volumeId: VolumeId, action: () => Promise<void>) => {
      try {
        await action();
      } catch (error) {
        if (isStrict) throw error;
        onProblem(`the recovery points of ${volumeId} can't be thinned out now`, error);
      }
    };
    let group = new Map<VolumeId, ReadonlySet<string>>();
    const thinGroup = async () => {
      const [first] = group.keys();
      if (first === undefined) return;
      const going = group;
      group = new Map();
      await tolerate(first, async () => {
        // After the listings: a root that was named elsewhere since then was made since then, and is not in them.
        const pinned = await this.#pins();
        for (const [volumeId, seen] of going) {
          await tolerate(volumeId, () =>
            this.#queue.run(() => this.#thinVolume(volumeId, seen, pinned, keepNewest)),
          );
        }
      });
    };
    for (const volumeId of volumeIds) {
      await tolerate(volumeId, async () => {
        const found = await roots.listRoots(volumeId);
        const nobody: ReadonlySet<string> = new Set();
        if (this.#droppable(found, nobody, keepNewest).length > 0)
          group.set(volumeId, new Set(found.map(({ rootKey }) => rootKey)));
      });
      if (group.size >= GROUP_MAX) await thinGroup();
    }
    await thinGroup();
  }

  /**
   * A snapshot of this root was deleted: the root goes too, unless it is the volume's newest, or something else needs
   * it. It is thinned out later where that can't be found out now.
   */
  async dropUnnamed(volumeId: VolumeId, rootKey: string): Promise<void> {
    const { catalog, roots, onProblem } = this.#options;
    try {
      await this.#queue.run(async () => {
        const volume = await catalog.volume(volumeId);
        // Another gateway's volume may stand on any root of its own: that one thins them out.
        if (volume === undefined && !(await roots.listOwnVolumes()).includes(volumeId)) return;
        const base = await this.#baseOf(volume);
        if (base === undefined || base.rootKey === rootKey) return;
        const found = await roots.listRoots(volumeId);
        const isNewest = found.at(-1)?.rootKey === rootKey;
        const isNeeded = found.some(
          ({ checkpointKey, chainKeys }) => checkpointKey === rootKey || chainKeys?.includes(rootKey),
        );
        if (isNeeded || (isNewest && volume !== undefined)) return;
        if ((await this.#pins()).has(rootKey)) return;
        await roots.deleteRoots(volumeId, [rootKey]);
      });
    } catch (error) {
      onProblem(`${rootKey}, which has no name any more, can't be deleted now`, error);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#thinning;
  }

  /**
   * The root that the volume itself stands on: what it has no newer bytes of is read from there, and its next root is
   * made of it. That is not always the newest in the bucket, as the end of an upload may not have been heard of. Undefined
   * where it can't be told now; one that is detached stands on its parent, which is pinned, and one that is gone on none.
   */
  async #baseOf(volume: VolumeRow | undefined): Promise<Base | undefined> {
    if (volume === undefined || volume.attachment === "detached") return {};
    const { recoveryPoint, status } = await this.#options.host.report(volume.id);
    if (recoveryPoint !== undefined) return { rootKey: recoveryPoint.rootKey };
    return status === "IRRECOVERABLE" ? undefined : {};
  }

  /** Takes those of the roots `seen` away that nobody needs: `pinned` was found out after they were seen. */
  async #thinVolume(
    volumeId: VolumeId,
    seen: ReadonlySet<string>,
    pinned: ReadonlySet<string>,
    keepNewest: boolean,
  ): Promise<void> {
    const { catalog, roots } = this.#options;
    const found = await roots.listRoots(volumeId);
    const drop = this.#droppable(found, pinned, keepNewest).filter((rootKey) => seen.has(rootKey));
    if (drop.length === 0) return;
    const base = await this.#baseOf(await catalog.volume(volumeId));
    if (base === undefined) return;
    // Here a root can get a name at any time until the queue was ours; and one whose snapshot is not recorded yet has none.
    const named = await catalog.snapshotRoots(drop);
    const making = new Set(
      (await catalog.pendingSnapshots())
        .filter((row) => row.volume_id === volumeId)
        .map(({ epoch }) => epoch),
    );
    const needed = new Set([
      ...pinned,
      ...named,
      ...found.filter(({ epoch }) => making.has(epoch)).map(({ rootKey }) => rootKey),
      ...(await this.#localPins()),
      ...(base.rootKey === undefined ? [] : [base.rootKey]),
    ]);
    const going = this.#droppable(found, needed, keepNewest).filter((rootKey) => seen.has(rootKey));
    if (going.length > 0) await roots.deleteRoots(volumeId, going);
  }

  /** The roots that the rule does not keep while only those that are pinned are needed. */
  #droppable(found: readonly StoredRoot[], pinned: ReadonlySet<string>, keepNewest: boolean): string[] {
    const { clock, rule } = this.#options;
    const candidates = found.map(({ rootKey, cutAtMs, checkpointKey, chainKeys }) => ({
      rootKey,
      cutAtMs,
      standsOn: [...(checkpointKey === undefined ? [] : [checkpointKey]), ...(chainKeys ?? [])],
    }));
    return rootsToDrop(candidates, rule, pinned, clock.nowMs(), keepNewest);
  }

  /** Roots that have a name, or that a volume stands on: here, and as far as the bucket knows of other gateways. */
  async #pins(): Promise<Set<string>> {
    const { catalog, roots } = this.#options;
    const pins = await catalog.snapshotRoots();
    for (const key of await this.#localPins()) pins.add(key);
    for (const key of await roots.listPins()) pins.add(key);
    return pins;
  }

  /** Roots that volumes and unfinished uploads stand on here. */
  async #localPins(): Promise<Set<string>> {
    const { catalog } = this.#options;
    const rows = [...(await catalog.volumes()), ...(await catalog.started.unended())];
    return new Set(
      rows.flatMap(({ parent_root_key }) => (parent_root_key === null ? [] : [parent_root_key])),
    );
  }
}
