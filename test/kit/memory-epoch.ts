import type { VolumeId } from "../../src/platform/ids.ts";
import type { EpochSource } from "../../src/vault/upload.ts";

/** An epoch whose changed blocks are in memory. */
export class MemoryEpoch implements EpochSource {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly cutAtMs: number;
  readonly kind: "checkpoint" | "step";
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly parentRootKey?: string;
  readonly dirtyBlockCount: number;
  readonly #changes: ReadonlyMap<number, Buffer>;
  readonly #pieces: ReadonlyMap<number, number>;

  constructor(options: {
    volumeId: string;
    epoch: number;
    sizeBytes: number;
    blockBytes: number;
    parentRootKey?: string | undefined;
    changes: ReadonlyMap<number, Buffer>;
    kind?: "checkpoint" | "step";
    cutAtMs?: number;
    /** Which pieces of a changed block may differ from the root before; all of them where nothing is said. */
    pieces?: ReadonlyMap<number, number>;
  }) {
    this.kind = options.kind ?? "checkpoint";
    this.cutAtMs = options.cutAtMs ?? 1_700_000_000_000;
    this.volumeId = options.volumeId as VolumeId;
    this.epoch = options.epoch;
    this.sizeBytes = options.sizeBytes;
    this.blockBytes = options.blockBytes;
    if (options.parentRootKey !== undefined) this.parentRootKey = options.parentRootKey;
    this.#changes = options.changes;
    this.#pieces = options.pieces ?? new Map();
    this.dirtyBlockCount = options.changes.size;
  }

  *dirtyBlocks(): Iterable<readonly number[]> {
    const blocks = [...this.#changes.keys()].sort((a, b) => a - b);
    for (let i = 0; i < blocks.length; i += 3) yield blocks.slice(i, i + 3);
  }

  dirtyPieces(block: number): number {
    return this.#pieces.get(block) ?? 0xffff;
  }

  async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    for (const [i, block] of blocks.entries()) this.#changes.get(block)?.copy(into, i * this.blockBytes);
  }
}
