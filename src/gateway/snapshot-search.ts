/** Finds snapshots for people: by words, newest first or as they like, a page at a time. */
import type { SnapshotView } from "./snapshots.ts";

export const SNAPSHOT_ORDERS = [
  "StartTime",
  "Description",
  "VolumeId",
  "State",
  "VolumeSize",
  "FullSize",
] as const;
export type SnapshotOrder = (typeof SNAPSHOT_ORDERS)[number];

export interface SnapshotSearch {
  /** Each of its words has to be in the description, an id or a tag; small and capital letters are the same. */
  readonly text?: string;
  readonly states?: readonly string[];
  /** In any spelling. */
  readonly volumeId?: string;
  readonly orderBy: SnapshotOrder;
  readonly isAscending: boolean;
  readonly offset: number;
  /** In place of an offset: the page in whose middle this one is, as far as there is a middle. */
  readonly around?: string;
  readonly limit: number;
}

export interface FoundSnapshots {
  /** How many there are on all pages. */
  readonly total: number;
  readonly page: readonly SnapshotView[];
}

const COMPARE: Readonly<Record<SnapshotOrder, (a: SnapshotView, b: SnapshotView) => number>> = {
  StartTime: (a, b) => a.row.started_at - b.row.started_at,
  Description: (a, b) => compareTexts(a.row.description, b.row.description),
  VolumeId: (a, b) => compareTexts(a.row.volume_id, b.row.volume_id),
  State: (a, b) => compareTexts(a.row.state, b.row.state),
  VolumeSize: (a, b) => a.row.volume_size_bytes - b.row.volume_size_bytes,
  FullSize: (a, b) => a.row.full_bytes - b.row.full_bytes,
};

/** The page that was asked for. Equal ones are in order of time, then of id, so that pages never overlap. */
export function searchSnapshots(all: readonly SnapshotView[], search: SnapshotSearch): FoundSnapshots {
  const words = (search.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const volumeId = search.volumeId?.toLowerCase();
  const found = all.filter(
    (view) =>
      (search.states === undefined || search.states.includes(view.row.state)) &&
      (volumeId === undefined || view.row.volume_id === volumeId) &&
      (words.length === 0 || hasWords(view, words)),
  );
  const direction = search.isAscending ? 1 : -1;
  const compare = COMPARE[search.orderBy];
  found.sort(
    (a, b) => direction * (compare(a, b) || COMPARE.StartTime(a, b) || compareTexts(a.row.id, b.row.id)),
  );
  const at = search.around === undefined ? -1 : found.findIndex(({ row }) => row.id === search.around);
  const offset = at < 0 ? search.offset : Math.max(0, at - Math.floor(search.limit / 2));
  return { total: found.length, page: found.slice(offset, offset + search.limit) };
}

function hasWords({ row, tags }: SnapshotView, words: readonly string[]): boolean {
  const text = [row.description, row.id, row.volume_id, ...tags.map(({ key, value }) => `${key}=${value}`)]
    .join("\n")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
