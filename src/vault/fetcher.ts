/**
 * Reads records, pages and blocks from the bucket: verified against tag and name, runs of neighbours in one request,
 * one request for one record at a time.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import { Permits } from "../platform/permits.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { KeyRing, NameDomain } from "./key-ring.ts";
import { packKey } from "./keys.ts";
import { type PackReader, RECORD_KIND, type RecordLocation } from "./pack.ts";
import { FAN_OUT, Page } from "./page.ts";
import { RecentMap } from "./recent-map.ts";
import type { Checkpoint } from "./root.ts";
import type { RootView } from "./roots.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

const PAGES_MAX = 4096;
const BLOCKS_MAX = 256;
/** Records closer than this are fetched together, the gap with them. */
const GAP_BYTES_MAX = 32 * 1024;
const RUN_BYTES_MAX = 4 * 1024 * 1024;
/** Requests to the bucket at a time. */
const REQUESTS_MAX = 16;

/** A record, or why it can't be had: one that is rotten must not take its neighbours with it. */
type Fetched = Buffer | VaultError;

interface Wanted {
  readonly name: Buffer;
  readonly location: RecordLocation;
}

export class Fetcher {
  readonly #store: ObjectStore;
  readonly #index: ChunkIndex;
  readonly #keys: KeyRing;
  readonly #packs: PackReader;
  readonly #pages = new RecentMap<Page>(PAGES_MAX);
  readonly #blocks = new RecentMap<Buffer>(BLOCKS_MAX);
  readonly #inFlight = new Map<string, Promise<Fetched>>();
  readonly #requests = new Permits(REQUESTS_MAX);
  readonly #refreshIndex: () => Promise<void>;

  /** `refreshIndex` enters into the index what is in the bucket and not known here yet. */
  constructor(
    store: ObjectStore,
    index: ChunkIndex,
    keys: KeyRing,
    packs: PackReader,
    refreshIndex: () => Promise<void>,
  ) {
    this.#refreshIndex = refreshIndex;
    this.#store = store;
    this.#index = index;
    this.#keys = keys;
    this.#packs = packs;
  }

