/**
 * Brings the blocks of a restored stored volume to its disk: those that the guest asks for at once, the others one
 * run after another in the background.
 *
 * A block is written only while the map says that it is missing, and marked right after, with no wait in between: so
 * a fetched block can never cover what the guest has written meanwhile.
 */
import { type Clock, delay, nextTurn } from "../platform/clock.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import type { HydrationMap } from "./hydration-map.ts";
import { isUnavailable, type RootReader, toDeviceError } from "./root-reader.ts";
import type { BrakeShare, WriteBrake } from "./write-brake.ts";

export interface HydratorOptions {
  readonly hydration: HydrationMap;
  readonly world: {
    readonly clock: Clock;
    readonly roots: RootReader;
    readonly brake: Pick<WriteBrake, "admitted">;
    readonly limits: { readonly vaultWaitMs: number; readonly vaultRetryMs: number };
  };
  readonly rootKey: string;
  /** The disk reads as zeros wherever a block is missing, so zero blocks need no write. */
  readonly blank: boolean;
  /** Writes whole blocks to the volume's disk. */
  writeBlocks(first: number, count: number, content: Buffer, offset: number): void;
  /** Called once, when no block is missing any more. */
  done(): Promise<void>;
}

/** Blocks fetched together where a guest waits for one of them: 1 MiB. */
const GUEST_RUN_BLOCKS = 16;
/** And in the background, where nobody does: 4 MiB. The vault looks further ahead, and fetches more at a time. */
const BACKGROUND_RUN_BLOCKS = 64;
/** Runs under way at a time in the background: one that is written, one that is decoded, one that waits. */
const PARALLEL_RUNS = 3;
/** Blocks whose zeros are asked for together, and marked without a pause: 256 GiB, a millisecond. */
const WINDOW_BLOCKS = 4 * 1024 * 1024;
/** A window ends earlier behind so many blocks that are not zeros. */
const WINDOW_NON_ZERO_BLOCKS = 1024;
/** The pause before blocks that could not be had are tried again. */
const HOLES_RETRY_MS = 60_000;

export class Hydrator {
  readonly #options: HydratorOptions;
  readonly #inFlight = new Map<number, Promise<void>>();
  readonly #brakeShare: BrakeShare = { turn: 0, bytes: 0 };
  #stopped = false;
  /** Guests that wait for a block: the background lets them go first. */
  #guests = 0;
  #whenAlone: () => void = () => {};

  constructor(options: HydratorOptions) {
    this.#options = options;
  }

