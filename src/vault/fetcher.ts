/**
 * Reads records, pages and blocks from the bucket: verified against tag and name, runs of neighbours in one request,
 * one request for one record at a time.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { KeyRing } from "./key-ring.ts";
import { packKey } from "./keys.ts";
import { type PackReader, RECORD_KIND, type RecordLocation } from "./pack.ts";
import { FAN_OUT, Page } from "./page.ts";
import type { Root } from "./root.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

const PAGES_MAX = 4096;
const BLOCKS_MAX = 256;
/** Records closer than this are fetched together, the gap with them. */
const GAP_BYTES_MAX = 32 * 1024;
const RUN_BYTES_MAX = 4 * 1024 * 1024;

interface Wanted {
  readonly name: Buffer;
  readonly location: RecordLocation;
}

/** A map of bounded size that drops what was used longest ago. */
class RecentMap<Value> {
  readonly #map = new Map<string, Value>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): Value | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  set(key: string, value: Value): void {
    this.#map.set(key, value);
    if (this.#map.size <= this.#max) return;
    const oldest = this.#map.keys().next();
    if (!oldest.done) this.#map.delete(oldest.value);
  }
}

export class Fetcher {
  readonly #store: ObjectStore;
  readonly #index: ChunkIndex;
  readonly #keys: KeyRing;
  readonly #packs: PackReader;
  readonly #pages = new RecentMap<Page>(PAGES_MAX);
  readonly #blocks = new RecentMap<Buffer>(BLOCKS_MAX);
  readonly #inFlight = new Map<string, Promise<Buffer>>();

  constructor(store: ObjectStore, index: ChunkIndex, keys: KeyRing, packs: PackReader) {
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
  async blockNames(root: Root, first: number, count: number): Promise<(Buffer | undefined)[]> {
    const names: (Buffer | undefined)[] = [];
    for (let block = first; block < first + count; ) {
      const leaf = await this.leaf(root, block);
      const end = Math.min(first + count, block - (block % FAN_OUT) + FAN_OUT);
      for (; block < end; block++) names.push(leaf?.name(block % FAN_OUT));
    }
    return names;
  }

  /** The level-0 page that holds the block's entry; undefined where all of its blocks are zero. */
  async leaf(root: Root, block: number): Promise<Page | undefined> {
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
  async blocks(root: Root, first: number, count: number): Promise<Buffer> {
    const content = Buffer.alloc(count * root.blockBytes);
    const names = await this.blockNames(root, first, count);
    const wanted = new Map<string, Wanted>();
    for (const name of names) {
      if (name === undefined || wanted.has(name.toString("latin1"))) continue;
      wanted.set(name.toString("latin1"), { name, location: this.#locate(name, "block") });
    }
    const chunks = await this.#fetchAll([...wanted.values()]);
    for (const [i, name] of names.entries()) {
      if (name === undefined) continue;
      const chunk = chunks.get(name.toString("latin1"));
      if (chunk?.length !== root.blockBytes) {
        throw new VaultError("corrupt", `block ${first + i} of ${root.volumeId} has the wrong size`);
      }
      chunk.copy(content, i * root.blockBytes);
    }
    return content;
  }

  async #record(name: Buffer, domain: "block" | "page"): Promise<Buffer> {
    const location = this.#locate(name, domain);
    const found = await this.#fetchAll([{ name, location }]);
    const record = found.get(name.toString("latin1"));
    if (record === undefined) throw new VaultError("notFound", `no record ${name.toString("hex")}`);
    return record;
  }

  #locate(name: Buffer, domain: "block" | "page"): RecordLocation {
    const location = this.#index.find(name);
    if (location === undefined) {
      throw new VaultError("notFound", `the bucket has no ${domain} ${name.toString("hex")}`);
    }
    if (location.kind !== RECORD_KIND[domain]) {
      throw new VaultError("corrupt", `${name.toString("hex")} is not a ${domain}`);
    }
    return location;
  }

  /** Fetches records, in runs; answers them by name. */
  async #fetchAll(wanted: readonly Wanted[]): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    const waiting: Promise<void>[] = [];
    const missing: Wanted[] = [];
    for (const one of wanted) {
      const key = one.name.toString("latin1");
      const known = this.#blocks.get(key);
      const running = this.#inFlight.get(key);
      if (known !== undefined) found.set(key, known);
      else if (running !== undefined) waiting.push(running.then((record) => void found.set(key, record)));
      else missing.push(one);
    }
    for (const run of runsOf(missing)) {
      const fetch = this.#fetchRun(run);
      for (const { name } of run) {
        const key = name.toString("latin1");
        const record = fetch.then((records) => {
          const value = records.get(key);
          if (value === undefined) throw new VaultError("notFound", `no record ${name.toString("hex")}`);
          return value;
        });
        this.#inFlight.set(key, record);
        waiting.push(
          record.then((value) => void found.set(key, value)).finally(() => this.#inFlight.delete(key)),
        );
      }
    }
    // All are waited for, so that none is left to fail with nobody listening.
    const results = await Promise.allSettled(waiting);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    return found;
  }

  async #fetchRun(run: readonly Wanted[]): Promise<Map<string, Buffer>> {
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
    const records = new Map<string, Buffer>();
    for (const { name, location } of run) {
      const from = location.offsetBytes - start;
      const sealed = bytes.subarray(from, from + location.storedBytes);
      const plain = this.#packs.openRecord(location, name, sealed);
      const domain = location.kind === RECORD_KIND.page ? "page" : "block";
      // Invariant 7: bytes that do not have their name are an error, never data.
      if (!this.#keys.nameOf(domain, plain).equals(name)) {
        throw new VaultError(
          "corrupt",
          `record ${location.number} of pack ${packId} is not what it is named`,
        );
      }
      const key = name.toString("latin1");
      records.set(key, plain);
      if (domain === "block") this.#blocks.set(key, plain);
    }
    return records;
  }
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
