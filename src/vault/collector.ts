/**
 * Garbage collection: mark and sweep over packs, beside uploads, restores and crashes, by any number of gateways.
 *
 * A cycle has four steps, each of which is an object in the bucket (cycles.ts), so that any gateway can go on with it:
 *
 * 1. _Condemn_: mark from all roots; packs of which nothing was reached are condemned. Packs that are mostly dead are
 *    copied together and condemned too.
 * 2. _Acknowledge_: every registered writer builds nothing on condemned packs from now on, and names the packs and roots
 *    that its uploads under way were built on before.
 * 3. _Judge_: when all have answered, mark again. What is reached now, or was named, stays. The verdict is written once,
 *    and nothing is deleted that it does not name.
 * 4. _Delete_, by whoever comes by, as often as it takes; then the cycle is done, and the next may begin.
 *
 * Invariant 4, second half (what a root reaches is never deleted while the root is): let a root R reach a record in a
 * deleted pack P, and be the first such root. P was condemned, its verdict came after all answers and a second marking
 * that did not reach P. So R was written after that marking began. Its record is in P because (a) R's parent has it:
 * then the parent was there at the second marking, or was named in an answer and marked for that, so P was reached; or
 * it was written later itself, and R is not the first. Or (b) the upload of R found it in its index: before its writer's
 * answer, then P was named in the answer; or after it, when nothing is built on condemned packs. A writer that came later
 * registered after the list of those to wait for was made, so after P was condemned, and read that before it began. (c)
 * A writer that was struck off the list finds that out after it has written R, and takes R back. No clock is asked.
 *
 * A listing that leaves something out must not make a root look deleted: there are two listings, and roots that were
 * seen before, and those that snapshots name, are asked for one by one when neither has them.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { Cycles } from "./cycles.ts";
import type { Fetcher } from "./fetcher.ts";
import type { IndexKeeper } from "./index-keeper.ts";
import type { NameDomain } from "./key-ring.ts";
import { LEASES_PREFIX, packKey, rootsPrefix, VOLUMES_PREFIX, volumeOfLease, volumeOfRoot } from "./keys.ts";
import { type Marks, mark } from "./marks.ts";
import type { Membership } from "./membership.ts";
import { type DirectoryEntry, RECORD_KIND } from "./pack.ts";
import type { PackWriter } from "./pack-writer.ts";
import type { Records } from "./records.ts";
import type { Roots } from "./roots.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

/** A pack with less of it alive is copied, and goes. */
const LIVE_SHARE_MIN = 0.6;
/** Packs smaller than this part of a full one are put together when there are so many of them. */
const SMALL_SHARE = 0.25;
const SMALL_PACKS_MAX = 16;
/** What one cycle copies at most: the next one goes on. */
const COPIED_BYTES_MAX = 1024 ** 3;
const RECORDS_AT_A_TIME = 64;
const DELETED_AT_A_TIME = 500;

export interface CollectorParts {
  readonly store: ObjectStore;
  readonly index: ChunkIndex;
  readonly keeper: IndexKeeper;
  readonly fetcher: Fetcher;
  readonly roots: Roots;
  readonly records: Records;
  readonly cycles: Cycles;
  readonly membership: Membership;
  readonly packBytes: number;
  readonly makeWriter: (onReference: (packId: string) => void) => PackWriter;
  readonly pause: () => Promise<void>;
}

export interface CollectionProgress {
  readonly phase: "marking" | "copying" | "waiting" | "deleting";
  readonly done: number;
  readonly total: number;
}

/** What a collection has found, and done. */
export interface CollectionReport {
  /** `waiting`: writers have not answered yet; the next run goes on. */
  readonly state: "done" | "waiting" | "looked";
  readonly roots: number;
  readonly packs: number;
  readonly packBytes: number;
  /** Bytes of packs of which nothing is alive, and of those that are to be copied together. */
  readonly deadPacks: number;
  readonly deadBytes: number;
  readonly sparsePacks: number;
  readonly sparseBytes: number;
  /** Of the sparse packs, the bytes that are alive. */
  readonly sparseLiveBytes: number;
  /** Packs whose directory can't be read: nobody knows what is in them, so they stay. */
  readonly unreadablePacks: number;
  readonly deletedPacks: number;
  readonly deletedBytes: number;
  /** Condemned packs that somebody turned out to need. */
  readonly sparedPacks: number;
  /** Writers that have not answered. */
  readonly waitingFor: readonly string[];
}