  /** Begins to fetch in the background. */
  start(): void {
    this.#run().catch((error: unknown) => {
      // `done` failed: the volume has noted why and has stopped; there is nothing left to fetch for it.
      if (!this.#stopped) this.#lastError = error;
    });
  }

  #lastError: unknown;
  /** The block that could not be had. */
  #failedAt = 0;

  /** The failure that ended the background work, if one did. */
  get lastError(): unknown {
    return this.#lastError;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Brings one block (and, on the way, its neighbours) to the disk. Rejects with a DeviceError. */
  async fetchBlock(block: number): Promise<void> {
    const { clock, limits } = this.#options.world;
    const deadlineMs = clock.monotonicMs() + limits.vaultWaitMs;
    this.#guests += 1;
    try {
      await this.#fetchFor(block, deadlineMs, clock, limits.vaultRetryMs);
    } finally {
      this.#guests -= 1;
      if (this.#guests === 0) this.#whenAlone();
    }
  }

  async #fetchFor(block: number, deadlineMs: number, clock: Clock, vaultRetryMs: number): Promise<void> {
    while (!this.#stopped && !this.#options.hydration.has(block)) {
      try {
        await this.#fetchAround(block, false);
      } catch (error) {
        if (!isUnavailable(error) || clock.monotonicMs() >= deadlineMs) throw toDeviceError(error);
        await delay(clock, vaultRetryMs);
      }
    }
  }

  /** Fetches the aligned run that holds `block`; where that fails for one rotten chunk, the block alone. */
  async #fetchAround(block: number, isBackground: boolean): Promise<void> {
    const runBlocks = isBackground ? BACKGROUND_RUN_BLOCKS : GUEST_RUN_BLOCKS;
    const first = block - (block % runBlocks);
    const count = Math.min(runBlocks, this.#options.hydration.blockCount - first);
    try {
      await this.#fetchRun(first, count, isBackground);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      await this.#fetchRun(block, 1, isBackground);
    }
  }

  #fetchRun(first: number, count: number, isBackground: boolean): Promise<void> {
    const key = first * (BACKGROUND_RUN_BLOCKS + 1) + count;
    let run = this.#inFlight.get(key);
    if (run === undefined) {
      run = this.#load(first, count, isBackground).finally(() => this.#inFlight.delete(key));
      this.#inFlight.set(key, run);
    }
    return run;
  }

  async #load(first: number, count: number, isBackground: boolean): Promise<void> {
    const { rootKey, world } = this.#options;
    const { roots } = world;
    if (isBackground) await roots.readRun(rootKey, first, count, (...blocks) => this.#write(...blocks));
    else this.#write(await roots.readBlocks(rootKey, first, count), first, count);
  }

  /** Writes those of the blocks that are missing, now and here: nothing can come in between. */
  #write(content: Buffer, first: number, count: number): void {
    const { hydration, writeBlocks } = this.#options;
    if (this.#stopped) return;
    for (let i = 0; i < count; i++) {
      if (hydration.has(first + i)) continue;
      let end = i + 1;
      while (end < count && !hydration.has(first + end)) end += 1;
      writeBlocks(first + i, end - i, content, i * BLOCK_BYTES);
      hydration.add(first + i, end - i);
      i = end;
    }
  }

  async #run(): Promise<void> {
    const { hydration, world } = this.#options;
    let cursor = 0;
    let holes = 0;
    let windowEnd = 0;
    while (!this.#stopped) {
      const block = hydration.nextMissing(cursor);
      if (block < 0) {
        if (hydration.complete) break;
        // Some blocks could not be had: they are named by every read of them, and tried again now and then.
        if (holes === 0 && cursor === 0) break;
        await delay(world.clock, HOLES_RETRY_MS);
        cursor = 0;
        holes = 0;
        windowEnd = 0;
        continue;
      }
      // What is behind is there, or a hole: a search that began there again would pass over it again.
      cursor = Math.max(cursor, block);
      this.#failedAt = block;
      try {
        if (block >= windowEnd) {
          windowEnd = await this.#skipZeros(block);
          continue;
        }
        const end = windowEnd;
        const fetchWindow = () => this.#fetchWindow(block, end);
        const { turns } = world.roots;
        cursor = await (turns === undefined ? fetchWindow() : turns.run(fetchWindow));
      } catch (error) {
        if (isUnavailable(error)) {
          await delay(world.clock, world.limits.vaultRetryMs);
        } else {
          holes += 1;
          cursor = this.#failedAt + 1;
        }
      }
      await nextTurn();
    }
    if (!this.#stopped && hydration.complete) await this.#options.done();
  }

  /** Fetches the runs that miss something before `end`, some side by side; answers where to go on. */
  async #fetchWindow(block: number, end: number): Promise<number> {
    const { hydration } = this.#options;
    const running = new Set<Promise<void>>();
    let failed: { readonly at: number; readonly error: unknown } | undefined;
    for (let next = block; !this.#stopped && failed === undefined; ) {
      if (this.#guests > 0) {
        await new Promise<void>((resolve) => {
          this.#whenAlone = resolve;
        });
      }
      // Disks that don't keep up are for the guests.
      await this.#options.world.brake.admitted(this.#brakeShare, BACKGROUND_RUN_BLOCKS * BLOCK_BYTES);
      const at = hydration.nextMissing(next);
      if (this.#stopped || at < 0 || at >= end) break;
      next = at - (at % BACKGROUND_RUN_BLOCKS) + BACKGROUND_RUN_BLOCKS;
      const run: Promise<void> = this.#fetchAround(at, true)
        .catch((error: unknown) => {
          // The first that failed is what the caller hears of; where it goes on, the others are met again.
          if (failed === undefined || at < failed.at) failed = { at, error };
        })
        .finally(() => running.delete(run));
      running.add(run);
      if (running.size >= PARALLEL_RUNS) await Promise.race(running);
    }
    await Promise.all(running);
    if (failed === undefined) return block;
    this.#failedAt = failed.at;
    throw failed.error;
  }

  /** Marks the zero blocks of the next window as there; answers the window's end. */
  async #skipZeros(first: number): Promise<number> {
    const { blank, hydration, rootKey, world } = this.#options;
    const count = Math.min(WINDOW_BLOCKS, hydration.blockCount - first);
    if (!blank) return first + count;
    const { roots } = world;
    const { blocks, end } = await roots.nonZeroBlocks(rootKey, first, count, WINDOW_NON_ZERO_BLOCKS);
    if (this.#stopped) return end;
    let zeros = first;
    for (const block of [...blocks, end]) {
      if (block > zeros) hydration.add(zeros, block - zeros);
      zeros = block + 1;
    }
    return end;
  }
}
