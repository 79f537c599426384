/**
 * Fetches what a sequential reader will want next, while it is still busy with what it has.
 *
 * A reader whose misses follow one another is taken for sequential. From then on the next runs of blocks are fetched
 * before they are asked for, two of them ahead of the reader. What fails here is only tried again when it is asked for.
 */

/** Blocks fetched together: 1 MiB. */
export const RUN_BLOCKS = 16;
/** Runs ahead of the reader. */
const DEPTH = 2;

export class ReadAhead {
  readonly #blockCount: () => number;
  readonly #fetch: (first: number, count: number) => Promise<void>;
  /** Runs being fetched, by each of their blocks. */
  readonly #running = new Map<number, Promise<void>>();
  #lastMissEnd = -1;
  /** A read in [trigger, next) makes the run at `next` be fetched. -1: nobody reads sequentially. */
  #trigger = -1;
  #next = -1;

  /** `fetch` brings blocks to where a read finds them; the volume's `blockCount` may grow. */
  constructor(blockCount: () => number, fetch: (first: number, count: number) => Promise<void>) {
    this.#blockCount = blockCount;
    this.#fetch = fetch;
  }

  /** A read of these blocks has to be fetched for; answers how many to fetch with it. */
  missed(first: number, count: number): number {
    const isSequential = first === this.#lastMissEnd;
    const fetched = Math.min(isSequential ? Math.max(RUN_BLOCKS, count) : count, this.#blockCount() - first);
    this.#lastMissEnd = first + fetched;
    if (isSequential) {
      this.#trigger = first;
      this.#next = first + fetched;
      for (let i = 0; i < DEPTH; i++) this.#start();
    }
    return fetched;
  }

  /**
   * These blocks are going to be read one after the other, and are not here: they are all fetched, side by side, but for
   * those on their way already.
   */
  expected(first: number, count: number): void {
    this.missed(first, count);
    for (let at = first; at < first + count; ) {
      if (this.#running.has(at)) {
        at += 1;
        continue;
      }
      let end = at + 1;
      while (end < first + count && end - at < RUN_BLOCKS && !this.#running.has(end)) end += 1;
      this.#run(at, end - at);
      at = end;
    }
  }

  /** A read has found the block. On the hot path: two comparisons. */
  touched(block: number): void {
    if (block >= this.#trigger && block < this.#next) this.#start();
  }

  /** The fetch under way that brings the block, if there is one. It never rejects. */
  fetchOf(block: number): Promise<void> | undefined {
    return this.#running.get(block);
  }

  #start(): void {
    const first = this.#next;
    // The end of the volume was reached by the start before this one.
    if (first < 0) return;
    const count = Math.min(RUN_BLOCKS, this.#blockCount() - first);
    if (count <= 0) {
      this.#trigger = -1;
      this.#next = -1;
      return;
    }
    this.#next = first + count;
    this.#trigger = Math.max(this.#trigger, first - (DEPTH - 1) * RUN_BLOCKS);
    // Where the reader goes on from what was fetched ahead, its next miss is sequential again.
    this.#lastMissEnd = this.#next;
    this.#run(first, count);
  }

  #run(first: number, count: number): void {
    const done = () => {
      for (let block = first; block < first + count; block++) {
        if (this.#running.get(block) === fetch) this.#running.delete(block);
      }
    };
    // Why it failed is told to whoever asks for one of the blocks: he fetches it himself.
    const fetch: Promise<void> = this.#fetch(first, count).then(done, done);
    for (let block = first; block < first + count; block++) this.#running.set(block, fetch);
  }
}
