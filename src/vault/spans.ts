/**
 * Which stretches of packs a reader of a window fetches: records that lie close together make a span, which is one
 * request. Pure.
 */
import type { RecordLocation } from "./pack.ts";

/** What a request may fetch in vain between two records. */
const GAP_BYTES_MAX = 128 * 1024;

/** Neighbours in one pack, fetched by one request. */
export interface Span {
  readonly packId: string;
  readonly startBytes: number;
  endBytes: number;
  /** Uses of its records: all of them, and those that are still to come. */
  usesInAll: number;
  uses: number;
  /** All were there: nobody is likely to come back. */
  isRead: boolean;
  /** It had to make room for others before all of it was used: what is left of it is read in another way. */
  isCrowdedOut: boolean;
  bytes: Promise<Buffer> | undefined;
  /** The one whose blocks come after those of this one. */
  next: Span | undefined;
}

/** A record that is wanted: where it is, how often, and as the how manieth: the first time, and the last. */
export interface Want {
  readonly location: RecordLocation;
  uses: number;
  readonly order: number;
  lastOrder: number;
}

export interface Placed {
  readonly location: RecordLocation;
  readonly span: Span;
}

export interface SpanPlan {
  /** By name. */
  readonly records: ReadonlyMap<string, Placed>;
  /** In the order in which they are needed. */
  readonly ordered: readonly Span[];
}

/** How long a span is, about; shorter, down to the least, where more than `bytesAtOnceMax` would be held at a time. */
export interface SpanSizes {
  readonly spanBytes: number;
  readonly spanBytesMin: number;
  readonly bytesAtOnceMax: number;
}

type Named = readonly [name: string, want: Want];

/**
 * Puts what lies close together into spans. Where the order in which it is wanted goes to and fro between many places, as
 * in a volume that is made of many snapshots, spans are shorter: all of them are held until their last record is used.
 */
export function planSpans(wanted: ReadonlyMap<string, Want>, sizes: SpanSizes): SpanPlan {
  const byPlace = [...wanted].sort(
    ([, { location: a }], [, { location: b }]) =>
      a.packId.localeCompare(b.packId) || a.offsetBytes - b.offsetBytes,
  );
  const groups = neighbours(byPlace);
  for (let { spanBytes } = sizes; ; spanBytes /= 2) {
    const { plan, usedBetween } = cut(groups, spanBytes);
    if (spanBytes / 2 < sizes.spanBytesMin || heldAtOnce(usedBetween) <= sizes.bytesAtOnceMax) return plan;
  }
}

type Between = Map<Span, { from: number; to: number }>;

function cut(groups: readonly Named[][], spanBytes: number): { plan: SpanPlan; usedBetween: Between } {
  const records = new Map<string, Placed>();
  const usedBetween: Between = new Map();
  for (const group of groups) {
    const [from, to] = [startOf(group[0]), endOf(group.at(-1))];
    // Of about the same size: a short one at the end of each pack would double the requests.
    const partBytes = (to - from) / Math.max(1, Math.round((to - from) / spanBytes));
    let span: Span | undefined;
    for (const [name, { location, uses, order, lastOrder }] of group) {
      const { packId, offsetBytes, storedBytes } = location;
      if (span === undefined || offsetBytes - span.startBytes >= partBytes) {
        const place = { packId, startBytes: offsetBytes, endBytes: offsetBytes };
        const unread = { isRead: false, isCrowdedOut: false, bytes: undefined, next: undefined };
        span = { ...place, usesInAll: 0, uses: 0, ...unread };
      }
      span.endBytes = Math.max(span.endBytes, offsetBytes + storedBytes);
      span.usesInAll += uses;
      span.uses += uses;
      records.set(name, { location, span });
      const used = usedBetween.get(span);
      if (used === undefined) usedBetween.set(span, { from: order, to: lastOrder });
      else {
        used.from = Math.min(used.from, order);
        used.to = Math.max(used.to, lastOrder);
      }
    }
  }
  const ordered = [...usedBetween].sort(([, a], [, b]) => a.from - b.from).map(([each]) => each);
  for (const [i, each] of ordered.entries()) each.next = ordered[i + 1];
  return { plan: { records, ordered }, usedBetween };
}

/** The most bytes that are held at a time, where each span is from its first record's use to its last one's. */
function heldAtOnce(usedBetween: Between): number {
  const changes: [order: number, bytes: number][] = [];
  for (const [span, { from, to }] of usedBetween) {
    const bytes = span.endBytes - span.startBytes;
    changes.push([from, bytes], [to + 1, -bytes]);
  }
  changes.sort(([a, x], [b, y]) => a - b || x - y);
  let [held, most] = [0, 0];
  for (const [, bytes] of changes) {
    held += bytes;
    most = Math.max(most, held);
  }
  return most;
}

/** What lies in one pack with no more than a gap between. */
function neighbours(byPlace: readonly Named[]): Named[][] {
  const groups: Named[][] = [];
  for (const one of byPlace) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    const isNear =
      last?.[1].location.packId === one[1].location.packId && startOf(one) - endOf(last) <= GAP_BYTES_MAX;
    if (group !== undefined && isNear) group.push(one);
    else groups.push([one]);
  }
  return groups;
}

function startOf(one: Named | undefined): number {
  return one?.[1].location.offsetBytes ?? 0;
}

function endOf(one: Named | undefined): number {
  return startOf(one) + (one?.[1].location.storedBytes ?? 0);
}
