/**
 * Who may write roots of a volume (invariant 6): the owner of the highest lease generation. A generation is taken by
 * creating its object, which only one of several can do; nothing expires and no clock is asked.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { leaseKey, leasesPrefix } from "./keys.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

const TAKE_OVER_MAX = 5;

export class Leases {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #ownerId: string;

  constructor(store: ObjectStore, sealer: ObjectSealer, ownerId: string) {
    this.#store = store;
    this.#sealer = sealer;
    this.#ownerId = ownerId;
  }

  /** Our generation; takes the first where the volume has no owner. Throws "fenced" where another owns it. */
  async acquire(volumeId: VolumeId): Promise<number> {
    try {
      const highest = await this.#highest(volumeId);
      if (highest === 0) await this.#take(volumeId, 1);
      const generation = Math.max(highest, 1);
      const owner = await this.#owner(volumeId, generation);
      if (owner === this.#ownerId) return generation;
      throw new VaultError("fenced", `${volumeId} belongs to another gateway (generation ${generation})`);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  /** Throws "fenced" unless `generation` is still the highest. */
  async confirm(volumeId: VolumeId, generation: number): Promise<void> {
    try {
      const highest = await this.#highest(volumeId);
      if (highest === generation) return;
      throw new VaultError("fenced", `${volumeId} was taken over by another gateway (generation ${highest})`);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  /**
   * Makes us the owner, whoever it was; answers our generation. Roots that another writes from now on are never
   * accepted. Of two that do so at the same time the last one has it.
   */
  async takeOver(volumeId: VolumeId): Promise<number> {
    try {
      for (let attempt = 0; attempt < TAKE_OVER_MAX; attempt++) {
        const highest = await this.#highest(volumeId);
        if (highest > 0 && (await this.#owner(volumeId, highest)) === this.#ownerId) return highest;
        await this.#take(volumeId, highest + 1);
      }
      throw new VaultError("fenced", `${volumeId} is being taken over by others at the same time`);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  /**
   * Takes the next generation of a volume that is ours, or nobody's: what we wrote under the one before keeps its
   * place below. Throws "fenced" where another owns it.
   */
  async renew(volumeId: VolumeId): Promise<void> {
    const generation = await this.acquire(volumeId);
    try {
      await this.#take(volumeId, generation + 1);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  /**
   * Makes another the owner of a volume that is ours, or nobody's: from then on we may not write it any more. Throws
   * "fenced" where it is another's already.
   */
  async give(volumeId: VolumeId, ownerId: string): Promise<void> {
    try {
      const highest = await this.#highest(volumeId);
      if (highest > 0 && (await this.#owner(volumeId, highest)) === ownerId) return;
      const generation = await this.acquire(volumeId);
      await this.#take(volumeId, generation + 1, ownerId);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  /** Throws "fenced" where the volume has an owner, and it is not us. */
  async check(volumeId: VolumeId): Promise<void> {
    try {
      const highest = await this.#highest(volumeId);
      if (highest === 0 || (await this.#owner(volumeId, highest)) === this.#ownerId) return;
      throw new VaultError("fenced", `${volumeId} was taken over by another gateway (generation ${highest})`);
    } catch (error) {
      throw fromStoreError(error, `the lease of ${volumeId}`);
    }
  }

  async #highest(volumeId: VolumeId): Promise<number> {
    let highest = 0;
    for await (const { key } of this.#store.list(leasesPrefix(volumeId))) {
      highest = Math.max(highest, Number(key.slice(leasesPrefix(volumeId).length)) || 0);
    }
    return highest;
  }

  async #take(volumeId: VolumeId, generation: number, ownerId = this.#ownerId): Promise<void> {
    const key = leaseKey(volumeId, generation);
    await this.#store.put(key, this.#sealer.sealJson(key, { format: 1, ownerId }), { ifAbsent: true });
  }

  async #owner(volumeId: VolumeId, generation: number): Promise<unknown> {
    const key = leaseKey(volumeId, generation);
    const value = this.#sealer.unsealJson(key, await this.#store.get(key));
    return (value as { ownerId?: unknown } | null)?.ownerId;
  }
}
