/**
 * Looks for damage before somebody needs what is damaged: every object is read (packs in full, or a sample of them),
 * every tag and name is checked, every reference is followed; and what is wrong is told by the snapshots and blocks that
 * it hits.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { baseName, deltaNames, type Entry, isDelta } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import type { IndexKeeper } from "./index-keeper.ts";
import type { KeyRing, NameDomain } from "./key-ring.ts";
import { packKey, VOLUMES_PREFIX, volumeOfRoot } from "./keys.ts";
import { type DirectoryEntry, type PackReader, RECORD_KIND } from "./pack.ts";
import { FAN_OUT } from "./page.ts";
import type { Records } from "./records.ts";
import type { Roots, RootView } from "./roots.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** Problems and ranges that are listed; more are only counted. */
const LISTED_MAX = 1000;
const COMPOSED_AT_A_TIME = 16;

export interface VerifierParts {
  readonly store: ObjectStore;
  readonly index: ChunkIndex;
  readonly keeper: IndexKeeper;
  readonly keys: KeyRing;
  readonly packReader: PackReader;
  readonly fetcher: Fetcher;
  readonly roots: Roots;
  readonly records: Records;
  readonly random: Random;
  readonly pause: () => Promise<void>;
}

export interface VerificationProgress {
  readonly phase: "packs" | "roots";
  readonly done: number;
  readonly total: number;
}

/** Blocks of a root that can't be had. */
export interface Hit {
  readonly rootKey: string;
  readonly volumeId: VolumeId;
  /** Snapshots that have this root. */
  readonly snapshotIds: readonly string[];
  /** First and last block of each range; empty where the root itself can't be read. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
  readonly blocks: number;
}

export interface VerificationReport {
  readonly packs: number;
  readonly packsRead: number;
  readonly bytesRead: number;
  readonly recordsRead: number;
  readonly roots: number;
  /** What is wrong, by the objects that it is wrong with. */
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly hits: readonly Hit[];
}

export class Verifier {
  readonly #parts: VerifierParts;
  readonly #problems: string[] = [];
  #problemCount = 0;
  #bytesRead = 0;
  #recordsRead = 0;
  /** Names of records that can't be read, or don't hold what they should. */
  readonly #bad = new Set<string>();
  /** Blocks of deltas that were put together already, and whether that went well. */
  readonly #composed = new Map<string, boolean>();

  constructor(parts: VerifierParts) {
    this.#parts = parts;
  }

  /** `samplePercent`: of the packs; 100 reads all of them, and puts all deltas together. */
  async verify(
    samplePercent: number,
    onProgress: (progress: VerificationProgress) => void,
  ): Promise<VerificationReport> {
    const { keeper, index, fetcher, pause } = this.#parts;
    const packs = await keeper.listPacks();
    await fetcher.refresh();
    for (const packId of index.packIds()) {
      if (packs.has(packId)) continue;
      this.#problem(`pack ${packId} is missing from the bucket`);
      for (const { name } of index.entriesOf(packId)) this.#bad.add(keyOf(name));
    }
    const chosen = [...packs].filter(() => this.#isChosen(samplePercent));
    for (const [i, [packId, sizeBytes]] of chosen.entries()) {
      onProgress({ phase: "packs", done: i, total: chosen.length });
      await this.#pack(packId, sizeBytes);
      await pause();
    }
    onProgress({ phase: "packs", done: chosen.length, total: chosen.length });
    const { roots, hits } = await this.#roots(samplePercent >= 100, onProgress);
    return {
      packs: packs.size,
      packsRead: chosen.length,
      bytesRead: this.#bytesRead,
      recordsRead: this.#recordsRead,
      roots,
      problems: this.#problems,
      problemCount: this.#problemCount,
      hits,
    };
  }

  #isChosen(percent: number): boolean {
    return percent >= 100 || this.#parts.random.bytes(4).readUInt32LE(0) < (percent / 100) * 2 ** 32;
  }

