/**
 * The objects by which the gateways of a vault agree on what is collected (collector.ts has the rules). All are sealed
 * JSON, written once under keys of their own:
 *
 * - `condemned`: packs that nothing was seen to need, with the roots that were looked at. Nothing new may be built on
 *   them from the moment on that a writer knows of it.
 * - `acks/OWNER`: a writer knows, and tells what its uploads under way are built on.
 * - `verdict`: which of the condemned packs go. The others are as before.
 * - `done`: they are gone.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import { CYCLES_PREFIX, type CyclePart, cycleKey, cycleOf, WRITERS_PREFIX, writerKey } from "./keys.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

const FORMAT = 1;

export interface Condemned {
  readonly packs: readonly string[];
  /** Keys of all roots there were. */
  readonly roots: readonly string[];
}

export interface Ack {
  /** Packs that uploads under way have written, or build on. */
  readonly keep: readonly string[];
  /** Roots that uploads under way start from. */
  readonly parents: readonly string[];
}

export interface Verdict {
  /** The packs that go. */
  readonly packs: readonly string[];
  readonly roots: readonly string[];
}

/** How far a cycle has come. */
export interface CycleState {
  readonly cycle: number;
  readonly isJudged: boolean;
  readonly isDone: boolean;
  /** Owners of the writers that have answered. */
  readonly acks: ReadonlySet<string>;
}

export class Cycles {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;

  constructor(store: ObjectStore, sealer: ObjectSealer) {
    this.#store = store;
    this.#sealer = sealer;
  }

  /** The cycles that the bucket still has, oldest first. */
  async list(): Promise<CycleState[]> {
    const parts = new Map<number, Set<CyclePart>>();
    try {
      for await (const { key } of this.#store.list(CYCLES_PREFIX)) {
        const found = cycleOf(key);
        if (found === undefined) continue;
        const ofCycle = parts.get(found.cycle) ?? new Set();
        parts.set(found.cycle, ofCycle.add(found.part));
      }
    } catch (error) {
      throw fromStoreError(error, "listing the cycles of the collection");
    }
    return [...parts]
      .sort(([a], [b]) => a - b)
      .map(([cycle, found]) => ({
        cycle,
        isJudged: found.has("verdict"),
        isDone: found.has("done"),
        acks: new Set([...found].flatMap((part) => (part.startsWith("acks/") ? [part.slice(5)] : []))),
      }));
  }

  /** Begins a cycle; another may have begun it: then that one's list is what counts. */
  async condemn(cycle: number, condemned: Condemned): Promise<Condemned> {
    await this.#put(cycle, "condemned", condemned);
    return this.condemned(cycle);
  }

  condemned(cycle: number): Promise<Condemned> {
    return this.#get<Condemned>(cycle, "condemned", ["packs", "roots"]);
  }

  async acknowledge(cycle: number, ownerId: string, ack: Ack): Promise<void> {
    const key = cycleKey(cycle, `acks/${ownerId}`);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, { format: FORMAT, ...ack }));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  ack(cycle: number, ownerId: string): Promise<Ack> {
    return this.#get<Ack>(cycle, `acks/${ownerId}`, ["keep", "parents"]);
  }

  /** Decides the cycle; another may have decided it: then that verdict is what counts, and nothing else is deleted. */
  async judge(cycle: number, verdict: Verdict): Promise<Verdict> {
    await this.#put(cycle, "verdict", verdict);
    return this.verdict(cycle);
  }

  verdict(cycle: number): Promise<Verdict> {
    return this.#get<Verdict>(cycle, "verdict", ["packs", "roots"]);
  }

  finish(cycle: number): Promise<void> {
    return this.#put(cycle, "done", {});
  }

  /** Takes away what is left of the cycles before this one. */
  async prune(cycle: number): Promise<void> {
    const old: string[] = [];
    try {
      for await (const { key } of this.#store.list(CYCLES_PREFIX)) {
        const found = cycleOf(key);
        if (found !== undefined && found.cycle < cycle) old.push(key);
      }
      if (old.length > 0) await this.#store.delete(old);
    } catch (error) {
      throw fromStoreError(error, "clearing up after the collection");
    }
  }

  /** The owner ids of all registered writers. */
  async writers(): Promise<string[]> {
    const owners: string[] = [];
    try {
      for await (const { key } of this.#store.list(WRITERS_PREFIX))
        owners.push(key.slice(WRITERS_PREFIX.length));
    } catch (error) {
      throw fromStoreError(error, "listing the writers");
    }
    return owners;
  }

  async register(ownerId: string): Promise<void> {
    const key = writerKey(ownerId);
    try {
      await this.#store.put(key, this.#sealer.sealJson(key, { format: FORMAT }));
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  async isRegistered(ownerId: string): Promise<boolean> {
    try {
      return (await this.#store.head(writerKey(ownerId))) !== undefined;
    } catch (error) {
      throw fromStoreError(error, `looking for ${writerKey(ownerId)}`);
    }
  }

  async unregister(ownerId: string): Promise<void> {
    try {
      await this.#store.delete([writerKey(ownerId)]);
    } catch (error) {
      throw fromStoreError(error, `deleting ${writerKey(ownerId)}`);
    }
  }

  async #put(cycle: number, part: CyclePart, value: object): Promise<void> {
    const key = cycleKey(cycle, part);
    try {
      const sealed = this.#sealer.sealJson(key, { format: FORMAT, ...value });
      await this.#store.put(key, sealed, { ifAbsent: true });
    } catch (error) {
      throw fromStoreError(error, `writing ${key}`);
    }
  }

  async #get<T>(cycle: number, part: CyclePart, lists: readonly (keyof T & string)[]): Promise<T> {
    const key = cycleKey(cycle, part);
    let value: Record<string, unknown>;
    try {
      value = (this.#sealer.unsealJson(key, await this.#store.get(key)) ?? {}) as Record<string, unknown>;
    } catch (error) {
      throw fromStoreError(error, `reading ${key}`);
    }
    if (value.format !== FORMAT)
      throw new VaultError("unknownFormat", `${key}: format ${String(value.format)} is not known here`);
    for (const list of lists) {
      const found = value[list];
      if (!Array.isArray(found) || !found.every((each) => typeof each === "string"))
        throw new VaultError("corrupt", `${key} has no list of ${list}`);
    }
    return value as T;
  }
}
