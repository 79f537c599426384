/**
 * Reads a root from one end to the other, for hydration: what lies together in the bucket is fetched together, whole
 * stretches of packs ahead of whoever reads, and goes from there straight to where it is wanted.
 *
 * It works by windows of the volume. Of a window all records are looked up first, and those that lie close together
 * in a pack make a span: one request. A span is fetched when a block of it is wanted, and the next ones with it; it is
 * let go with its last record. Guests do not come this way: theirs are requests of their own, beside these.
 *
 * A record counts when its tag fits, and a block when it has its name (invariant 7). Whatever is not as it should be is
 * left to the Fetcher, which knows what can be done about it, and how to say what cannot.
 */
import { strict as assert } from "node:assert";
import type { ByteLimit } from "../platform/token-bucket.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { applyDelta } from "./delta.ts";
import { baseName, blockName, deltaNames, type Entry, isDelta } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import type { KeyRing, NameDomain } from "./key-ring.ts";
import { type PackReader, RECORD_KIND } from "./pack.ts";
import type { MayFetch, PackSource } from "./pack-source.ts";
import { RecentMap } from "./recent-map.ts";
import type { RootView } from "./roots.ts";
import { type Placed, planSpans, type Span, type Want } from "./spans.ts";
import { VaultError } from "./vault-error.ts";

/** 256 MiB of a volume with blocks of 64 KiB. */
const WINDOW_BLOCKS = 4096;
const WINDOWS_MAX = 8;
/** Requests that are under way beside the one whose records are wanted now. */
const SPANS_AHEAD = 3;
/** Under a limit a request is no longer than this takes: guests wait behind it. */
const SPAN_SECONDS_MAX = 0.5;
const SPAN_BYTES_MIN = 64 * 1024;
/** Blocks between two turns of the event loop: a millisecond of work. */
const BLOCKS_PER_TURN = 16;

export interface BulkLimits {
  /** A request, about. */
  readonly spanBytes: number;
  /** What one reader means to hold at a time: requests are shorter where it would be more. */
  readonly bytesAtOnceMax: number;
  /** What all of them hold at most. */
  readonly heldBytesMax: number;
}

export const BULK_LIMITS: BulkLimits = {
  spanBytes: 8 * 1024 * 1024,
  bytesAtOnceMax: 24 * 1024 * 1024,
  heldBytesMax: 96 * 1024 * 1024,
};

export interface BulkReaderParts {
  readonly fetcher: Fetcher;
  readonly source: PackSource;
  readonly index: ChunkIndex;
  readonly keys: KeyRing;
  readonly packs: PackReader;
  /** Called between pieces of work. */
  readonly pause: () => Promise<void>;
  readonly limits: BulkLimits;
}

/** The line that the bytes come over. */
interface BulkLine {
  readonly mayFetch: MayFetch;
  /** Its limit; undefined where there is none. */
  readonly bytesPerSecond: number | undefined;
}

/** What blocks [first, first + entries.length) of a root are made of, and where that is. */
interface Window {
  readonly first: number;
  readonly entries: readonly (Entry | undefined)[];
  readonly records: ReadonlyMap<string, Placed>;
  readonly firstSpan: Span | undefined;
}

/** Something that the Fetcher has to look at. */
class NotAsPlanned extends Error {
  override readonly name = "NotAsPlanned";
}

/** More spans were wanted at a time than may be held: nothing is wrong with the plan. */
class CrowdedOut extends NotAsPlanned {}

export class BulkReader {
  readonly #parts: BulkReaderParts;
  readonly #windows = new RecentMap<Promise<Window>>(WINDOWS_MAX);
  /** Spans that hold bytes, by no more than their order of arrival: what is too much is fetched again. */
  readonly #held = new Map<Span, number>();
  #heldBytes = 0;

  constructor(parts: BulkReaderParts) {
    this.#parts = parts;
  }

  /**
   * The content of blocks [first, first + count) of the root, one after the other, verified; beyond its size there are
   * zeros. Where it rejects, with a VaultError, what is in `into` means nothing.
   */
  async readInto(
    view: RootView,
    first: number,
    count: number,
    into: Buffer,
    download: ByteLimit | undefined,
  ): Promise<void> {
    const { sizeBytes, blockBytes } = view.root;
    assert(first >= 0 && into.length === count * blockBytes);
    const inside = Math.max(0, Math.min(count, sizeBytes / blockBytes - first));
    const mayFetch = async (bytes: number) => download?.take(bytes, { isBackground: true });
    const line = { mayFetch, bytesPerSecond: download?.rate };
    await this.#read(view, first, inside, into, line);
    into.fill(0, inside * blockBytes);
  }

