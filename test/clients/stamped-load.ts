/**
 * A write load that remembers what it was promised: every write fills its sectors with a number of its own, and for
 * each sector it is known which numbers a reader may find. Writes under way never overlap.
 */
import { strict as assert } from "node:assert";
import type { SeededRandom } from "../kit/seeded-random.ts";
import type { BlockClient } from "./block-client.ts";

const SECTOR_BYTES = 512;
const PIECE_SECTORS = 8;
const WRITE_SECTORS_MAX = 128;

interface UnderWay {
  readonly sector: number;
  readonly count: number;
  readonly stamp: number;
}

/** What each sector may hold in a snapshot whose request and answer came at known moments. */
export interface SnapshotExpectation {
  readonly before: Uint32Array;
  readonly later: Map<number, Set<number>>;
}

export class StampedLoad {
  readonly sectors: number;
  readonly #random: SeededRandom;
  readonly #acknowledged: Uint32Array;
  readonly #underWay = new Set<UnderWay>();
  /** Snapshots that are being asked for: writes that begin meanwhile may be in them. */
  readonly #open = new Set<SnapshotExpectation>();
  #stamp = 0;
  #stopped = false;
  acknowledgedWrites = 0;

  /** Uses the first `sectors` of a volume that holds zeros there. */
  constructor(sectors: number, random: SeededRandom) {
    this.sectors = sectors;
    this.#random = random;
    this.#acknowledged = new Uint32Array(sectors);
  }

  /** Keeps `depth` writes under way until `stop`, or until the connection ends. */
  async run(client: BlockClient, depth: number): Promise<void> {
    this.#stopped = false;
    await Promise.all(Array.from({ length: depth }, () => this.#writer(client)));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** To be called before a snapshot is asked for; `close` it with `snapshotTaken`. */
  snapshotBegins(): SnapshotExpectation {
    const expectation = { before: this.#acknowledged.slice(), later: new Map<number, Set<number>>() };
    for (const write of this.#underWay) note(expectation, write);
    this.#open.add(expectation);
    return expectation;
  }

  snapshotTaken(expectation: SnapshotExpectation): void {
    this.#open.delete(expectation);
  }

  /**
   * After a crash: reads everything. Each sector has to hold what was acknowledged last, or a write that was under
   * way; from now on it is that.
   */
  async settle(client: BlockClient): Promise<void> {
    const mayBe = new Map<number, Set<number>>();
    for (const { sector, count, stamp } of this.#underWay) {
      for (let i = sector; i < sector + count; i++) mayBe.set(i, (mayBe.get(i) ?? new Set()).add(stamp));
    }
    this.#underWay.clear();
    const found = await readStamps(client, this.sectors);
    for (let i = 0; i < this.sectors; i++) {
      const value = found[i] ?? 0;
      const fine = value === this.#acknowledged[i] || mayBe.get(i)?.has(value) === true;
      assert(fine, `sector ${i} holds ${value}; ${this.#acknowledged[i]} was acknowledged`);
      this.#acknowledged[i] = value;
    }
  }

  async #writer(client: BlockClient): Promise<void> {
    while (!this.#stopped) {
      const write = this.#next();
      this.#underWay.add(write);
      for (const expectation of this.#open) note(expectation, write);
      try {
        await client.write(write.sector, stamped(write.count, write.stamp));
      } catch {
        // The gateway has died: whether this write has got there is found out by `settle`.
        return;
      }
      this.#acknowledged.fill(write.stamp, write.sector, write.sector + write.count);
      this.#underWay.delete(write);
      this.acknowledgedWrites += 1;
    }
  }

  #next(): UnderWay {
    for (;;) {
      const isLarge = this.#random.chance(0.2);
      const count = isLarge
        ? PIECE_SECTORS * (this.#random.below(WRITE_SECTORS_MAX / PIECE_SECTORS) + 1)
        : PIECE_SECTORS;
      const sector = this.#random.below((this.sectors - count) / PIECE_SECTORS + 1) * PIECE_SECTORS;
      const overlaps = [...this.#underWay].some(
        (w) => w.sector < sector + count && sector < w.sector + w.count,
      );
      if (overlaps) continue;
      this.#stamp += 1;
      return { sector, count, stamp: this.#stamp };
    }
  }
}

/** A snapshot's content has to be what was acknowledged before it was asked for, or a write that came in between. */
export async function checkSnapshot(client: BlockClient, expectation: SnapshotExpectation): Promise<void> {
  const found = await readStamps(client, expectation.before.length);
  for (const [i, value] of found.entries()) {
    const fine = value === expectation.before[i] || expectation.later.get(i)?.has(value) === true;
    assert(
      fine,
      `sector ${i} of the snapshot holds ${value}; ${expectation.before[i]} was acknowledged before it`,
    );
  }
}

function note({ later }: SnapshotExpectation, { sector, count, stamp }: UnderWay): void {
  for (let i = sector; i < sector + count; i++) later.set(i, (later.get(i) ?? new Set()).add(stamp));
}

function stamped(count: number, stamp: number): Buffer {
  return Buffer.from(new Uint32Array((count * SECTOR_BYTES) / 4).fill(stamp).buffer);
}

async function readStamps(client: BlockClient, sectors: number): Promise<Uint32Array> {
  const stamps = new Uint32Array(sectors);
  for (let at = 0; at < sectors; at += WRITE_SECTORS_MAX) {
    const count = Math.min(WRITE_SECTORS_MAX, sectors - at);
    const bytes = await client.read(at, count);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    for (let i = 0; i < count; i++) {
      const first = words[i * 128] ?? 0;
      for (let word = 1; word < 128; word++)
        assert.equal(words[i * 128 + word], first, `sector ${at + i} is torn`);
      stamps[at + i] = first;
    }
  }
  return stamps;
}
