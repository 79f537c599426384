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

export class KnownSnapshots {
  readonly #catalog: Catalog;
  readonly #queue = new SerialQueue();
  readonly #changed = new Set<string>();
  /** By their ids. */
  #known: readonly KnownSnapshot[] | undefined;
  #hasPending = false;

  /** There is one for a catalog: it is told of every change there. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    catalog.watchSnapshots((id) => this.#changed.add(id));
  }

  /** Those that were not deleted, by their ids. */
  all(): Promise<readonly KnownSnapshot[]> {
    return this.#queue.run(() => this.#all());
  }

  /** Whether one of those that were given last is pending. */
  get hasPending(): boolean {
    return this.#hasPending;
  }

  async #all(): Promise<readonly KnownSnapshot[]> {
    if (this.#known !== undefined && this.#changed.size === 0) return this.#known;
    if (this.#known === undefined || this.#changed.size > CHANGES_MAX) await this.#readAll();
    else await this.#readAgain(this.#known);
    const known = this.#known ?? [];
    this.#hasPending = known.some(({ row }) => row.state === "pending");
    return known;
  }

  async #readAll(): Promise<void> {
    // What changes while this is read is read again the next time.
    this.#changed.clear();
    this.#known = undefined;
    const [rows, tags] = await Promise.all([this.#catalog.snapshots(), this.#catalog.tagsOfAll("snap-")]);
    this.#known = [...together(rows, tags).values()];
  }

  async #readAgain(known: readonly KnownSnapshot[]): Promise<void> {
    const ids = [...this.#changed];
    this.#changed.clear();
    try {
      const [rows, tags] = await Promise.all([this.#catalog.snapshotsOf(ids), this.#catalog.tagsOf(ids)]);
      this.#known = merged(known, ids, together(rows, tags));
    } catch (error) {
      for (const id of ids) this.#changed.add(id);
      throw error;
    }
  }
}

/** The list with what has become of these snapshots; a list that was handed out before stays as it was. */
function merged(
  known: readonly KnownSnapshot[],
  ids: readonly string[],
  found: ReadonlyMap<string, KnownSnapshot>,
): KnownSnapshot[] {
  const list = [...known];
  const fresh: KnownSnapshot[] = [];
  const gone = new Set<string>();
  for (const id of ids) {
    const now = found.get(id);
    const at = placeOf(list, id);
    const isThere = list[at]?.row.id === id;
    if (now === undefined) gone.add(id);
    else if (isThere) list[at] = now;
    else fresh.push(now);
  }
  if (fresh.length === 0 && gone.size === 0) return list;
  return list
    .filter(({ row }) => !gone.has(row.id))
    .concat(fresh)
    .sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
}

/** Where the id is in a list by ids, or would be. */
function placeOf(list: readonly KnownSnapshot[], id: string): number {
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
