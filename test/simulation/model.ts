/** What the volumes of a simulation have to hold: one number for each sector, and those that a loss may bring back. */
import { strict as assert } from "node:assert";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import type { FleetVolume } from "../../src/volume/fleet-options.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";

export const SECTOR_BYTES = 512;
/** Sizes of volumes: they begin with the one and may grow to the other. */
export const BLOCKS_MIN = 24;
export const BLOCKS_MAX = 32;
const SECTORS_MAX = (BLOCKS_MAX * BLOCK_BYTES) / SECTOR_BYTES;
const WORDS = SECTOR_BYTES / 4;

export class Model {
  definition: FleetVolume;
  /** The value of each sector; 0: zeros. */
  readonly now = new Uint32Array(SECTORS_MAX);
  /** Values that a loss of power may bring back, by sector; a sector that is not in it is as `now`. */
  readonly older = new Map<number, Set<number>>();
  /** What each cut held. */
  readonly cuts = new Map<number, Uint32Array>();
  readonly uploaded = new Map<number, string>();
  volume: EngineVolume | undefined;
  /** Reads under way. */
  readonly reads = new Set<OpenRead>();
  /** Writes since a flush that is under way began. */
  #sinceFlush: { first: number; count: number; value: number }[] | undefined;
  #atFlush = new Uint32Array(0);

  constructor(definition: FleetVolume) {
    this.definition = definition;
  }

  get name(): string {
    return this.definition.volumeId;
  }

  get sectors(): number {
    return this.definition.sizeBytes / SECTOR_BYTES;
  }

  flushBegins(): void {
    this.#sinceFlush = [];
    this.#atFlush = this.now.slice();
  }

  /** What stood when the flush began is durable; what came later may be. */
  flushEnded(): void {
    this.older.clear();
    const at = this.#atFlush;
    for (const { first, count, value } of this.#sinceFlush ?? []) {
      for (let sector = first; sector < first + count; sector++) {
        const older = this.older.get(sector) ?? new Set();
        older.add(at[sector] ?? 0);
        this.older.set(sector, older);
        at[sector] = value;
      }
    }
    this.#sinceFlush = undefined;
  }

  /** A write begins: reads under way may find it. */
  begins(first: number, count: number, value: number): void {
    for (const read of this.reads) read.mayFind(first, count, value);
  }

  write(first: number, count: number, value: number): void {
    this.begins(first, count, value);
    this.#sinceFlush?.push({ first, count, value });
    for (let sector = first; sector < first + count; sector++) {
      const before = this.now[sector] ?? 0;
      const older = this.older.get(sector);
      if (older === undefined) this.older.set(sector, new Set([before]));
      else older.add(before);
      this.now[sector] = value;
    }
  }

  /** Whether the value may stand in the sector after a loss of power. */
  mayBe(sector: number, value: number): boolean {
    return this.now[sector] === value || this.older.get(sector)?.has(value) === true;
  }

  /**
   * After a loss of power, or of a disk: each sector has its last flushed value or a later one; from now on it is that.
   * `isDurable`: what is found is on stable storage, and not only in a cache.
   */
  settle(found: Uint32Array, isDurable: boolean): void {
    for (let sector = 0; sector < this.sectors; sector++) {
      const value = found[sector] ?? 0;
      assert(
        this.mayBe(sector, value),
        `${this.name}: sector ${sector} has ${value} after a loss, not ${this.now[sector]} ` +
          `or one of ${[...(this.older.get(sector) ?? [])].join(", ")}`,
      );
      const before = this.now[sector] ?? 0;
      if (value !== before) this.older.get(sector)?.add(before);
      this.now[sector] = value;
    }
    if (isDurable) this.older.clear();
    // Cuts that were lost are reported as failed, and their numbers may come again.
    for (const epoch of [...this.cuts.keys()]) {
      const state = this.volume?.epochState(epoch).state;
      if (state !== "pending" && state !== "uploaded") this.cuts.delete(epoch);
    }
  }
}

/**
 * A read that goes on while other things happen: of each sector it has to find a version that the volume had between
 * the beginning of the read and its end.
 */
export class OpenRead {
  readonly first: number;
  readonly count: number;
  readonly #atStart: Uint32Array;
  /** Values that came meanwhile, and where. */
  readonly #later: { readonly first: number; readonly count: number; readonly value: number }[] = [];

  constructor(model: Model, first: number, count: number) {
    this.first = first;
    this.count = count;
    this.#atStart = model.now.slice(first, first + count);
  }

  mayFind(first: number, count: number, value: number): void {
    this.#later.push({ first, count, value });
  }

  check(found: Uint32Array, what: string): void {
    for (let i = 0; i < this.count; i++) {
      const value = found[i];
      if (value === this.#atStart[i]) continue;
      const sector = this.first + i;
      const isFine = this.#later.some(
        (write) => write.value === value && write.first <= sector && sector < write.first + write.count,
      );
      assert(isFine, `${what}: sector ${sector} has ${value}, which it never had while it was read`);
    }
  }
}

/** Sectors that are filled with their value. */
export function fill(count: number, value: number): Buffer {
  return Buffer.from(new Uint32Array(count * WORDS).fill(value).buffer);
}

/** Words of a sector that are looked at: one that is of two writes shows at its ends or in its middle. */
const LOOKED_AT = [1, WORDS / 2 - 1, WORDS / 2, WORDS - 1];

/** One value a sector; a sector that is not of one piece is reported as such. */
export function valuesOf(bytes: Buffer): Uint32Array {
  const values = new Uint32Array(bytes.length / SECTOR_BYTES);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let sector = 0; sector < values.length; sector++) {
    const value = words[sector * WORDS] ?? 0;
    for (const at of LOOKED_AT) {
      if (words[sector * WORDS + at] !== value) assert.fail(`sector ${sector} is mixed of two writes`);
    }
    values[sector] = value;
  }
  return values;
}

/** Fails where two contents differ, with the first sector that does. */
export function assertSame(found: Uint32Array, expected: Uint32Array, count: number, what: string): void {
  for (let i = 0; i < count; i++) {
    if (found[i] !== expected[i]) assert.fail(`${what}: sector ${i} has ${found[i]}, not ${expected[i]}`);
  }
}