  async #read(view: RootView, first: number, count: number, into: Buffer, line: BulkLine): Promise<void> {
    const { blockBytes } = view.root;
    for (let at = first; at < first + count; ) {
      const window = at - (at % WINDOW_BLOCKS);
      const end = Math.min(first + count, window + WINDOW_BLOCKS);
      const part = into.subarray((at - first) * blockBytes, (end - first) * blockBytes);
      try {
        await this.#readPart(view, await this.#window(view, window, line), at, end, part, line);
      } catch (error) {
        // The bucket is away for a moment: what was brought before is still of use to who tries again.
        if (error instanceof VaultError && error.kind === "unavailable") throw error;
        if (!(error instanceof CrowdedOut)) this.#windows.delete(keyOf(view, window));
        if (!(error instanceof NotAsPlanned) && !isForFetcher(error)) throw error;
        const content = await this.#parts.fetcher.blocks(view, at, end - at, line.mayFetch);
        content.copy(part);
      }
      at = end;
    }
  }

  async #readPart(
    view: RootView,
    window: Window,
    first: number,
    end: number,
    into: Buffer,
    line: BulkLine,
  ): Promise<void> {
    const { blockBytes } = view.root;
    for (let block = first; block < end; block++) {
      const entry = window.entries[block - window.first];
      const target = into.subarray((block - first) * blockBytes, (block - first + 1) * blockBytes);
      // Shared memory is filled byte by byte, and copied to as a whole.
      if (entry === undefined) zerosOf(blockBytes).copy(target);
      else await this.#readBlock(view, window, entry, target, line);
      if ((block - first) % BLOCKS_PER_TURN === BLOCKS_PER_TURN - 1) await this.#parts.pause();
    }
  }

  async #readBlock(
    view: RootView,
    window: Window,
    entry: Entry,
    target: Buffer,
    line: BulkLine,
  ): Promise<void> {
    const { keys, packs } = this.#parts;
    const base = await this.#sealed(view, window, baseName(entry), line);
    if (base.location.plainBytes !== target.length) throw new NotAsPlanned("a chunk of another size");
    packs.openInto(base.location, baseName(entry), base.sealed, target);
    for (const name of deltaNames(entry)) {
      const delta = await this.#sealed(view, window, name, line);
      const plain = packs.openRecord(delta.location, name, delta.sealed);
      if (!keys.nameOf("delta", plain).equals(name)) throw new NotAsPlanned("a delta of another name");
      applyDelta(target, plain);
    }
    if (!keys.nameOf("block", target).equals(blockName(entry)))
      throw new NotAsPlanned("a block of another name");
  }

  /** A record as it is in the bucket. */
  async #sealed(view: RootView, window: Window, name: Buffer, line: BulkLine) {
    const placed = window.records.get(name.toString("latin1"));
    if (placed === undefined) throw new NotAsPlanned("a record that is nowhere");
    const { location, span } = placed;
    // Fetched again for one record after the other, it would cost many times its bytes.
    if (span.isCrowdedOut && span.bytes === undefined) throw new CrowdedOut("too much at a time");
    const bytes = await this.#bytesOf(span, line);
    span.uses -= 1;
    if (span.uses === 0) {
      this.#letGo(span);
      // For whoever comes again all the same: another volume that is made of the same root.
      span.uses = span.usesInAll;
      span.isRead = true;
    }
    this.#lookAhead(view, window, span, line);
    const from = location.offsetBytes - span.startBytes;
    return { location, sealed: bytes.subarray(from, from + location.storedBytes) };
  }

  #bytesOf(span: Span, line: BulkLine): Promise<Buffer> {
    span.bytes ??= this.#fetch(span, line);
    return span.bytes;
  }

  async #fetch(span: Span, line: BulkLine): Promise<Buffer> {
    const lengthBytes = span.endBytes - span.startBytes;
    this.#held.set(span, lengthBytes);
    this.#heldBytes += lengthBytes;
    for (const oldest of this.#held.keys()) {
      if (this.#heldBytes <= this.#parts.limits.heldBytesMax || oldest === span) break;
      oldest.isCrowdedOut = true;
      this.#letGo(oldest);
    }
    const range = { offsetBytes: span.startBytes, lengthBytes };
    try {
      return (await this.#parts.source.readExactly(span.packId, range, line.mayFetch)).bytes;
    } catch (error) {
      this.#letGo(span);
      throw error;
    }
  }

  #letGo(span: Span): void {
    span.bytes = undefined;
    this.#heldBytes -= this.#held.get(span) ?? 0;
    this.#held.delete(span);
  }

  /** Fetches what comes after `span`: a bucket far away gives more to several who ask than to one. */
  #lookAhead(view: RootView, window: Window, span: Span, line: BulkLine): void {
    let next = span.next;
    for (let ahead = 0; ahead < SPANS_AHEAD; ahead++) {
      if (next === undefined) {
        this.#prefetchAfter(view, window, line);
        return;
      }
      this.#prefetch(next, line);
      next = next.next;
    }
  }

  #prefetch(span: Span, line: BulkLine): void {
    if (span.bytes !== undefined || span.isRead || span.isCrowdedOut) return;
    // Whoever needs it asks again, and hears of it.
    this.#bytesOf(span, line).catch(() => {});
  }

  /** The window behind this one, where the root has any, and the beginning of it. */
  #prefetchAfter(view: RootView, { first }: Window, line: BulkLine): void {
    const next = first + WINDOW_BLOCKS;
    if (next >= view.root.sizeBytes / view.root.blockBytes) return;
    this.#window(view, next, line).then(
      ({ firstSpan }) => firstSpan !== undefined && this.#prefetch(firstSpan, line),
      // The same.
      () => {},
    );
  }

  #window(view: RootView, first: number, line: BulkLine): Promise<Window> {
    const key = keyOf(view, first);
    let window = this.#windows.get(key);
    if (window === undefined) {
      this.#leave(keyOf(view, first - 2 * WINDOW_BLOCKS));
      window = this.#plan(view, first, line);
      window.catch(() => this.#windows.delete(key));
      this.#windows.set(key, window);
    }
    return window;
  }

  /** The reader is far beyond that window: what it did not want after all is let go. */
  #leave(key: string): void {
    const left = this.#windows.get(key);
    this.#windows.delete(key);
    left?.then(
      ({ firstSpan }) => {
        for (let span = firstSpan; span !== undefined; span = span.next) this.#letGo(span);
      },
      // It came to nothing, and held nothing.
      () => {},
    );
  }

  async #plan(view: RootView, first: number, line: BulkLine): Promise<Window> {
    const blockCount = view.root.sizeBytes / view.root.blockBytes;
    const count = Math.max(0, Math.min(WINDOW_BLOCKS, blockCount - first));
    const entries = await this.#parts.fetcher.entries(view, first, count);
    /** By name: how often, and where. In the order in which they are wanted. */
    const wanted = new Map<string, Want>();
    let order = 0;
    const add = (name: Buffer, domain: NameDomain) => {
      const key = name.toString("latin1");
      const known = wanted.get(key);
      if (known !== undefined) {
        known.uses += 1;
        known.lastOrder = order++;
        return;
      }
      const location = this.#parts.index.find(name);
      // What is nowhere, or something else, is found out about when it is wanted.
      if (location?.kind !== RECORD_KIND[domain]) return;
      wanted.set(key, { location, uses: 1, order, lastOrder: order });
      order += 1;
    };
    for (const [i, entry] of entries.entries()) {
      if (i % WINDOW_BLOCKS_PER_TURN === WINDOW_BLOCKS_PER_TURN - 1) await this.#parts.pause();
      if (entry === undefined) continue;
      add(baseName(entry), "block");
      if (isDelta(entry)) for (const name of deltaNames(entry)) add(name, "delta");
    }
    const { bytesAtOnceMax } = this.#parts.limits;
    const spanBytes = this.#spanBytes(line);
    const { records, ordered } = planSpans(wanted, {
      spanBytes,
      spanBytesMin: SPAN_BYTES_MIN,
      bytesAtOnceMax,
    });
    return { first, entries, records, firstSpan: ordered[0] };
  }

  #spanBytes({ bytesPerSecond }: BulkLine): number {
    const { spanBytes } = this.#parts.limits;
    if (bytesPerSecond === undefined) return spanBytes;
    return Math.min(spanBytes, Math.max(SPAN_BYTES_MIN, bytesPerSecond * SPAN_SECONDS_MAX));
  }
}

/** Entries looked up between two turns. */
const WINDOW_BLOCKS_PER_TURN = 256;

let zeros = Buffer.alloc(0);

function zerosOf(lengthBytes: number): Buffer {
  if (zeros.length !== lengthBytes) zeros = Buffer.alloc(lengthBytes);
  return zeros;
}

function keyOf(view: RootView, first: number): string {
  return `${view.rootKey} ${first}`;
}

/** A pack that is gone or cut short, a record that fails its tag: the Fetcher asks for each on its own. */
function isForFetcher(error: unknown): boolean {
  return error instanceof VaultError && (error.kind === "notFound" || error.kind === "corrupt");
}
