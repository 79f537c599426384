import type { Disk } from "../../src/platform/disk.ts";
import type { VolumeId } from "../../src/platform/ids.ts";
import type { UploadedEpoch } from "../../src/volume/epoch-log.ts";
import { type EpochReaders, LocalEpoch, type UploadOrder } from "../../src/volume/epoch-source.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import type { RootReader, UseBlocks } from "../../src/volume/root-reader.ts";
import type { SeededRandom } from "../kit/seeded-random.ts";

type Root = ReadonlyMap<number, Buffer>;

/** A rejection as the vault's own look to a volume. */
export class SimVaultError extends Error {
  override readonly name = "SimVaultError";
  readonly kind: string;

  constructor(kind: string) {
    super(`the simulated vault: ${kind}`);
    this.kind = kind;
  }
}

const ZERO = Buffer.alloc(BLOCK_BYTES);

/** A vault as the simulation uses it. */
export interface SimulatedVault extends RootReader {
  /** Probabilities of an answer that does not come, and of an upload that never can succeed. */
  unavailable: number;
  broken: number;
  violation: Error | undefined;
  /** The whole content of a root. */
  content(rootKey: string, blockCount: number): Promise<Buffer>;
  upload(
    order: UploadOrder,
    disk: Disk,
    locate: EpochReaders["locate"],
    isAlive: () => boolean,
  ): Promise<UploadedEpoch>;
  /** The process has died. */
  newLife(): void;
  /** The volume begins anew: its epochs count from the beginning again. */
  renewLease(volumeId: VolumeId): Promise<void>;
}

/** The vault as a volume sees it: roots that hold blocks, and answers that take a while or fail. */
export class SimVault implements SimulatedVault {
  readonly #random: SeededRandom;
  readonly #roots = new Map<string, Root>();
  readonly #generations = new Map<VolumeId, number>();
  unavailable = 0;
  broken = 0;
  violation: Error | undefined;
  /** What nobody waits for comes after everything else. */
  slow = false;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  newLife(): void {
    // It holds nothing that a process could lose.
  }

  async renewLease(volumeId: VolumeId): Promise<void> {
    this.#generations.set(volumeId, this.#generationOf(volumeId) + 1);
  }

  #generationOf(volumeId: VolumeId): number {
    return this.#generations.get(volumeId) ?? 1;
  }

  async content(rootKey: string, blockCount: number): Promise<Buffer> {
    const root = this.#root(rootKey);
    return Buffer.concat(Array.from({ length: blockCount }, (_, block) => root.get(block) ?? ZERO));
  }

  async readBlocks(rootKey: string, first: number, count: number, isBackground = false): Promise<Buffer> {
    if (isBackground) await pauseInBackground(this.#random, this.slow ? 1 : 0.4);
    await this.#pause();
    if (this.#random.chance(this.unavailable)) throw new SimVaultError("unavailable");
    const root = this.#root(rootKey);
    return Buffer.concat(Array.from({ length: count }, (_, i) => root.get(first + i) ?? ZERO));
  }

  async readRun(rootKey: string, first: number, count: number, use: UseBlocks): Promise<void> {
    const content = await this.readBlocks(rootKey, first, count);
    // Each block by itself: more can come in between.
    for (let i = 0; i < count; i++) {
      use(content.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES), first + i, 1);
      await this.#pause();
    }
  }

  async nonZeroBlocks(
    rootKey: string,
    first: number,
    count: number,
    max: number,
  ): Promise<{ blocks: number[]; end: number }> {
    await this.#pause();
    if (this.#random.chance(this.unavailable)) throw new SimVaultError("unavailable");
    const root = this.#root(rootKey);
    const all = Array.from({ length: count }, (_, i) => first + i).filter((block) => root.has(block));
    const blocks = all.slice(0, max);
    return { blocks, end: all.length > max ? (blocks.at(-1) ?? 0) + 1 : first + count };
  }

  /** Uploads as the backup worker does: block by block, with all that can happen in between. */
  async upload(
    order: UploadOrder,
    disk: Disk,
    locate: EpochReaders["locate"],
    isAlive: () => boolean,
  ): Promise<UploadedEpoch> {
    const generation = this.#generationOf(order.volumeId);
    const root = new Map(order.parentRootKey === undefined ? [] : this.#root(order.parentRootKey));
    const source = new LocalEpoch(order, disk, {
      locate: async (...args) => {
        await this.#pause();
        return locate(...args);
      },
      readBase: (key, block) => this.readBlocks(key, block, 1),
    });
    if (this.#random.chance(this.broken)) throw new SimVaultError("corrupt");
    for (const blocks of source.dirtyBlocks()) {
      // One by one, where the real one takes a batch: more can come in between.
      for (const block of blocks) {
        await this.#pause();
        if (!isAlive() || this.#random.chance(this.unavailable)) throw new SimVaultError("unavailable");
        const bytes = Buffer.alloc(BLOCK_BYTES);
        await source.readBlocks([block], bytes);
        if (bytes.equals(ZERO)) root.delete(block);
        else root.set(block, bytes);
      }
    }
    if (!isAlive()) throw new SimVaultError("unavailable");
    if (generation !== this.#generationOf(order.volumeId)) throw new SimVaultError("fenced");
    const rootKey = `volumes/${order.volumeId}/roots/${generation}-${order.epoch}`;
    const there = this.#roots.get(rootKey);
    // An upload that is repeated has to come to the same root: nothing of a closed epoch may have changed.
    if (there !== undefined && !isSame(there, root))
      this.violation ??= new Error(`${rootKey} came out differently`);
    this.#roots.set(rootKey, root);
    await this.#pause();
    if (this.#random.chance(this.unavailable)) throw new SimVaultError("unavailable");
    return { epoch: order.epoch, rootKey, uploadedBytes: 0, fullBytes: root.size * BLOCK_BYTES };
  }

  #root(rootKey: string): Root {
    const root = this.#roots.get(rootKey);
    if (root === undefined) throw new Error(`no root ${rootKey}`);
    return root;
  }

  async #pause(): Promise<void> {
    for (let i = this.#random.below(4); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
  }
}

const BACKGROUND_TURNS_MAX = 150;

/** What nobody waits for takes its time: uploads begin and end before a volume has all of its blocks. */
export async function pauseInBackground(random: SeededRandom, probability = 0.4): Promise<void> {
  if (!random.chance(probability)) return;
  const turns = probability === 1 ? BACKGROUND_TURNS_MAX : random.below(BACKGROUND_TURNS_MAX);
  for (let i = turns; i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
}

function isSame(a: Root, b: Root): boolean {
  return a.size === b.size && [...a].every(([block, bytes]) => b.get(block)?.equals(bytes) === true);
}
