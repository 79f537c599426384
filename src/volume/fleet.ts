/**
 * All volumes of one data worker, with the slots they share and the uploads that follow their cuts. No threads, no
 * sockets: those are around it.
 */
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { CachedVolume, type SlotLocation } from "./cached-volume.ts";
import {
  DEFAULT_VOLUME_LIMITS,
  type EngineVolume,
  type VolumeLimits,
  type VolumeWorld,
} from "./engine-volume.ts";
import type { UploadedEpoch } from "./epoch-log.ts";
import type { UploadOrder } from "./epoch-source.ts";
import type { EpochState } from "./epochs.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import type { RootReader } from "./root-reader.ts";
import { SlotPool } from "./slot-pool.ts";
import { StoredVolume } from "./stored-volume.ts";
import { type PumpEvents, UploadPump } from "./upload-pump.ts";

/** What makes a volume: enough to open it again. */
export interface FleetVolume {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly diskPath?: string;
  readonly preserveExistingData: boolean;
  readonly parentRootKey?: string;
}

export interface FleetOptions {
  /** Where each volume has a folder of its own. */
  readonly folder: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly roots: RootReader;
  readonly upload: (order: UploadOrder) => Promise<UploadedEpoch>;
  /** The volume's upload under way is not wanted any more; it may end at any time. */
  readonly cancelUpload: (volumeId: VolumeId) => void;
  readonly events: PumpEvents;
  readonly limits?: VolumeLimits;
}

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

interface Pools {
  readonly cache: SlotPool;
  readonly buffer: SlotPool;
  readonly paths: Set<string>;
}

interface Member {
  readonly definition: FleetVolume;
  readonly volume: EngineVolume;
  readonly pump: UploadPump;
  lastCutMs: number;
  syncing: boolean;
}

