/** The two pools of one gateway, its cache and its upload buffer, and which of their disks can't be used. */
import type { Clock } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { Disk } from "../platform/disk.ts";
import type { Random } from "../platform/random.ts";
import type { KnownDisks } from "./known-disks.ts";
import { SlotDisk } from "./slot-disk.ts";
import { SlotPool } from "./slot-pool.ts";
import type { SuspectDisks } from "./suspect-disks.ts";

export interface GatewayPoolsOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** The longest that one write is held back while a pool fills up. */
  readonly writeDelayMsMax: number;
  readonly suspects: SuspectDisks;
  readonly known: KnownDisks;
}

const ID_BYTES = 16;

/** Bytes in use of a gateway's storage. */
export interface FleetUsage {
  readonly cacheAllocatedBytes: number;
  readonly cacheUsedBytes: number;
  readonly cacheDirtyBytes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly uploadBufferAllocatedBytes: number;
  readonly uploadBufferUsedBytes: number;
}

export class GatewayPools {
  readonly #options: GatewayPoolsOptions;
  #cache: SlotPool;
  readonly #buffer: SlotPool;
  readonly #cachePaths = new Set<string>();
  readonly #bufferPaths = new Set<string>();
  /** Disks that should be in use and can't be, with the reason. */
  readonly #missingCache = new Map<string, string>();
  readonly #missingBuffer = new Map<string, string>();

  constructor(options: GatewayPoolsOptions) {
    this.#options = options;
    this.#cache = this.#newPool(true);
    this.#buffer = this.#newPool(false);
  }

  get cache(): SlotPool {
    return this.#cache;
  }

  get buffer(): SlotPool {
    return this.#buffer;
  }

  /** Why the cache may not be complete, or undefined. */
  get missingCache(): string | undefined {
    return missingOf(this.#missingCache);
  }

  /** Why the upload buffer may not be complete, or undefined. */
  get missingBuffer(): string | undefined {
    return missingOf(this.#missingBuffer);
  }

  /** Puts disks to use; those that are in use already stay. Rejects where one can't be used; the others are. */
  async addDisks(cachePaths: readonly string[], bufferPaths: readonly string[]): Promise<void> {
    await this.#add(this.#cache, cachePaths, this.#cachePaths, this.#missingCache);
    await this.#add(this.#buffer, bufferPaths, this.#bufferPaths, this.#missingBuffer);
    const missing = this.missingCache ?? this.missingBuffer;
    if (missing !== undefined) throw new DeviceError("notReady", missing);
  }

  /** Lets go of all cache disks, and makes them fit for another use. No volume may hold a slot any more. */
  async resetCache(): Promise<void> {
    this.#cache.abandon();
    for (const path of this.#cachePaths) await this.#erase(path);
    // One that is away, or not the one that it should be, is not missed any more.
    for (const path of this.#missingCache.keys()) this.#options.known.remove(path);
    this.#cachePaths.clear();
    this.#missingCache.clear();
    this.#cache = this.#newPool(true);
  }

  /** Lets go of all disks, and makes those that are there fit for another use. No volume may hold a slot any more. */
  async erase(): Promise<void> {
    this.#cache.abandon();
    this.#buffer.abandon();
    for (const path of [...this.#cachePaths, ...this.#bufferPaths]) await this.#erase(path);
    for (const path of [...this.#missingCache.keys(), ...this.#missingBuffer.keys()])
      this.#options.known.remove(path);
  }

  async #erase(path: string): Promise<void> {
    const { disk, suspects, known } = this.#options;
    await SlotDisk.erase(disk, path);
    suspects.remove(path);
    known.remove(path);
  }

  async close(): Promise<void> {
    await this.#cache.close();
    await this.#buffer.close();
  }

  async #add(
    pool: SlotPool,
    paths: readonly string[],
    inUse: Set<string>,
    missing: Map<string, string>,
  ): Promise<void> {
    const { disk, suspects, known, random } = this.#options;
    for (const path of paths) {
      if (inUse.has(path)) continue;
      try {
        const newId = random.bytes(ID_BYTES).toString("hex");
        const knownId = known.idOf(path);
        known.add(path, await pool.addDisk(disk, path, { isSuspect: suspects.has(path), knownId, newId }));
        suspects.remove(path);
        inUse.add(path);
        missing.delete(path);
      } catch (error) {
        missing.set(path, error instanceof Error ? error.message : String(error));
      }
    }
  }

  #newPool(evicts: boolean): SlotPool {
    const { clock, writeDelayMsMax, suspects } = this.#options;
    return new SlotPool({ evicts, clock, writeDelayMsMax, onDiskFailed: (path) => suspects.add(path) });
  }
}

function missingOf(missing: ReadonlyMap<string, string>): string | undefined {
  const [first] = missing;
  return first === undefined ? undefined : `the local disk ${first[0]} can't be used: ${first[1]}`;
}