  #problem(text: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < LISTED_MAX) this.#problems.push(text);
  }

  /** Reads a whole pack and checks every record of it. */
  async #pack(packId: string, sizeBytes: number): Promise<void> {
    const { store, index } = this.#parts;
    let bytes: Buffer;
    try {
      bytes = await store.get(packKey(packId));
    } catch (cause) {
      const error = passable(fromStoreError(cause, `reading pack ${packId}`));
      // One that was collected since the listing is no loss.
      if (error.kind === "notFound" && !index.hasPack(packId)) return;
      this.#problem(error.message);
      for (const { name } of index.entriesOf(packId)) this.#bad.add(keyOf(name));
      return;
    }
    this.#bytesRead += bytes.length;
    if (bytes.length !== sizeBytes) this.#problem(`pack ${packId} has changed its size`);
    const entries = this.#directory(packId, bytes) ?? index.entriesOf(packId);
    const known = new Map(index.entriesOf(packId).map((entry) => [entry.number, entry]));
    for (const entry of entries) {
      const where = `record ${entry.number} of pack ${packId}`;
      const listed = known.get(entry.number);
      if (listed !== undefined && !isSameEntry(listed, entry))
        this.#problem(`${where} is listed wrongly in the local index`);
      const problem = this.#record(entry, bytes);
      if (problem === undefined) continue;
      this.#problem(problem.message);
      this.#bad.add(keyOf(entry.name));
    }
  }

  /** What the pack says is in it. Without that, the index may know: records can be whole where their directory is not. */
  #directory(packId: string, bytes: Buffer): readonly DirectoryEntry[] | undefined {
    try {
      const found = this.#parts.packReader.readDirectory(packId, bytes, bytes.length);
      if (Array.isArray(found)) return found;
      this.#problem(`pack ${packId} is cut short`);
    } catch (error) {
      this.#problem(passable(error).message);
    }
    return undefined;
  }

  #record(entry: DirectoryEntry, pack: Buffer): VaultError | undefined {
    const { keys, packReader } = this.#parts;
    this.#recordsRead += 1;
    const where = `record ${entry.number} of pack ${entry.packId}`;
    try {
      const sealed = pack.subarray(entry.offsetBytes, entry.offsetBytes + entry.storedBytes);
      const plain = packReader.openRecord(entry, entry.name, sealed);
      const domain = domainOf(entry.kind);
      if (domain === undefined)
        return new VaultError("unknownFormat", `${where}: kind ${entry.kind} is not known`);
      if (keys.nameOf(domain, plain).equals(entry.name)) return undefined;
      return new VaultError("corrupt", `${where} is not what it is named`);
    } catch (error) {
      if (error instanceof VaultError) return error;
      throw error;
    }
  }

  /** Follows every reference of every root; answers what can't be had. */
  async #roots(
    composes: boolean,
    onProgress: (progress: VerificationProgress) => void,
  ): Promise<{ roots: number; hits: Hit[] }> {
    const { store, records, pause } = this.#parts;
    const snapshots = new Map<string, string[]>();
    const unreadable = (message: string) => this.#problem(message);
    for (const { rootKey, snapshotId } of await records.listSnapshots(unreadable))
      snapshots.set(rootKey, [...(snapshots.get(rootKey) ?? []), snapshotId]);
    const keys = new Set<string>(snapshots.keys());
    try {
      for await (const { key } of store.list(VOLUMES_PREFIX))
        if (volumeOfRoot(key) !== undefined) keys.add(key);
    } catch (error) {
      throw fromStoreError(error, "listing the roots");
    }
    const hits: Hit[] = [];
    let done = 0;
    for (const key of keys) {
      onProgress({ phase: "roots", done, total: keys.size });
      const snapshotIds = snapshots.get(key) ?? [];
      const hit = await this.#root(key, snapshotIds, composes);
      if (hit !== undefined && hits.length < LISTED_MAX) hits.push(hit);
      done += 1;
      await pause();
    }
    onProgress({ phase: "roots", done, total: keys.size });
    return { roots: keys.size, hits };
  }

  async #root(key: string, snapshotIds: readonly string[], composes: boolean): Promise<Hit | undefined> {
    const { roots, store } = this.#parts;
    const volumeId = volumeOfRoot(key) ?? ("" as VolumeId);
    let view: RootView;
    try {
      view = await roots.view(key);
    } catch (cause) {
      const error = passable(cause);
      // A recovery point that was thinned out since the listing is no loss.
      const isGone = error.kind === "notFound" && snapshotIds.length === 0;
      if (isGone && (await store.head(key)) === undefined) return undefined;
      this.#problem(error.message);
      return { rootKey: key, volumeId, snapshotIds, ranges: [], blocks: 0 };
    }
    const ranges = new Ranges();
    const walk = new RootWalk(
      this.#parts,
      ranges,
      (entry) => this.#isBad(entry),
      (page) => this.#bad.has(keyOf(page)),
      this.#problemOnce,
    );
    await walk.run(view);
    if (composes) await this.#compose(walk.deltas, ranges);
    if (ranges.blocks === 0) return undefined;
    return { rootKey: key, volumeId, snapshotIds, ranges: ranges.list, blocks: ranges.blocks };
  }

  readonly #told = new Set<string>();
  readonly #problemOnce = (text: string): void => {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#problem(text);
  };

  #isBad(entry: Entry): boolean {
    for (const name of [baseName(entry), ...deltaNames(entry)]) {
      if (this.#bad.has(keyOf(name))) return true;
      if (this.#parts.index.find(name) !== undefined) continue;
      this.#problemOnce(`record ${name.toString("hex")}, which a root needs, is in no pack`);
      return true;
    }
    return false;
  }

  /** Puts blocks together of chunks and deltas: each may be whole, and still not make what they are named. */
  async #compose(deltas: readonly { block: number; entry: Entry }[], ranges: Ranges): Promise<void> {
    for (let at = 0; at < deltas.length; at += COMPOSED_AT_A_TIME) {
      const some = deltas.slice(at, at + COMPOSED_AT_A_TIME);
      const unknown = some.filter(({ entry }) => !this.#composed.has(keyOf(entry)));
      const results = await this.#parts.fetcher.compose(unknown.map(({ entry }) => entry));
      for (const [i, problem] of results.entries()) {
        const entry = unknown[i]?.entry;
        if (entry === undefined) continue;
        this.#composed.set(keyOf(entry), problem === undefined);
        if (problem !== undefined) this.#problemOnce(problem.message);
      }
      for (const { block, entry } of some)
        if (this.#composed.get(keyOf(entry)) === false) ranges.add(block, 1);
      await this.#parts.pause();
    }
  }
}

/** Walks one root's whole map. Pages that were walked for another root are in the fetcher's cache. */
class RootWalk {
  readonly deltas: { block: number; entry: Entry }[] = [];
  readonly #parts: VerifierParts;
  readonly #ranges: Ranges;
  readonly #isBad: (entry: Entry) => boolean;
  readonly #isLost: (page: Buffer) => boolean;
  readonly #problem: (text: string) => void;

  constructor(
    parts: VerifierParts,
    ranges: Ranges,
    isBad: (entry: Entry) => boolean,
    isLost: (page: Buffer) => boolean,
    problem: (text: string) => void,
  ) {
    this.#isLost = isLost;
    this.#parts = parts;
    this.#ranges = ranges;
    this.#isBad = isBad;
    this.#problem = problem;
  }

  async run({ checkpoint, overlay }: RootView): Promise<void> {
    const changed = new Set<number>();
    for (let i = 0; i < overlay.size; i++) {
      changed.add(overlay.blockAt(i));
      this.#entry(overlay.blockAt(i), overlay.entryAt(i));
    }
    if (checkpoint.top === null) return;
    const end = checkpoint.sizeBytes / checkpoint.blockBytes;
    await this.#page(Buffer.from(checkpoint.top, "hex"), checkpoint.levels - 1, 0, end, changed);
  }

  async #page(
    name: Buffer,
    level: number,
    first: number,
    end: number,
    changed: ReadonlySet<number>,
  ): Promise<void> {
    const span = FAN_OUT ** level;
    try {
      // It may be in memory still from before it was damaged.
      if (this.#isLost(name)) throw new VaultError("corrupt", `page ${name.toString("hex")} is damaged`);
      const page = await this.#parts.fetcher.page(name, level);
      if (level === 0) {
        for (let i = 0; i < FAN_OUT; i++) if (!changed.has(first + i)) this.#entry(first + i, page.entry(i));
        return;
      }
      await this.#parts.pause();
      for (let i = 0; i < FAN_OUT; i++) {
        const below = page.name(i);
        if (below !== undefined) await this.#page(below, level - 1, first + i * span, end, changed);
      }
    } catch (cause) {
      this.#problem(passable(cause).message);
      // All below it is lost, but for what steps have changed since.
      let from = first;
      for (const block of [...changed].filter((each) => each >= first && each < first + span * FAN_OUT)) {
        if (block > from) this.#ranges.add(from, block - from);
        from = block + 1;
      }
      const last = Math.min(first + span * FAN_OUT, end);
      if (last > from) this.#ranges.add(from, last - from);
    }
  }

  #entry(block: number, entry: Entry | undefined): void {
    if (entry === undefined) return;
    if (this.#isBad(entry)) this.#ranges.add(block, 1);
    else if (isDelta(entry)) this.deltas.push({ block, entry });
  }
}

/** Ranges of blocks, in the order in which they are found. */
class Ranges {
  readonly list: [number, number][] = [];
  blocks = 0;

  add(first: number, count: number): void {
    this.blocks += count;
    const last = this.list.at(-1);
    if (last !== undefined && last[1] + 1 === first) last[1] = first + count - 1;
    else if (this.list.length < LISTED_MAX) this.list.push([first, first + count - 1]);
  }
}

/** Damage and loss are what is looked for; anything else ends the verification. */
function passable(error: unknown): VaultError {
  if (error instanceof VaultError && ["corrupt", "unknownFormat", "notFound"].includes(error.kind))
    return error;
  throw error;
}

function isSameEntry(a: DirectoryEntry, b: DirectoryEntry): boolean {
  return (
    a.name.equals(b.name) &&
    a.kind === b.kind &&
    a.compression === b.compression &&
    a.offsetBytes === b.offsetBytes &&
    a.storedBytes === b.storedBytes &&
    a.plainBytes === b.plainBytes
  );
}

function domainOf(kind: number): NameDomain | undefined {
  for (const [domain, known] of Object.entries(RECORD_KIND)) if (known === kind) return domain as NameDomain;
  return undefined;
}

function keyOf(name: Buffer): string {
  return name.toString("latin1");
}
