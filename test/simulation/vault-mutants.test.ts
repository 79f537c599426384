/** Bugs of the collection put back on purpose: the simulation of the vault has to notice each of them. */
import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ChunkIndex } from "../../src/vault/chunk-index.ts";
import { Cycles } from "../../src/vault/cycles.ts";
import { Leases } from "../../src/vault/lease.ts";
import { SimStore } from "./sim-store.ts";
import { VaultSimulation } from "./vault-simulation.ts";

const SEEDS_MAX = 60;
const STEPS = 40;

type Method = (...args: never[]) => unknown;

interface Mutant {
  readonly bug: string;
  readonly methods: readonly (readonly [owner: object, name: string, make: (original: Method) => Method])[];
}

const forgetful: Mutant["methods"][number] = [
  SimStore.prototype,
  "list",
  (original) =>
    async function* list(this: unknown, prefix: never) {
      let n = 0;
      for await (const found of original.apply(this, [prefix]) as AsyncIterable<{ key: string }>) {
        n += 1;
        // A bucket that leaves one of some roots out of each of its answers.
        if (!found.key.startsWith("volumes/") || n % 7 !== 3) yield found;
      }
    },
];

const MUTANTS: readonly Mutant[] = [
  {
    bug: "a collection that waits for nobody's answer",
    methods: [[Cycles.prototype, "writers", () => async () => []]],
  },
  {
    bug: "an answer that leaves out what uploads under way are built on",
    methods: [
      [
        Cycles.prototype,
        "acknowledge",
        (original) =>
          function acknowledge(this: unknown, ...[cycle, owner]: never[]) {
            return original.apply(this, [cycle, owner, { keep: [], parents: [] }] as never[]);
          },
      ],
    ],
  },
  {
    bug: "an upload that builds on what is condemned",
    methods: [
      [
        ChunkIndex.prototype,
        "findUsable",
        () =>
          function findUsable(this: ChunkIndex, ...[name]: never[]) {
            return this.find(name as unknown as Buffer)?.packId;
          },
      ],
    ],
  },
  {
    bug: "a listing that leaves roots out, believed",
    methods: [
      forgetful,
      [
        SimStore.prototype,
        "head",
        (original) =>
          async function head(this: unknown, ...[key]: never[]) {
            return String(key).startsWith("volumes/") ? undefined : original.apply(this, [key as never]);
          },
      ],
    ],
  },
  {
    bug: "a lease that is not looked at again",
    methods: [[Leases.prototype, "confirm", () => async () => {}]],
  },
  {
    bug: "leases that are asked for once, and believed for ever",
    methods: [
      [
        Leases.prototype,
        "lost",
        (original) => {
          const first = new WeakMap<object, Promise<readonly object[]>>();
          return function lost(this: object, ...args: never[]) {
            const known = first.get(this) ?? (original.apply(this, args) as Promise<readonly object[]>);
            first.set(this, known);
            return known;
          };
        },
      ],
    ],
  },
];

describe("the simulation of the vault notices bugs that are put back on purpose", () => {
  for (const { bug, methods } of MUTANTS) {
    test(bug, async () => {
      const restore: (() => void)[] = [];
      for (const [owner, name, make] of methods) {
        const original = Object.getOwnPropertyDescriptor(owner, name);
        assert(original !== undefined, `there is no ${name} any more`);
        Object.defineProperty(owner, name, { ...original, value: make(original.value as Method) });
        restore.push(() => Object.defineProperty(owner, name, original));
      }
      try {
        for (let seed = 0; seed < SEEDS_MAX; seed++) if (await fails(seed)) return;
      } finally {
        for (const undo of restore) undo();
      }
      assert.fail(`${SEEDS_MAX} lives did not show it`);
    });
  }
});

async function fails(seed: number): Promise<boolean> {
  try {
    await new VaultSimulation(seed).run(STEPS);
    return false;
  } catch {
    // Whatever it was that the simulation found: it found something.
    return true;
  }
}
