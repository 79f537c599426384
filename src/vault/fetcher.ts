/**
 * Reads records, pages and blocks from the bucket: verified against tag and name, runs of neighbours in one request,
 * one request for one record at a time.
 */
import type { ChunkIndex } from "./chunk-index.ts";
import { applyDelta } from "./delta.ts";
import { baseName, blockName, deltaNames, type Entry, isDelta } from "./entry.ts";
import type { KeyRing, NameDomain } from "./key-ring.ts";
import { type PackReader, RECORD_KIND, type RecordLocation } from "./pack.ts";
import { type MayFetch, MissingPack, NO_LIMIT, type PackSource, ShortPack } from "./pack-source.ts";
import { FAN_OUT, Page } from "./page.ts";
import { RecentMap } from "./recent-map.ts";
import type { Checkpoint } from "./root.ts";
import type { RootView } from "./roots.ts";
import { VaultError } from "./vault-error.ts";

/** Pages and blocks that are kept. */
const PAGE_BYTES_MAX = 24 * 1024 * 1024;
const BLOCKS_MAX = 256;
/** Records closer than this are fetched together, the gap with them. */
const GAP_BYTES_MAX = 32 * 1024;
const RUN_BYTES_MAX = 4 * 1024 * 1024;

/** A record, or why it can't be had: one that is rotten must not take its neighbours with it. */
type Fetched = Buffer | VaultError;

/** A record that is wanted, by its name. */
interface Named {
  readonly name: Buffer;
  readonly domain: NameDomain;
}

interface Wanted extends Named {
  readonly location: RecordLocation;
}

export class Fetcher {
  readonly #index: ChunkIndex;
  readonly #keys: KeyRing;
  readonly #packs: PackReader;
  readonly #pages = new RecentMap<Page>(PAGE_BYTES_MAX, (page) => page.memoryBytes);
  readonly #blocks = new RecentMap<Buffer>(BLOCKS_MAX);
  readonly #inFlight = new Map<string, Promise<Fetched>>();
  readonly #source: PackSource;
  readonly #refreshIndex: (isUrgent?: boolean) => Promise<void>;

  /** `refreshIndex` enters into the index what is in the bucket and not known here yet; when urgent, in any case. */
  constructor(
    source: PackSource,
    index: ChunkIndex,
    keys: KeyRing,
    packs: PackReader,
    refreshIndex: (isUrgent?: boolean) => Promise<void>,
  ) {
    this.#refreshIndex = refreshIndex;
    this.#source = source;
    this.#index = index;
    this.#keys = keys;
    this.#packs = packs;
  }

  /** The page of that name. It is shared: copy it before changing it. */
  async page(name: Buffer, level: number): Promise<Page> {
    const key = name.toString("latin1");
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    return this.#keepPage(name, await this.#record(name, "page"), level);
  }

  /** The blocks' entries, undefined for zero blocks. */
  async entries(
    { checkpoint, overlay }: RootView,
    first: number,
    count: number,
  ): Promise<(Entry | undefined)[]> {
    const entries: (Entry | undefined)[] = [];
    let changed = overlay.indexFrom(first);
    for (let block = first; block < first + count; ) {
      const end = Math.min(first + count, block - (block % FAN_OUT) + FAN_OUT);
      // A page is not fetched for blocks that have all changed since.
      const isCovered = overlay.indexFrom(end) - changed === end - block;
      const leaf = isCovered ? undefined : await this.leaf(checkpoint, block);
      for (; block < end; block++) {
        const hasChanged = overlay.blockAt(changed) === block;
        entries.push(hasChanged ? overlay.entryAt(changed) : leaf?.entry(block % FAN_OUT));
        if (hasChanged) changed += 1;
      }
    }
    return entries;
  }

