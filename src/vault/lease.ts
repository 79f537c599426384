/**
 * Who may write roots of a volume (invariant 6): the owner of the highest lease generation. A generation is taken by
 * creating its object, which only one of several can do; nothing expires and no clock is asked.
 *
 * What is asked before a root counts (`acquire`, `confirm`) is always asked of the volume itself. Which volumes have been
 * lost, so that a gateway stops serving them, is asked for all of them by one listing, since keys alone say which
 * generation is the highest; and as a lease is written once, its owner is read once.
 */
import type { ObjectStore } from "../objects/object-store.ts";
import type { VolumeId } from "../platform/ids.ts";
import { LEASES_PREFIX, leaseKey, leasesPrefix, volumeOfLease } from "./keys.ts";
import { RecentMap } from "./recent-map.ts";
import type { ObjectSealer } from "./sealed-object.ts";
import { fromStoreError, VaultError } from "./vault-error.ts";

const TAKE_OVER_MAX = 5;
/** Keys that one page of a listing has, at S3 servers. */
const PAGE_KEYS = 1000;
/** Owners of leases that are remembered. */
const OWNERS_MAX = 65_536;

/** A volume whose writer is another gateway. */
export interface LostVolume {
  readonly volumeId: VolumeId;
  readonly reason: string;
}

export class Leases {
  readonly #store: ObjectStore;
  readonly #sealer: ObjectSealer;
  readonly #ownerId: string;
  /** By the keys of leases. A lease never changes: it is written once, if it is not there. */
  readonly #owners = new RecentMap<{ readonly ownerId: unknown }>(OWNERS_MAX);
  /** Of all volumes of the vault, when they were last listed. */
  #leaseCount = 0;

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
      throw new VaultError("fenced", takenOver(volumeId, highest));
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

  /**
   * Those of the volumes that have an owner who is not us. What was taken over before the call is among them. One of
   * which nothing can be learnt now is not; it rejects where that is so of all.
   */
  async lost(volumeIds: readonly VolumeId[]): Promise<LostVolume[]> {
    try {
      const highest = await this.#highestOf(volumeIds);
      const found: LostVolume[] = [];
      for (const volumeId of volumeIds) {
        const generation = highest.get(volumeId) ?? 0;
        if (generation === 0) continue;
        const owner = await this.#knownOwner(volumeId, generation).catch(() => undefined);
        if (owner !== undefined && owner.ownerId !== this.#ownerId)
          found.push({ volumeId, reason: takenOver(volumeId, generation) });
      }
      return found;
    } catch (error) {
      throw fromStoreError(error, "looking at the leases");
    }
  }

  /** Those of the volumes that have no owner but us. Rejects where that can't be said of one of them. */
  async own(volumeIds: readonly VolumeId[]): Promise<VolumeId[]> {
    try {
      const highest = await this.#highestOf(volumeIds);
      const own: VolumeId[] = [];
      for (const volumeId of volumeIds) {
        const generation = highest.get(volumeId) ?? 0;
        const isOwn =
          generation === 0 || (await this.#knownOwner(volumeId, generation)).ownerId === this.#ownerId;
        if (isOwn) own.push(volumeId);
      }
      return own;
    } catch (error) {
      throw fromStoreError(error, "looking at the leases");
    }
  }

  /** The highest generations of some volumes: by listing theirs, or those of all volumes, whichever is less to ask. */
  async #highestOf(volumeIds: readonly VolumeId[]): Promise<Map<VolumeId, number>> {
    const highest = new Map<VolumeId, number>();
    if (volumeIds.length === 0) return highest;
    if (volumeIds.length < Math.ceil(this.#leaseCount / PAGE_KEYS)) {
      for (const volumeId of volumeIds) highest.set(volumeId, await this.#highest(volumeId));
      return highest;
    }
    let count = 0;
    for await (const { key } of this.#store.list(LEASES_PREFIX)) {
      count += 1;
      const volumeId = volumeOfLease(key);
      if (volumeId === undefined) continue;
      const generation = Number(key.slice(leasesPrefix(volumeId).length));
      highest.set(volumeId, Math.max(highest.get(volumeId) ?? 0, generation));
    }
    this.#leaseCount = count;
    return highest;
  }

  async #knownOwner(volumeId: VolumeId, generation: number): Promise<{ readonly ownerId: unknown }> {
    const key = leaseKey(volumeId, generation);
    const known = this.#owners.get(key);
    if (known !== undefined) return known;
    const read = { ownerId: await this.#owner(volumeId, generation) };
    this.#owners.set(key, read);
    return read;
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

function takenOver(volumeId: VolumeId, generation: number): string {
  return `${volumeId} was taken over by another gateway (generation ${generation})`;
}
