/** All snapshots with their tags, kept at hand: of what has changed since the last look, only that is read again. */
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { SnapshotRow, TagRow } from "../catalog/schema.ts";
import { SerialQueue } from "../platform/serial-queue.ts";

export interface KnownSnapshot {
  readonly row: SnapshotRow;
  readonly tags: readonly Tag[];
  /** Of one that is pending nothing is known here of that. */
  readonly progressPercent: number;
}

/** Where more than this has changed, everything is read again. */
const CHANGES_MAX = 500;

/** Of the completed ones. */
export interface CompletedFigures {
  readonly count: number;
  /** What all of them would take, each by itself. */
  readonly fullBytes: number;
}

/** All of them at one moment. A list that was handed out stays as it was. */
export interface SnapshotList {
  /** By their ids. */
  readonly all: readonly KnownSnapshot[];
  /** Those that are pending. */
  readonly pending: ReadonlySet<string>;
}

export class KnownSnapshots {
  readonly #catalog: Catalog;
  readonly #queue = new SerialQueue();
  readonly #changed = new Set<string>();
  #known: KnownSnapshot[] | undefined;
  /** The ids of each volume's. */
  readonly #ofVolume = new Map<string, Set<string>>();
  #pending = new Set<string>();
  #completed = { count: 0, fullBytes: 0 };

  /** There is one for a catalog: it is told of every change there. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    catalog.watchSnapshots((id) => this.#changed.add(id));
  }

  /** Those that were not deleted. */
  list(): Promise<SnapshotList> {
    return this.#queue.run(async () => ({ all: await this.#fresh(), pending: new Set(this.#pending) }));
  }

  /** How many are completed, counted as they come and go. */
  completed(): Promise<CompletedFigures> {
    return this.#queue.run(async () => {
      await this.#fresh();
      return { ...this.#completed };
    });
  }

  /** Those of the ids that are there, in the order of the ids. */
  of(ids: readonly string[]): Promise<KnownSnapshot[]> {
    return this.#queue.run(async () => named(await this.#fresh(), ids));
  }

  /** Those that were cut of the volumes, or made of such ones, by their ids. */
  ofVolumes(volumeIds: readonly string[]): Promise<KnownSnapshot[]> {
    return this.#queue.run(async () => {
      const all = await this.#fresh();
      const ids = new Set(volumeIds.flatMap((volumeId) => [...(this.#ofVolume.get(volumeId) ?? [])]));
      return named(all, [...ids].sort());
    });
  }

  async #fresh(): Promise<readonly KnownSnapshot[]> {
    if (this.#known !== undefined && this.#changed.size === 0) return this.#known;
    if (this.#known === undefined || this.#changed.size > CHANGES_MAX) return this.#readAll();
    return this.#readAgain(this.#known);
  }

  async #readAll(): Promise<readonly KnownSnapshot[]> {
    // What changes while this is read is read again the next time.
    this.#changed.clear();
    this.#known = undefined;
    const [rows, tags] = await Promise.all([this.#catalog.snapshots(), this.#catalog.tags.ofAll("snap-")]);
    this.#ofVolume.clear();
    this.#pending = new Set();
    this.#completed = { count: 0, fullBytes: 0 };
    const known = [...together(rows, tags).values()];
    for (const each of known) this.#enter(each);
    this.#known = known;
    return known;
  }

  async #readAgain(known: readonly KnownSnapshot[]): Promise<readonly KnownSnapshot[]> {
    const ids = [...this.#changed];
    this.#changed.clear();
    try {
      const [rows, tags] = await Promise.all([
        this.#catalog.snapshotsOf(ids),
        this.#catalog.tags.ofMany(ids),
      ]);
      this.#known = this.#merged(known, ids, together(rows, tags));
      return this.#known;
    } catch (error) {
      for (const id of ids) this.#changed.add(id);
      throw error;
    }
  }

  /** A new list with what has become of these snapshots. */
  #merged(
    known: readonly KnownSnapshot[],
    ids: readonly string[],
    found: ReadonlyMap<string, KnownSnapshot>,
  ): KnownSnapshot[] {
    const list = [...known];
    for (const id of ids) {
      const now = found.get(id);
      const at = placeOf(list, id);
      const before = list[at]?.row.id === id ? list[at] : undefined;
      if (before !== undefined) this.#leave(before);
      if (now !== undefined) this.#enter(now);
      if (now !== undefined) list.splice(at, before === undefined ? 0 : 1, now);
      else if (before !== undefined) list.splice(at, 1);
    }
    return list;
  }

  #enter({ row }: KnownSnapshot): void {
    const ids = this.#ofVolume.get(row.volume_id) ?? new Set();
    this.#ofVolume.set(row.volume_id, ids.add(row.id));
    if (row.state === "pending") this.#pending.add(row.id);
    if (row.state === "completed") this.#countCompleted(row, 1);
  }

  #leave({ row }: KnownSnapshot): void {
    const ids = this.#ofVolume.get(row.volume_id);
    ids?.delete(row.id);
    if (ids?.size === 0) this.#ofVolume.delete(row.volume_id);
    this.#pending.delete(row.id);
    if (row.state === "completed") this.#countCompleted(row, -1);
  }

  #countCompleted({ full_bytes }: SnapshotRow, sign: 1 | -1): void {
    this.#completed.count += sign;
    this.#completed.fullBytes += sign * full_bytes;
  }
}

function named(all: readonly KnownSnapshot[], ids: readonly string[]): KnownSnapshot[] {
  return ids.flatMap((id) => {
    const each = all[placeOf(all, id)];
    return each?.row.id === id ? [each] : [];
  });
}

/** Where the id is in a list by ids, or would be. */
export function placeOf(list: readonly KnownSnapshot[], id: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle]?.row.id ?? "") < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function together(rows: readonly SnapshotRow[], tagRows: readonly TagRow[]): Map<string, KnownSnapshot> {
  const tags = new Map<string, Tag[]>();
  for (const { resource_id, key, value } of tagRows) {
    const list = tags.get(resource_id) ?? [];
    list.push({ key, value });
    tags.set(resource_id, list);
  }
  return new Map(
    rows.map((row) => {
      const progressPercent = row.state === "completed" ? 100 : 0;
      return [row.id, { row: ordinary(row), tags: tags.get(row.id) ?? [], progressPercent }];
    }),
  );
}

/** The row as an object as others are: those that come from SQLite are dictionaries, and ten times as slow to look into. */
function ordinary(row: SnapshotRow): SnapshotRow {
  return {
    id: row.id,
    volume_id: row.volume_id,
    volume_arn: row.volume_arn,
    epoch: row.epoch,
    state: row.state,
    reason: row.reason,
    description: row.description,
    volume_size_bytes: row.volume_size_bytes,
    started_at: row.started_at,
    completed_at: row.completed_at,
    root_key: row.root_key,
    full_bytes: row.full_bytes,
    deleted: row.deleted,
    origin: row.origin,
    lineage_id: row.lineage_id,
    lock_mode: row.lock_mode,
    lock_days: row.lock_days,
    locked_at: row.locked_at,
    lock_until: row.lock_until,
    cool_off_until: row.cool_off_until,
    shared_with: row.shared_with,
    policy_id: row.policy_id,
    policy_schedule: row.policy_schedule,
    schedule_run: row.schedule_run,
  };
}