  /** Pages of one level, fetched together: by their places in `names`. */
  async pages(names: readonly Buffer[], level: number): Promise<Page[]> {
    const unknown = names.filter((name) => this.#pages.get(keyOf(name)) === undefined);
    const found = await this.#fetchAll(unknown.map((name) => ({ name, domain: "page" })));
    for (const name of unknown) {
      const record = found.get(keyOf(name));
      if (record === undefined) throw new VaultError("notFound", `no record ${name.toString("hex")}`);
      if (record instanceof VaultError) throw record;
      this.#keepPage(name, record, level);
    }
    // By name, in case the pages of the first have pushed each other out.
    return Promise.all(names.map((name) => this.page(name, level)));
  }

  #keepPage(name: Buffer, record: Buffer, level: number): Page {
    const page = Page.decode(record);
    if (page.level !== level)
      throw new VaultError("corrupt", `a page of level ${page.level} where ${level} was due`);
    this.keepPage(name, page);
    return page;
  }

  /** A page that has that name: it need not be fetched when it is wanted. It must not be changed any more. */
  keepPage(name: Buffer, page: Page): void {
    this.#pages.set(keyOf(name), page);
  }

  /** Enters into the index what is in the bucket and not known here yet. */
  refresh(): Promise<void> {
    return this.#refreshIndex(true);
  }

  /** The plain bytes of records, verified; `undefined` for one that is nowhere, or why it can't be had. */
  async records(
    records: readonly { readonly name: Buffer; readonly domain: NameDomain }[],
  ): Promise<(Buffer | VaultError | undefined)[]> {
    const found = await this.#fetchAll(records);
    return records.map(({ name }) => found.get(keyOf(name)));
  }

  /** The level-0 page that holds the block's entry; undefined where all of its blocks are zero. */
  async leaf(root: Checkpoint, block: number): Promise<Page | undefined> {
    let name: Buffer | undefined = root.top === null ? undefined : Buffer.from(root.top, "hex");
    for (let level = root.levels - 1; level >= 0; level--) {
      if (name === undefined) return undefined;
      const page = await this.page(name, level);
      if (level === 0) return page;
      name = page.name(Math.floor(block / FAN_OUT ** level) % FAN_OUT);
    }
    return undefined;
  }

  /** The blocks' content, one after the other. */
  async blocks(view: RootView, first: number, count: number, mayFetch: MayFetch = NO_LIMIT): Promise<Buffer> {
    const { root } = view;
    const content = Buffer.alloc(count * root.blockBytes);
    const entries = await this.entries(view, first, count);
    const found = await this.#fetchAll(this.#recordsOf(entries), mayFetch);
    for (const [i, entry] of entries.entries()) {
      if (entry === undefined) continue;
      const block = this.#compose(entry, found);
      const where = `block ${first + i} of ${root.volumeId}`;
      if (block === undefined) throw new VaultError("notFound", `${where} was not found`);
      if (block instanceof VaultError) {
        throw new VaultError(block.kind, `${where}: ${block.message}`, { cause: block });
      }
      if (block.length !== root.blockBytes) throw new VaultError("corrupt", `${where} has the wrong size`);
      block.copy(content, i * root.blockBytes);
    }
    return content;
  }

  /** Puts the blocks together; answers for each why that can't be done, or undefined. */
  async compose(entries: readonly Entry[]): Promise<(VaultError | undefined)[]> {
    const found = await this.#fetchAll(this.#recordsOf(entries));
    return entries.map((entry) => {
      const block = this.#compose(entry, found);
      if (block === undefined) return new VaultError("notFound", "a record of a block was not found");
      return block instanceof VaultError ? block : undefined;
    });
  }

