/**
 * Bugs put back on purpose, of the kinds by which others have lost data: the simulation has to notice each of them.
 * Each mutant replaces one method for the time of its test.
 */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { PackWriter } from "../../src/vault/pack-writer.ts";
import { CachedVolume } from "../../src/volume/cached-volume.ts";
import { DirtyMap } from "../../src/volume/dirty-map.ts";
import { EngineVolume } from "../../src/volume/engine-volume.ts";
import { LocalEpoch } from "../../src/volume/epoch-source.ts";
import { Epochs } from "../../src/volume/epochs.ts";
import { HydrationMap } from "../../src/volume/hydration-map.ts";
import { RegionLog } from "../../src/volume/region-log.ts";
import { SlotChains } from "../../src/volume/slot-chains.ts";
import { SlotDisk } from "../../src/volume/slot-disk.ts";
import { SlotPool } from "../../src/volume/slot-pool.ts";
import { StoppableVolume } from "../../src/volume/stoppable-volume.ts";
import { SuspectDisks } from "../../src/volume/suspect-disks.ts";
import { SimDisk } from "./sim-disk.ts";
import { realVaultSeed } from "./simulated-gateway.ts";
import { VolumeSimulation } from "./volume-simulation.ts";

const SEEDS_MAX = 400;
const STEPS = 120;

type Replaceable = Record<string, unknown>;

interface Mutant {
  readonly bug: string;
  readonly owner: object;
  readonly name: string;
  /** The bug is one of the vault's: only lives with the real one can show it. */
  readonly isVaults?: boolean;
  /** The descriptor to put in place of the one that is there. */
  mutate(original: PropertyDescriptor): PropertyDescriptor;
}

/** A method that does something else; it gets the original one. */
function method(make: (original: (...args: never[]) => unknown) => unknown): Mutant["mutate"] {
  return (original) => ({ ...original, value: make(original.value as (...args: never[]) => unknown) });
}

function getter(value: unknown): Mutant["mutate"] {
  return (original) => ({ ...original, get: () => value });
}

const MUTANTS: readonly Mutant[] = [
  {
    bug: "a forgotten redirect: frozen blocks are overwritten",
    owner: Epochs.prototype,
    name: "isFrozen",
    mutate: method(() => () => false),
  },
  {
    bug: "a write that is not marked as dirty",
    owner: DirtyMap.prototype,
    name: "markRange",
    mutate: method((original) => {
      let calls = 0;
      return function mark(this: unknown, ...args: never[]) {
        calls += 1;
        if (calls % 5 !== 0) original.apply(this, args);
      };
    }),
  },
  {
    bug: "a flush that makes nothing durable",
    owner: EngineVolume.prototype,
    name: "flush",
    mutate: method(() => async () => {}),
  },
  {
    bug: "a slot used again before its release is durable, and gone for good before it is",
    owner: SlotPool.prototype,
    name: "release",
    mutate: method(
      (original) =>
        function release(this: unknown, ...[slot]: never[]) {
          original.apply(this, [slot as never, true as never]);
        },
    ),
  },
  {
    bug: "a loss of power taken for the death of the process: whatever is found is believed",
    owner: SimDisk.prototype,
    name: "bootId",
    mutate: getter("the same boot for ever"),
  },
  {
    bug: "a failed cut whose changes nobody inherits",
    owner: CachedVolume.prototype,
    name: "handOver",
    mutate: method(() => () => {}),
  },
  {
    bug: "a state that a flush under way makes durable, not kept beside the new one",
    owner: SlotDisk.prototype,
    name: "flushingSequence",
    mutate: (original) => ({
      ...original,
      get(this: SlotDisk) {
        return this.flushedSequence;
      },
    }),
  },
  {
    bug: "regions that are not logged before they are written",
    owner: RegionLog.prototype,
    name: "regions",
    mutate: method(() => () => []),
  },
  {
    bug: "a flush that has failed and is answered as done",
    owner: EngineVolume.prototype,
    name: "flush",
    mutate: method(
      (original) =>
        async function flush(this: unknown) {
          await (original.apply(this, []) as Promise<void>).catch(() => {});
        },
    ),
  },
  {
    bug: "a disk that failed and came back, believed as if nothing had happened",
    owner: SuspectDisks.prototype,
    name: "has",
    mutate: method(() => () => false),
  },
  {
    bug: "a failed sync that the next start knows nothing of",
    owner: Epochs.prototype,
    name: "markSuspect",
    mutate: method(() => async () => {}),
  },
  {
    bug: "a root written before its packs are durable",
    owner: PackWriter.prototype,
    name: "finish",
    isVaults: true,
    mutate: method(
      (original) =>
        async function finish(this: unknown) {
          (original.apply(this, []) as Promise<void>).catch(() => {});
        },
    ),
  },
  {
    bug: "a delta that leaves out a piece which has changed",
    owner: LocalEpoch.prototype,
    name: "dirtyPieces",
    isVaults: true,
    mutate: method(
      (original) =>
        function dirtyPieces(this: unknown, ...args: never[]) {
          const mask = original.apply(this, args) as number;
          return mask & (mask - 1);
        },
    ),
  },
  {
    bug: "a read that takes what memory does not have for read",
    owner: SlotChains.prototype,
    name: "read",
    mutate: method(
      (original) =>
        function read(this: unknown, ...args: never[]) {
          original.apply(this, args);
          return true;
        },
    ),
  },
  {
    bug: "a sector that can't be read, and the whole volume stops for it",
    owner: StoppableVolume.prototype,
    name: "storageError",
    mutate: method(
      (original) =>
        function storageError(this: unknown, ...[error]: never[]) {
          return original.apply(this, [error as never, "write" as never]);
        },
    ),
  },
  {
    bug: "slots of an epoch whose beginning was lost, left to nobody",
    owner: SlotChains.prototype,
    name: "adopt",
    mutate: method(() => () => false),
  },
  {
    bug: "hydrated blocks recorded as durable before their bytes are",
    owner: HydrationMap.prototype,
    name: "flush",
    mutate: method(
      (original) =>
        async function flush(this: unknown) {
          await original.apply(this, [(async () => {}) as never]);
        },
    ),
  },
];

describe("the simulation notices bugs that are put back on purpose", () => {
  for (const { bug, owner, name, isVaults, mutate } of MUTANTS) {
    test(bug, async () => {
      const original = Object.getOwnPropertyDescriptor(owner, name);
      assert(original !== undefined, `there is no ${name} any more`);
      Object.defineProperty(owner as Replaceable, name, { ...mutate(original), configurable: true });
      try {
        for (let i = 0; i < SEEDS_MAX; i++) {
          if (await fails(isVaults === true ? realVaultSeed(i) : i)) return;
        }
      } finally {
        Object.defineProperty(owner, name, original);
      }
      assert.fail(`${SEEDS_MAX} lives did not show it`);
    });
  }
});

async function fails(seed: number): Promise<boolean> {
  try {
    await new VolumeSimulation(seed).run(STEPS);
    return false;
  } catch {
    // Whatever it was that the simulation found: it found something.
    return true;
  }
}
