/**
 * This gateway as one of the vault's writers: what it does for the collection (collector.ts has the rules).
 *
 * It registers before its first upload. From the moment on that it knows a pack to be condemned nothing new is built on
 * it, which the index sees to; and it tells what its uploads under way were built on before. What a verdict takes it
 * forgets for good.
 */
import type { VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { Cycles } from "./cycles.ts";
import type { IndexKeeper } from "./index-keeper.ts";
import { VaultError } from "./vault-error.ts";

/** What one upload is built on. */
export interface References {
  readonly packs: Set<string>;
  readonly parentRootKey: string | undefined;
}

export class Membership {
  readonly #cycles: Cycles;
  readonly #index: ChunkIndex;
  readonly #keeper: IndexKeeper;
  readonly #ownerId: string;
  readonly #queue = new SerialQueue();
  /** Of uploads under way. */
  readonly #running = new Set<References>();
  /** Of uploads that may have written a root, nobody knows: until the same volume's next one has succeeded. */
  readonly #unsure = new Map<VolumeId, References[]>();
  #isRegistered = false;
  /** The cycle that was acknowledged last. */
  #acknowledged = 0;

  constructor(cycles: Cycles, index: ChunkIndex, keeper: IndexKeeper, ownerId: string) {
    this.#cycles = cycles;
    this.#index = index;
    this.#keeper = keeper;
    this.#ownerId = ownerId;
  }

  /** Makes sure that uploads may begin: the collection waits for us, and we know what it has decided. */
  ready(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isRegistered && this.#index.settledCycle !== undefined) return;
      // Registered first: a cycle that is begun after that waits for us, and one that was begun before is seen below.
      await this.#cycles.register(this.#ownerId);
      this.#isRegistered = true;
      await this.#settle();
    });
  }

  /** Learns what the collection has come to, and answers it. To be called now and then. */
  settle(): Promise<void> {
    return this.#queue.run(async () => {
      // One that ended without a word is on the list still, and has nothing under way.
      this.#isRegistered ||= await this.#cycles.isRegistered(this.#ownerId);
      if (this.#isRegistered) await this.#settle();
    });
  }

  /** An upload begins. */
  begin(parentRootKey: string | undefined): References {
    const references = { packs: new Set<string>(), parentRootKey };
    this.#running.add(references);
    return references;
  }

  /** An upload has ended. `isUnsure`: its root may or may not be in the bucket, now or later. */
  end(volumeId: VolumeId, references: References, outcome: "done" | "failed" | "unsure"): void {
    this.#running.delete(references);
    if (outcome === "done") this.#unsure.delete(volumeId);
    if (outcome === "unsure") this.#unsure.set(volumeId, [...(this.#unsure.get(volumeId) ?? []), references]);
  }

  /** Throws where somebody has taken us off the list of writers: what was just written may be built on nothing. */
  async confirm(): Promise<void> {
    if (await this.#cycles.isRegistered(this.#ownerId)) return;
    this.#isRegistered = false;
    throw new VaultError(
      "unavailable",
      "this gateway was taken off the list of the vault's writers; it begins again",
    );
  }

  /** No upload is under way, and none will be: the collection need not wait for us. */
  async leave(): Promise<void> {
    if (!this.#isRegistered || this.#running.size > 0 || this.#unsure.size > 0) return;
    this.#isRegistered = false;
    await this.#cycles.unregister(this.#ownerId);
  }

  async #settle(): Promise<void> {
    const cycles = await this.#cycles.list();
    const newest = cycles.at(-1);
    const settled = this.#index.settledCycle;
    const judged = cycles.filter(({ isJudged }) => isJudged);
    const lastJudged = judged.at(-1)?.cycle ?? 0;
    if (settled === undefined || settled < lastJudged) {
      for (const { cycle } of judged) {
        if (settled !== undefined && cycle <= settled) continue;
        this.#index.dropPacks((await this.#cycles.verdict(cycle)).packs, true);
      }
      // Verdicts may have come and gone while nobody looked: what they took is not in the bucket.
      if (settled === undefined || settled + 1 < (judged[0]?.cycle ?? 0)) await this.#keeper.dropLost();
    }
    if (newest === undefined || newest.isJudged) {
      if (settled !== lastJudged) {
        this.#index.condemn([]);
        this.#index.setSettledCycle(lastJudged);
      }
      return;
    }
    const isAnswered = this.#acknowledged === newest.cycle && newest.acks.has(this.#ownerId);
    if (isAnswered && settled === lastJudged) return;
    const { packs } = await this.#cycles.condemned(newest.cycle);
    // From this line on nothing is built on them; what was built on them before is in the answer.
    this.#index.condemn(packs);
    this.#index.setSettledCycle(lastJudged);
    const uploads = [...this.#running, ...[...this.#unsure.values()].flat()];
    const keep = new Set(uploads.flatMap((each) => [...each.packs]));
    const parents = new Set(uploads.flatMap(({ parentRootKey }) => parentRootKey ?? []));
    await this.#cycles.acknowledge(newest.cycle, this.#ownerId, { keep: [...keep], parents: [...parents] });
    this.#acknowledged = newest.cycle;
  }
}