interface Survey {
  readonly packs: ReadonlyMap<string, number>;
  readonly roots: readonly string[];
  readonly marks: Marks;
  readonly dead: readonly string[];
  readonly sparse: readonly string[];
  readonly unreadable: readonly string[];
}

export class Collector {
  readonly #parts: CollectorParts;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /**
   * Runs a cycle, or goes on with the one that is open. With `isDryRun` it only looks. Rejects with a VaultError where
   * it is not known what is alive; nothing is deleted then.
   */
  async collect(
    isDryRun: boolean,
    onProgress: (progress: CollectionProgress) => void,
    forget: readonly string[],
  ): Promise<CollectionReport> {
    const { cycles, membership } = this.#parts;
    if (!isDryRun) {
      for (const ownerId of forget) await cycles.unregister(ownerId);
      await membership.ready();
    }
    const newest = (await cycles.list()).at(-1);
    if (newest !== undefined && !newest.isDone && !isDryRun) {
      const survey = await this.#look(await this.#rootsSeen(newest.cycle), onProgress);
      return this.#finish(newest.cycle, newest.isJudged, survey, onProgress);
    }
    const survey = await this.#look(
      newest?.isJudged === true ? (await cycles.verdict(newest.cycle)).roots : [],
      onProgress,
    );
    if (isDryRun || survey.dead.length + survey.sparse.length === 0)
      return { ...reportOf(survey), state: isDryRun ? "looked" : "done" };
    await this.#copy(survey, onProgress);
    const cycle = (newest?.cycle ?? 0) + 1;
    await cycles.condemn(cycle, { packs: [...survey.dead, ...survey.sparse], roots: survey.roots });
    return this.#finish(cycle, false, survey, onProgress);
  }

  async #finish(
    cycle: number,
    isJudged: boolean,
    survey: Survey,
    onProgress: (progress: CollectionProgress) => void,
  ): Promise<CollectionReport> {
    const { cycles, membership, keeper } = this.#parts;
    const condemned = await cycles.condemned(cycle);
    if (!isJudged) {
      await membership.settle();
      const waitingFor = await this.#silent(cycle);
      if (waitingFor.length > 0) {
        onProgress({ phase: "waiting", done: 0, total: waitingFor.length });
        return { ...reportOf(survey), state: "waiting", waitingFor };
      }
      await this.#judge(cycle, condemned.packs, condemned.roots, onProgress);
    }
    const verdict = await cycles.verdict(cycle);
    // From here on this gateway builds nothing on them either, whoever judged.
    await membership.settle();
    await keeper.tidy(new Set(verdict.packs));
    const deleted = await this.#delete(verdict.packs, onProgress);
    await cycles.finish(cycle);
    await cycles.prune(cycle);
    let deletedBytes = 0;
    for (const packId of deleted) deletedBytes += survey.packs.get(packId) ?? 0;
    return {
      ...reportOf(survey),
      state: "done",
      deletedPacks: deleted.length,
      deletedBytes,
      sparedPacks: condemned.packs.length - verdict.packs.length,
    };
  }

  /** What the bucket holds, and what of it is alive. */
  async #look(seen: readonly string[], onProgress: (progress: CollectionProgress) => void): Promise<Survey> {
    const { index, keeper, fetcher } = this.#parts;
    // Packs first: one that is written later, by an upload that is still under way, is not judged by this.
    const packs = await keeper.listPacks();
    await fetcher.refresh();
    const roots = await this.#listRoots(seen);
    const marks = await this.#mark(roots, onProgress);
    const dead: string[] = [];
    const unreadable: string[] = [];
    const living: { packId: string; bytes: number; liveBytes: number }[] = [];
    for (const [packId, bytes] of packs) {
      if (index.isDead(packId)) continue;
      const liveBytes = marks.liveBytes(packId);
      if (!index.hasPack(packId)) unreadable.push(packId);
      else if (!marks.hasPack(packId)) dead.push(packId);
      else living.push({ packId, bytes, liveBytes });
    }
    const smallBytes = this.#parts.packBytes * SMALL_SHARE;
    const isSmall = ({ bytes }: { bytes: number }) => bytes < smallBytes;
    const mergesSmall = living.filter(isSmall).length > SMALL_PACKS_MAX;
    const sparse: string[] = [];
    let copiedBytes = 0;
    for (const pack of living.sort((a, b) => a.liveBytes / a.bytes - b.liveBytes / b.bytes)) {
      const isSparse = pack.liveBytes < LIVE_SHARE_MIN * pack.bytes && !isSmall(pack);
      if (!isSparse && !(mergesSmall && isSmall(pack))) continue;
      copiedBytes += pack.liveBytes;
      if (copiedBytes > COPIED_BYTES_MAX) break;
      sparse.push(pack.packId);
    }
    return { packs, roots, marks, dead, sparse, unreadable };
  }

  #mark(roots: readonly string[], onProgress: (progress: CollectionProgress) => void): Promise<Marks> {
    const { fetcher, index, pause, roots: reader, store } = this.#parts;
    return mark(roots, {
      roots: reader,
      fetcher,
      index,
      pause,
      isGone: async (key) => {
        try {
          return (await store.head(key)) === undefined;
        } catch (error) {
          throw fromStoreError(error, `looking for ${key}`);
        }
      },
      onRoot: (done, total) => onProgress({ phase: "marking", done, total }),
    });
  }

  /** All roots. One of `seen`, or of a snapshot, that the listing does not have is asked for by itself. */
  async #listRoots(seen: readonly string[]): Promise<string[]> {
    const { store, records } = this.#parts;
    const found = new Set<string>();
    try {
      const add = async (prefix: string) => {
        for await (const { key } of store.list(prefix)) if (volumeOfRoot(key) !== undefined) found.add(key);
      };
      await add(VOLUMES_PREFIX);
      // And once more volume by volume, with the leases to tell which there are: what one listing lacks another has.
      const volumes = new Set<VolumeId>();
      for await (const { key } of store.list(LEASES_PREFIX)) {
        const volumeId = volumeOfLease(key);
        if (volumeId !== undefined) volumes.add(volumeId);
      }
      for (const volumeId of volumes) await add(rootsPrefix(volumeId));
      const named = (await records.listSnapshots()).map(({ rootKey }) => rootKey);
      for (const key of new Set([...seen, ...named])) {
        if (found.has(key) || volumeOfRoot(key) === undefined) continue;
        if ((await store.head(key)) !== undefined)
          throw new VaultError(
            "unavailable",
            `the bucket's listing leaves ${key} out: nothing can be collected`,
          );
      }
    } catch (error) {
      throw fromStoreError(error, "listing the roots");
    }
    return [...found].sort();
  }

  async #rootsSeen(cycle: number): Promise<readonly string[]> {
    return (await this.#parts.cycles.condemned(cycle)).roots;
  }

  /** Copies what is alive in the sparse packs into new ones. */
  async #copy({ sparse, marks }: Survey, onProgress: (progress: CollectionProgress) => void): Promise<void> {
    const { index, fetcher, keeper, makeWriter, pause } = this.#parts;
    const writer = makeWriter(() => {});
    for (const [i, packId] of sparse.entries()) {
      onProgress({ phase: "copying", done: i, total: sparse.length });
      const alive = index.entriesOf(packId).filter(({ number }) => marks.has(packId, number));
      for (let at = 0; at < alive.length; at += RECORDS_AT_A_TIME) {
        const some = alive.slice(at, at + RECORDS_AT_A_TIME).map((entry) => ({
          name: entry.name,
          domain: domainOf(entry),
        }));
        const contents = await fetcher.records(some);
        for (const [j, content] of contents.entries()) {
          const record = some[j];
          if (record === undefined) continue;
          if (content instanceof VaultError) throw content;
          if (content === undefined)
            throw new VaultError("notFound", `no record ${record.name.toString("hex")}`);
          await writer.copy(record.domain, content, record.name);
        }
        await pause();
      }
    }
    await writer.finish();
    await keeper.publish();
  }

  /** Registered writers that have not acknowledged the cycle. Asked for after it was begun: whoever comes later knows. */
  async #silent(cycle: number): Promise<string[]> {
    const { cycles } = this.#parts;
    const writers = await cycles.writers();
    const state = (await cycles.list()).find((each) => each.cycle === cycle);
    return writers.filter((owner) => state?.acks.has(owner) !== true);
  }

  /** Marks again, with what the writers have named, and writes the verdict. */
  async #judge(
    cycle: number,
    condemned: readonly string[],
    seen: readonly string[],
    onProgress: (progress: CollectionProgress) => void,
  ): Promise<void> {
    const { cycles, fetcher } = this.#parts;
    const state = (await cycles.list()).find((each) => each.cycle === cycle);
    const spared = new Set<string>();
    const parents = new Set<string>();
    for (const owner of state?.acks ?? []) {
      const ack = await cycles.ack(cycle, owner);
      for (const packId of ack.keep) spared.add(packId);
      for (const key of ack.parents) parents.add(key);
    }
    await fetcher.refresh();
    const roots = await this.#listRoots([...seen, ...parents]);
    for (const key of parents) {
      if (!roots.includes(key))
        throw new VaultError(
          "unavailable",
          `${key} is gone while an upload builds on it: nothing can be collected now`,
        );
    }
    const marks = await this.#mark(roots, onProgress);
    const packs = condemned.filter((packId) => !spared.has(packId) && !marks.hasPack(packId));
    await cycles.judge(cycle, { packs, roots });
  }

  /** Deletes the packs that are there; answers which those were. */
  async #delete(
    packIds: readonly string[],
    onProgress: (progress: CollectionProgress) => void,
  ): Promise<string[]> {
    const { store, keeper } = this.#parts;
    const there = await keeper.listPacks();
    const going = packIds.filter((packId) => there.has(packId));
    for (let at = 0; at < going.length; at += DELETED_AT_A_TIME) {
      onProgress({ phase: "deleting", done: at, total: going.length });
      try {
        await store.delete(going.slice(at, at + DELETED_AT_A_TIME).map(packKey));
      } catch (error) {
        throw fromStoreError(error, "deleting packs");
      }
    }
    onProgress({ phase: "deleting", done: going.length, total: going.length });
    return going;
  }
}

function domainOf({ kind, packId }: DirectoryEntry): NameDomain {
  for (const [domain, known] of Object.entries(RECORD_KIND)) if (known === kind) return domain as NameDomain;
  throw new VaultError(
    "unknownFormat",
    `pack ${packId} has a record of kind ${kind}, which is not known here`,
  );
}

function reportOf({ packs, roots, marks, dead, sparse, unreadable }: Survey): CollectionReport {
  const bytesOf = (packIds: Iterable<string>) => {
    let bytes = 0;
    for (const packId of packIds) bytes += packs.get(packId) ?? 0;
    return bytes;
  };
  let sparseLiveBytes = 0;
  for (const packId of sparse) sparseLiveBytes += marks.liveBytes(packId);
  return {
    state: "looked",
    roots: roots.length,
    packs: packs.size,
    packBytes: bytesOf(packs.keys()),
    deadPacks: dead.length,
    deadBytes: bytesOf(dead),
    sparsePacks: sparse.length,
    sparseBytes: bytesOf(sparse),
    sparseLiveBytes,
    unreadablePacks: unreadable.length,
    deletedPacks: 0,
    deletedBytes: 0,
    sparedPacks: 0,
    waitingFor: [],
  };
}