  /** The records that the blocks are made of, once each. */
  #recordsOf(entries: readonly (Entry | undefined)[]): Named[] {
    const records = new Map<string, Named>();
    const add = (name: Buffer, domain: NameDomain) => records.set(keyOf(name), { name, domain });
    for (const entry of entries) {
      if (entry === undefined) continue;
      // A block that was made of its records before needs none of them.
      const isKnown = isDelta(entry) && this.#blocks.get(keyOf(blockName(entry))) !== undefined;
      add(isKnown ? blockName(entry) : baseName(entry), "block");
      if (!isKnown) for (const delta of deltaNames(entry)) add(delta, "delta");
    }
    return [...records.values()];
  }

  /** The block that the entry names, or why it can't be had; undefined where a record is nowhere. */
  #compose(entry: Entry, found: ReadonlyMap<string, Fetched>): Fetched | undefined {
    const whole = found.get(keyOf(blockName(entry)));
    if (whole !== undefined) return whole;
    const base = found.get(keyOf(baseName(entry)));
    if (!isDelta(entry) || !(base instanceof Buffer)) return base;
    const block = Buffer.from(base);
    for (const name of deltaNames(entry)) {
      const delta = found.get(keyOf(name));
      if (!(delta instanceof Buffer)) return delta;
      applyDelta(block, delta);
    }
    // Invariant 7, for the whole of it: each record may be what it is named, and still not belong here.
    if (!this.#keys.nameOf("block", block).equals(blockName(entry))) {
      for (const name of deltaNames(entry)) this.#suspectDelta(name);
      return new VaultError("corrupt", "a chunk and its deltas don't make what they are named");
    }
    this.#blocks.set(keyOf(blockName(entry)), block);
    return block;
  }

  /** Nothing is to be built on it any more. */
  #suspectDelta(name: Buffer): void {
    const location = this.#index.find(name);
    if (location !== undefined) this.#index.suspect(name, location.packId);
  }

  async #record(name: Buffer, domain: NameDomain): Promise<Buffer> {
    const record = (await this.#fetchAll([{ name, domain }])).get(keyOf(name));
    if (record === undefined) throw new VaultError("notFound", `no record ${name.toString("hex")}`);
    if (record instanceof VaultError) throw record;
    return record;
  }

  /** Fetches records, in runs; answers them by name. One that is nowhere is left out. */
  async #fetchAll(records: readonly Named[], mayFetch = NO_LIMIT): Promise<Map<string, Fetched>> {
    try {
      return await this.#fetchKnown(records, mayFetch);
    } catch (error) {
      if (!(error instanceof MissingPack)) throw error;
      // It was collected, and what was alive in it is elsewhere now; or it is lost, and is told again below.
      this.#index.dropPacks([error.packId]);
      await this.#refreshIndex(true);
      return this.#fetchKnown(records, mayFetch);
    }
  }

  /** Where the records are. What the index does not know may have been written by somebody else, or forgotten. */
  async #locateAll(records: readonly Named[]): Promise<Wanted[]> {
    const locate = () => records.map((record) => ({ ...record, location: this.#index.find(record.name) }));
    let found = locate();
    if (found.some(({ location }) => location === undefined)) {
      await this.#refreshIndex();
      found = locate();
    }
    return found.flatMap(({ name, domain, location }) => {
      if (location === undefined) return [];
      if (location.kind === RECORD_KIND[domain]) return [{ name, domain, location }];
      throw new VaultError("corrupt", `${name.toString("hex")} is not a ${domain}`);
    });
  }

  async #fetchKnown(records: readonly Named[], mayFetch: MayFetch): Promise<Map<string, Fetched>> {
    const found = new Map<string, Fetched>();
    const waiting: Promise<unknown>[] = [];
    const missing: Named[] = [];
    for (const record of records) {
      const key = keyOf(record.name);
      const known = this.#blocks.get(key);
      const running = this.#inFlight.get(key);
      if (known !== undefined) found.set(key, known);
      else if (running !== undefined) waiting.push(running.then((record) => found.set(key, record)));
      else missing.push(record);
    }
    for (const run of runsOf(missing.length === 0 ? [] : await this.#locateAll(missing))) {
      const fetch = this.#fetchRun(run, mayFetch);
      for (const { name } of run) {
        const key = keyOf(name);
        const record = fetch.then((records) => records.get(key) ?? new VaultError("notFound", "no record"));
        this.#inFlight.set(key, record);
        waiting.push(record.then((value) => found.set(key, value)).finally(() => this.#inFlight.delete(key)));
      }
    }
    // All are waited for, so that none is left to fail with nobody listening.
    const results = await Promise.allSettled(waiting);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    return found;
  }

  async #fetchRun(run: readonly Wanted[], mayFetch: MayFetch): Promise<Map<string, Fetched>> {
    try {
      return await this.#fetchWhole(run, mayFetch);
    } catch (error) {
      if (!(error instanceof ShortPack)) throw error;
      // What is before the end of a pack that was cut short can be had, one by one.
      const records = new Map<string, Fetched>();
      for (const wanted of run) {
        if (run.length === 1) records.set(keyOf(wanted.name), error);
        else for (const [key, record] of await this.#fetchRun([wanted], mayFetch)) records.set(key, record);
      }
      return records;
    }
  }

  async #fetchWhole(run: readonly Wanted[], mayFetch: MayFetch): Promise<Map<string, Fetched>> {
    const packId = run[0]?.location.packId ?? "";
    const lengthBytes = bytesOf(run);
    const range = { offsetBytes: run[0]?.location.offsetBytes ?? 0, lengthBytes };
    const { startBytes, bytes } = await this.#source.read(packId, range, mayFetch);
    const records = new Map<string, Fetched>();
    for (const wanted of run) {
      const { name, domain, location } = wanted;
      const from = location.offsetBytes - startBytes;
      const record = this.#open(wanted, bytes.subarray(from, from + location.storedBytes));
      records.set(keyOf(name), record);
      if (record instanceof VaultError) {
        this.#index.suspect(name, location.packId);
        this.#source.forget(packId, location.offsetBytes);
      }
      if (domain === "block" && record instanceof Buffer) this.#blocks.set(keyOf(name), record);
    }
    return records;
  }

  #open({ name, domain, location }: Wanted, sealed: Buffer): Fetched {
    try {
      const plain = this.#packs.openRecord(location, name, sealed);
      // Invariant 7: bytes that do not have their name are an error, never data.
      if (this.#keys.nameOf(domain, plain).equals(name)) return plain;
      const where = `record ${location.number} of pack ${location.packId}`;
      return new VaultError("corrupt", `${where} is not what it is named`);
    } catch (error) {
      if (error instanceof VaultError) return error;
      throw error;
    }
  }
}

/** From the beginning of a run's first record to the end of its last. */
function bytesOf(run: readonly Wanted[]): number {
  const last = run[run.length - 1]?.location;
  return (last?.offsetBytes ?? 0) + (last?.storedBytes ?? 0) - (run[0]?.location.offsetBytes ?? 0);
}

function keyOf(name: Buffer): string {
  return name.toString("latin1");
}

/** Groups what lies close together in one pack. */
function runsOf(wanted: readonly Wanted[]): Wanted[][] {
  const sorted = [...wanted].sort(
    (a, b) =>
      a.location.packId.localeCompare(b.location.packId) || a.location.offsetBytes - b.location.offsetBytes,
  );
  const runs: Wanted[][] = [];
  let run: Wanted[] = [];
  let runStart = 0;
  let runEnd = 0;
  for (const one of sorted) {
    const { packId, offsetBytes, storedBytes } = one.location;
    const joins =
      run[0]?.location.packId === packId &&
      offsetBytes - runEnd <= GAP_BYTES_MAX &&
      offsetBytes + storedBytes - runStart <= RUN_BYTES_MAX;
    if (!joins) {
      run = [];
      runs.push(run);
      runStart = offsetBytes;
    }
    run.push(one);
    runEnd = offsetBytes + storedBytes;
  }
  return runs;
}