/** A dirty cached volume gets a recovery point at least this often. */
const RECOVERY_POINT_MS = 60_000;
const TICK_MS = 1_000;
/** More than this is not left to the page cache: a shutdown, and the end of a killed process, wait for its sync. */
const UNSYNCED_BYTES_MAX = 256 * 1024 * 1024;
/** Above this share of slots in use a dirty cached volume is cut at once, so that slots become clean. */
const PRESSURE = 0.5;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #world: VolumeWorld;
  readonly #pools = new Map<GatewayId, Pools>();
  readonly #members = new Map<VolumeId, Member>();
  readonly #queue = new SerialQueue();
  #cancelTick: (() => void) | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#world = {
      disk: options.disk,
      clock: options.clock,
      roots: options.roots,
      limits: options.limits ?? DEFAULT_VOLUME_LIMITS,
      onSlotShortage: (volumeId) => this.#relieve(volumeId),
    };
    this.#tick();
  }

  /** Puts disks to use; those that are in use already stay. */
  setStorage(
    gatewayId: GatewayId,
    cachePaths: readonly string[],
    bufferPaths: readonly string[],
  ): Promise<void> {
    return this.#queue.run(async () => {
      const pools = this.#poolsOf(gatewayId);
      for (const [pool, paths] of [
        [pools.cache, cachePaths],
        [pools.buffer, bufferPaths],
      ] as const) {
        for (const path of paths) {
          if (pools.paths.has(path)) continue;
          await pool.addDisk(this.#options.disk, path);
          pools.paths.add(path);
        }
      }
    });
  }

  /** Opens the volume as it was left, or makes it. */
  open(definition: FleetVolume): Promise<EngineVolume> {
    return this.#queue.run(async () => {
      const there = this.#members.get(definition.volumeId);
      if (there !== undefined) return there.volume;
      const pools = this.#poolsOf(definition.gatewayId);
      const { volumeId, sizeBytes, parentRootKey, preserveExistingData, diskPath } = definition;
      const common = {
        volumeId,
        sizeBytes,
        folder: join(this.#options.folder, volumeId),
        ...(parentRootKey !== undefined && { parentRootKey }),
      };
      const volume =
        definition.kind === "cached"
          ? await CachedVolume.open({ ...common, cache: pools.cache }, this.#world)
          : await StoredVolume.open(
              { ...common, diskPath: diskPath ?? "", preserveExistingData, buffer: pools.buffer },
              this.#world,
            );
      const pump = new UploadPump({
        volume,
        clock: this.#options.clock,
        events: this.#options.events,
        cancel: () => this.#options.cancelUpload(definition.volumeId),
        upload: ({ dirtyBlocks: _, snapshotId: __, ...pending }) =>
          this.#options.upload({
            ...pending,
            volumeId,
            sizeBytes,
            ...(diskPath !== undefined && { diskPath }),
          }),
      });
      const lastCutMs = this.#options.clock.monotonicMs();
      this.#members.set(volumeId, { definition, volume, pump, lastCutMs, syncing: false });
      pump.kick();
      return volume;
    });
  }

  get(volumeId: VolumeId): EngineVolume | undefined {
    return this.#members.get(volumeId)?.volume;
  }

  /** Stops the volume and forgets its local state; the disk of a stored volume keeps its bytes. */
  remove(definition: { readonly volumeId: VolumeId; readonly gatewayId?: GatewayId }): Promise<void> {
    return this.#queue.run(async () => {
      const { volumeId } = definition;
      const member = this.#members.get(volumeId);
      if (member !== undefined) {
        await member.pump.stop();
        await member.volume.close();
        this.#members.delete(volumeId);
      }
      for (const pools of this.#pools.values()) {
        pools.cache.drop(volumeId);
        pools.buffer.drop(volumeId);
      }
      this.#options.disk.removeFolder(join(this.#options.folder, volumeId));
    });
  }

  /** Cuts the volume and sends the epoch on its way. */
  async cut(
    volumeId: VolumeId,
    snapshotId?: SnapshotId,
  ): Promise<{ epoch: number; cutAtMs: number } | undefined> {
    const member = this.#members.get(volumeId);
    if (member === undefined) return undefined;
    const cut = await member.volume.cut(snapshotId);
    member.lastCutMs = this.#options.clock.monotonicMs();
    member.pump.kick();
    return cut;
  }

  epochState(volumeId: VolumeId, epoch: number): EpochState {
    return this.#members.get(volumeId)?.volume.epochState(epoch) ?? { state: "unknown" };
  }

  locate(volumeId: VolumeId, epoch: number, blocks: readonly number[]): SlotLocation[] {
    const volume = this.#members.get(volumeId)?.volume;
    return volume instanceof CachedVolume ? volume.locate(epoch, blocks) : [];
  }

  usage(gatewayId: GatewayId): FleetUsage {
    const { cache, buffer } = this.#poolsOf(gatewayId);
    let dirtyBlocks = 0;
    let hits = 0;
    let misses = 0;
    for (const { definition, volume } of this.#members.values()) {
      if (definition.gatewayId !== gatewayId || !(volume instanceof CachedVolume)) continue;
      dirtyBlocks += volume.dirtyBlocks;
      hits += volume.cacheUse.hits;
      misses += volume.cacheUse.misses;
    }
    return {
      cacheAllocatedBytes: cache.slotCount * BLOCK_BYTES,
      cacheUsedBytes: cache.usedSlots * BLOCK_BYTES,
      cacheDirtyBytes: Math.min(dirtyBlocks, cache.slotCount) * BLOCK_BYTES,
      cacheHits: hits,
      cacheMisses: misses,
      uploadBufferAllocatedBytes: buffer.slotCount * BLOCK_BYTES,
      uploadBufferUsedBytes: buffer.usedSlots * BLOCK_BYTES,
    };
  }

  /** Makes everything durable and lets go of all files. */
  close(): Promise<void> {
    this.#cancelTick?.();
    return this.#queue.run(async () => {
      await Promise.all([...this.#members.values()].map(({ pump }) => pump.stop()));
      for (const { volume } of this.#members.values()) await volume.close();
      this.#members.clear();
      for (const { cache, buffer } of this.#pools.values()) {
        await cache.close();
        await buffer.close();
      }
    });
  }

  #poolsOf(gatewayId: GatewayId): Pools {
    let pools = this.#pools.get(gatewayId);
    if (pools === undefined) {
      pools = {
        cache: new SlotPool({ evicts: true }),
        buffer: new SlotPool({ evicts: false }),
        paths: new Set(),
      };
      this.#pools.set(gatewayId, pools);
    }
    return pools;
  }

  #tick(): void {
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => {
      for (const member of this.#members.values()) {
        this.#maybeCut(member);
        if (member.volume.unsyncedBytes > UNSYNCED_BYTES_MAX && !member.syncing) void this.#sync(member);
      }
      this.#tick();
    });
  }

  async #sync(member: Member): Promise<void> {
    member.syncing = true;
    try {
      await member.volume.flush();
    } catch (error) {
      // The volume has stopped and says why; whoever uses it is told.
      if (member.volume.failure === undefined && !member.volume.stopping) throw error;
    } finally {
      member.syncing = false;
    }
  }

  /** Recovery points never queue: the next one is cut when the last has reached the bucket. */
  #maybeCut(member: Member): void {
    const { definition, volume } = member;
    if (definition.kind !== "cached" || !volume.isDirty || volume.closedEpochs > 0) return;
    if (volume.failure !== undefined || volume.stopping) return;
    const { cache } = this.#poolsOf(definition.gatewayId);
    const due = this.#options.clock.monotonicMs() - member.lastCutMs >= RECOVERY_POINT_MS;
    const pressed = cache.usedSlots > PRESSURE * cache.slotCount && volume instanceof CachedVolume;
    const worthIt = pressed && volume.dirtyBlocks > (PRESSURE / 4) * cache.slotCount;
    if (due || worthIt) this.#cutUnnamed(member);
  }

  /** A writer waits for a slot: whatever is dirty on its gateway has to go to the bucket. */
  #relieve(volumeId: VolumeId): void {
    const waiting = this.#members.get(volumeId);
    for (const member of this.#members.values()) {
      const { definition, volume } = member;
      if (definition.kind !== "cached" || definition.gatewayId !== waiting?.definition.gatewayId) continue;
      if (volume.isDirty && volume.closedEpochs === 0 && volume.failure === undefined)
        this.#cutUnnamed(member);
    }
  }

  #cutUnnamed(member: Member): void {
    const { volume } = member;
    this.cut(member.definition.volumeId).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.events.delayed(volume, 0, `no recovery point: ${reason}`);
    });
  }
}