  /** The page of that name. It is shared: copy it before changing it. */
  async page(name: Buffer, level: number): Promise<Page> {
    const key = name.toString("latin1");
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const page = Page.decode(await this.#record(name, "page"));
    if (page.level !== level)
      throw new VaultError("corrupt", `a page of level ${page.level} where ${level} was due`);
    this.#pages.set(key, page);
    return page;
  }

  /** The names of the blocks' chunks, undefined for zero blocks. */
  async blockNames(
    { checkpoint, overlay }: RootView,
    first: number,
    count: number,
  ): Promise<(Buffer | undefined)[]> {
    const names: (Buffer | undefined)[] = [];
    let changed = overlay.indexFrom(first);
    for (let block = first; block < first + count; ) {
      const end = Math.min(first + count, block - (block % FAN_OUT) + FAN_OUT);
      // A page is not fetched for blocks that have all changed since.
      const isCovered = overlay.indexFrom(end) - changed === end - block;
      const leaf = isCovered ? undefined : await this.leaf(checkpoint, block);
      for (; block < end; block++) {
        const hasChanged = overlay.blockAt(changed) === block;
        names.push(hasChanged ? overlay.nameAt(changed) : leaf?.name(block % FAN_OUT));
        if (hasChanged) changed += 1;
      }
    }
    return names;
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
  async blocks(
    view: RootView,
    first: number,
    count: number,
    mayFetch: (bytes: number) => Promise<void> = NO_LIMIT,
  ): Promise<Buffer> {
    const { root } = view;
    const content = Buffer.alloc(count * root.blockBytes);
    const names = await this.blockNames(view, first, count);
    const distinct = new Map(
      names.flatMap((name) => (name === undefined ? [] : [[keyOf(name), name] as const])),
    );
    const chunks = await this.#fetchAll([...distinct.values()], "block", mayFetch);
    for (const [i, name] of names.entries()) {
      if (name === undefined) continue;
      const chunk = chunks.get(keyOf(name));
      const where = `block ${first + i} of ${root.volumeId}`;
      if (chunk === undefined) throw new VaultError("notFound", `${where} was not found`);
      if (chunk instanceof VaultError) {
        throw new VaultError(chunk.kind, `${where}: ${chunk.message}`, { cause: chunk });
      }
      if (chunk.length !== root.blockBytes) throw new VaultError("corrupt", `${where} has the wrong size`);
      chunk.copy(content, i * root.blockBytes);
    }
    return content;
  }

  async #record(name: Buffer, domain: NameDomain): Promise<Buffer> {
    const record = (await this.#fetchAll([name], domain)).get(keyOf(name));
    if (record === undefined) throw new VaultError("notFound", `no record ${name.toString("hex")}`);
    if (record instanceof VaultError) throw record;
    return record;
  }

  /** Where the records are. What the index does not know may have been written by somebody else, or forgotten. */
  async #locateAll(names: readonly Buffer[], domain: NameDomain): Promise<Wanted[]> {
    const locate = () => names.map((name) => ({ name, location: this.#index.find(name) }));
    let found = locate();
    if (found.some(({ location }) => location === undefined)) {
      await this.#refreshIndex();
      found = locate();
    }
    return found.flatMap(({ name, location }) => {
      if (location === undefined) return [];
      if (location.kind === RECORD_KIND[domain]) return [{ name, location }];
      throw new VaultError("corrupt", `${name.toString("hex")} is not a ${domain}`);
    });
  }

  /** Fetches records, in runs; answers them by name. One that is nowhere is left out. */
  async #fetchAll(
    names: readonly Buffer[],
    domain: NameDomain,
    mayFetch = NO_LIMIT,
  ): Promise<Map<string, Fetched>> {
    const found = new Map<string, Fetched>();
    const waiting: Promise<unknown>[] = [];
    const missing: Buffer[] = [];
    for (const name of names) {
      const key = keyOf(name);
      const known = this.#blocks.get(key);
      const running = this.#inFlight.get(key);
      if (known !== undefined) found.set(key, known);
      else if (running !== undefined) waiting.push(running.then((record) => found.set(key, record)));
      else missing.push(name);
    }
    for (const run of runsOf(missing.length === 0 ? [] : await this.#locateAll(missing, domain))) {
      const fetch = mayFetch(bytesOf(run)).then(() => this.#requests.run(() => this.#fetchRun(run)));
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

  async #fetchRun(run: readonly Wanted[]): Promise<Map<string, Fetched>> {
    const start = run[0]?.location.offsetBytes ?? 0;
    const last = run[run.length - 1]?.location;
    const end = (last?.offsetBytes ?? 0) + (last?.storedBytes ?? 0);
    const packId = run[0]?.location.packId ?? "";
    let bytes: Buffer;
    try {
      bytes = await this.#store.get(packKey(packId), { offsetBytes: start, lengthBytes: end - start });
    } catch (error) {
      throw fromStoreError(error, `reading pack ${packId}`);
    }
    const records = new Map<string, Fetched>();
    for (const { name, location } of run) {
      const from = location.offsetBytes - start;
      const record = this.#open(name, location, bytes.subarray(from, from + location.storedBytes));
      records.set(keyOf(name), record);
      if (record instanceof VaultError) this.#index.forget(name);
      else if (location.kind === RECORD_KIND.block) this.#blocks.set(keyOf(name), record);
    }
    return records;
  }

  #open(name: Buffer, location: RecordLocation, sealed: Buffer): Fetched {
    const domain = location.kind === RECORD_KIND.page ? "page" : "block";
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

const NO_LIMIT = async (_bytes: number): Promise<void> => {};

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
