/**
 * All volumes of one data worker, with the slots they share and the uploads that follow their cuts. No threads, no
 * sockets: those are around it.
 */
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { Disk } from "../platform/disk.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { CachedVolume, type SlotLocation } from "./cached-volume.ts";
import type { EngineVolume } from "./engine-volume.ts";
import type { UploadedEpoch } from "./epoch-log.ts";
import type { UploadOrder } from "./epoch-source.ts";
import type { EpochState } from "./epoch-state.ts";
import { stateOf, type VolumeState } from "./figures.ts";
import { type FleetUsage, GatewayPools } from "./gateway-pools.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import { PageBudget } from "./page-budget.ts";
import type { RootReader } from "./root-reader.ts";
import { StoredVolume } from "./stored-volume.ts";
import { SuspectDisks } from "./suspect-disks.ts";
import { type PumpEvents, UploadPump } from "./upload-pump.ts";
import { DEFAULT_VOLUME_LIMITS, type VolumeLimits, type VolumeWorld } from "./volume-world.ts";

/** What makes a volume: enough to open it again. */
export interface FleetVolume {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly diskPath?: string;
  readonly preserveExistingData: boolean;
  readonly parentRootKey?: string;
  /** While something is dirty, a recovery point is cut this often; 0: never. */
  readonly recoveryPointEveryMs: number;
}

/** A volume to be cut. */
export interface WantedCut {
  readonly volumeId: VolumeId;
  readonly snapshotId?: SnapshotId;
}

export interface FleetEvents extends PumpEvents {
  /** The volume has stopped for good. */
  stopped(volumeId: VolumeId, reason: string): void;
}

export interface FleetOptions {
  /** Where each volume has a folder of its own. */
  readonly folder: string;
  readonly disk: Disk;
  readonly clock: Clock;
  /** The vault, over the line of one gateway, as it is read for one volume. */
  readonly rootsOf: (gatewayId: GatewayId, volumeId: VolumeId) => RootReader;
  readonly upload: (order: UploadOrder) => Promise<UploadedEpoch>;
  /** The volume's upload under way is not wanted any more; it may end at any time. */
  readonly cancelUpload: (volumeId: VolumeId) => void;
  /** Rejects with kind "fenced" where another gateway has become the volume's writer. */
  readonly checkLease?: (volumeId: VolumeId) => Promise<void>;
  readonly events: FleetEvents;
  readonly limits?: VolumeLimits;
}

interface Member {
  readonly definition: FleetVolume;
  readonly volume: EngineVolume;
  readonly pump: UploadPump;
  recoveryPointEveryMs: number;
  lastCutMs: number;
  syncing: boolean;
}

const TICK_MS = 1_000;
/** How often a volume asks whether it is still ours. */
const LEASE_CHECK_MS = 30_000;
/** A tick that comes so late comes after a time in which the process stood still, and others may have taken over. */
const STANDSTILL_MS = 1_750;
/** More than this is not left to the page cache: a shutdown, and the end of a killed process, wait for its sync. */
const UNSYNCED_BYTES_MAX = 256 * 1024 * 1024;
/** Pages of dirty maps in memory: 64 MiB of them, the marks of 2 TiB. */
const PAGES_MAX = 8192;
/** Above this share of slots that are dirty a cached volume is cut at once, so that slots become clean. */
const PRESSURE = 0.5;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #world: Omit<VolumeWorld, "roots">;
  readonly #pools = new Map<GatewayId, GatewayPools>();
  readonly #members = new Map<VolumeId, Member>();
  readonly #queue = new SerialQueue();
  readonly #suspects: SuspectDisks;
  #cancelTick: (() => void) | undefined;
  #tickedAtMs: number;
  #leasesCheckedAtMs: number;
  #checkingLeases = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#suspects = new SuspectDisks(options.disk, options.folder);
    this.#world = {
      disk: options.disk,
      clock: options.clock,
      limits: options.limits ?? DEFAULT_VOLUME_LIMITS,
      pages: new PageBudget(PAGES_MAX),
      onSlotShortage: (volumeId) => this.#relieve(volumeId),
      onStopped: (volumeId, reason) => options.events.stopped(volumeId, reason),
    };
    this.#tickedAtMs = options.clock.monotonicMs();
    this.#leasesCheckedAtMs = Number.NEGATIVE_INFINITY;
    this.#tick();
  }

  /**
   * Puts disks to use; those that are in use already stay. Rejects where one can't be used: volumes that may have
   * something on it are not opened then.
   */
  setStorage(
    gatewayId: GatewayId,
    cachePaths: readonly string[],
    bufferPaths: readonly string[],
  ): Promise<void> {
    return this.#queue.run(() => this.#poolsOf(gatewayId).addDisks(cachePaths, bufferPaths));
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
      const missingStorage = definition.kind === "cached" ? pools.missingCache : pools.missingBuffer;
      const world = this.#worldOf(definition);
      let volume: EngineVolume;
      if (definition.kind === "cached") {
        const storage = { cache: pools.cache, ...(missingStorage !== undefined && { missingStorage }) };
        volume = await CachedVolume.open({ ...common, ...storage }, world);
      } else {
        if (missingStorage !== undefined) throw new DeviceError("notReady", missingStorage);
        volume = await StoredVolume.open(
          { ...common, diskPath: diskPath ?? "", preserveExistingData, buffer: pools.buffer },
          world,
        );
      }
      const pump = new UploadPump({
        volume,
        clock: this.#options.clock,
        events: this.#options.events,
        cancel: () => this.#options.cancelUpload(definition.volumeId),
        upload: ({ dirtyBlocks: _, snapshotId, ...pending }) =>
          this.#options.upload({
            ...pending,
            gatewayId: definition.gatewayId,
            kind: snapshotId === undefined ? "step" : "checkpoint",
            volumeId,
            ...(diskPath !== undefined && { diskPath }),
          }),
      });
      const lastCutMs = this.#options.clock.monotonicMs();
      const { recoveryPointEveryMs } = definition;
      this.#members.set(volumeId, {
        definition,
        volume,
        pump,
        recoveryPointEveryMs,
        lastCutMs,
        syncing: false,
      });
      pump.kick();
      return volume;
    });
  }

  get(volumeId: VolumeId): EngineVolume | undefined {
    return this.#members.get(volumeId)?.volume;
  }

  /** Makes everything of the volume durable and lets go of it; `open` finds all as it was. */
  suspend(volumeId: VolumeId): Promise<void> {
    return this.#queue.run(() => this.#close(volumeId));
  }

  /** Stops the volume and forgets its local state; the disk of a stored volume keeps its bytes. */
  remove(definition: { readonly volumeId: VolumeId; readonly gatewayId?: GatewayId }): Promise<void> {
    return this.#queue.run(async () => {
      const { volumeId } = definition;
      await this.#close(volumeId);
      for (const pools of this.#pools.values()) {
        pools.cache.drop(volumeId);
        pools.buffer.drop(volumeId);
      }
      this.#options.disk.removeFolder(join(this.#options.folder, volumeId));
    });
  }

  /** Lets go of all disks of a gateway without volumes, and makes them fit for another use. */
  removeStorage(gatewayId: GatewayId): Promise<void> {
    return this.#queue.run(async () => {
      await this.#pools.get(gatewayId)?.erase();
      this.#pools.delete(gatewayId);
    });
  }

  /**
   * Cuts the volumes at one instant and sends their epochs on their way; all or none are cut. Undefined where one is
   * not open. Answers in the order of the request.
   */
  async cut(
    wanted: readonly WantedCut[],
  ): Promise<readonly { readonly epoch: number; readonly cutAtMs: number }[] | undefined> {
    const members: Member[] = [];
    for (const { volumeId } of wanted) {
      const member = this.#members.get(volumeId);
      if (member === undefined) return undefined;
      member.volume.checkCut();
      members.push(member);
    }
    const cutAtMs = this.#options.clock.nowMs();
    const monotonicMs = this.#options.clock.monotonicMs();
    const cuts: { readonly epoch: number; readonly recorded: Promise<void> }[] = [];
    try {
      // In this loop nothing waits: no write of any volume comes between two of the cuts.
      for (const [i, member] of members.entries()) {
        cuts.push(member.volume.cutNow(cutAtMs, wanted[i]?.snapshotId));
        member.lastCutMs = monotonicMs;
      }
    } finally {
      // Where one can't be made after all, the others stay as cuts that nobody asks for.
      await Promise.allSettled(cuts.map((cut) => cut.recorded));
      for (const { pump } of members) pump.kick();
    }
    await Promise.all(cuts.map((cut) => cut.recorded));
    return cuts.map(({ epoch }) => ({ epoch, cutAtMs }));
  }

  /** Makes the volume larger while it is in use. Throws a DeviceError where its disk has no room. */
  grow(volumeId: VolumeId, sizeBytes: number): Promise<void> {
    return this.#queue.run(async () => {
      const volume = this.#members.get(volumeId)?.volume;
      if (volume === undefined) throw new DeviceError("notReady", "the volume is not open");
      volume.grow(sizeBytes);
      await volume.flush();
    });
  }

  /** How often the volume gets a recovery point while something is dirty; 0: never. */
  setRecoveryPoints(volumeId: VolumeId, everyMs: number): void {
    const member = this.#members.get(volumeId);
    if (member !== undefined) member.recoveryPointEveryMs = everyMs;
  }

  /**
   * Takes all cache disks of a gateway out of use. Its cached volumes, which are closed by this, go back to what the
   * bucket has of them. Answers how many blocks of each are given up with the cache.
   */
  resetCache(
    gatewayId: GatewayId,
    definitions: readonly FleetVolume[],
    reason: string,
  ): Promise<ReadonlyMap<VolumeId, number>> {
    return this.#queue.run(async () => {
      const pools = this.#poolsOf(gatewayId);
      const lost = new Map<VolumeId, number>();
      for (const definition of definitions) {
        const { volumeId } = definition;
        const member = this.#members.get(volumeId);
        await member?.pump.stop();
        const folder = join(this.#options.folder, volumeId);
        const lostBlocks =
          member === undefined
            ? await CachedVolume.resetClosed({ ...definition, folder }, this.#worldOf(definition), reason)
            : await member.volume.reset(reason);
        this.#members.delete(volumeId);
        lost.set(volumeId, lostBlocks);
      }
      await pools.resetCache();
      return lost;
    });
  }

  epochState(volumeId: VolumeId, epoch: number): EpochState {
    return this.#members.get(volumeId)?.volume.epochState(epoch) ?? { state: "unknown" };
  }

  locate(volumeId: VolumeId, epoch: number, blocks: readonly number[]): SlotLocation[] {
    const volume = this.#members.get(volumeId)?.volume;
    if (!(volume instanceof CachedVolume)) throw new DeviceError("notReady", `${volumeId} is not open`);
    return volume.locate(epoch, blocks);
  }

  /** Every open volume as it stands. */
  states(): VolumeState[] {
    return [...this.#members.values()].map(({ definition, volume }) =>
      stateOf(definition.gatewayId, definition.kind, volume),
    );
  }

  /** Every gateway that has had storage or a volume since the start. */
  gatewayIds(): GatewayId[] {
    return [...this.#pools.keys()];
  }

  usage(gatewayId: GatewayId): FleetUsage {
    const { cache, buffer } = this.#poolsOf(gatewayId);
    let hits = 0;
    let misses = 0;
    for (const { definition, volume } of this.#members.values()) {
      if (definition.gatewayId !== gatewayId || !(volume instanceof CachedVolume)) continue;
      hits += volume.cacheUse.hits;
      misses += volume.cacheUse.misses;
    }
    return {
      cacheAllocatedBytes: cache.slotCount * BLOCK_BYTES,
      cacheUsedBytes: cache.usedSlots * BLOCK_BYTES,
      cacheDirtyBytes: cache.dirtySlots * BLOCK_BYTES,
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
      for (const pools of this.#pools.values()) await pools.close();
    });
  }

  async #close(volumeId: VolumeId): Promise<void> {
    const member = this.#members.get(volumeId);
    if (member === undefined) return;
    await member.pump.stop();
    await member.volume.close();
    this.#members.delete(volumeId);
  }

  #worldOf({ gatewayId, volumeId }: FleetVolume): VolumeWorld {
    return { ...this.#world, roots: this.#options.rootsOf(gatewayId, volumeId) };
  }

  #poolsOf(gatewayId: GatewayId): GatewayPools {
    let pools = this.#pools.get(gatewayId);
    if (pools === undefined) {
      const { disk, clock } = this.#options;
      const { writeDelayMsMax } = this.#world.limits;
      pools = new GatewayPools({ disk, clock, writeDelayMsMax, suspects: this.#suspects });
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
      const nowMs = this.#options.clock.monotonicMs();
      const isLate = nowMs - this.#tickedAtMs > STANDSTILL_MS;
      this.#tickedAtMs = nowMs;
      if (isLate || nowMs - this.#leasesCheckedAtMs > LEASE_CHECK_MS) void this.#checkLeases();
      this.#tick();
    });
  }

  /** A volume that another gateway has taken over stops. No answer is no reason to: stored volumes serve without one. */
  async #checkLeases(): Promise<void> {
    const { checkLease } = this.#options;
    if (checkLease === undefined || this.#checkingLeases) return;
    this.#checkingLeases = true;
    this.#leasesCheckedAtMs = this.#options.clock.monotonicMs();
    for (const { volume } of [...this.#members.values()]) {
      if (volume.failure !== undefined || volume.stopping) continue;
      try {
        await checkLease(volume.volumeId);
      } catch (error) {
        const { kind } = (error ?? {}) as { kind?: unknown };
        if (kind === "fenced") volume.fence(error instanceof Error ? error.message : String(error));
      }
    }
    this.#checkingLeases = false;
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
    const { definition, volume, recoveryPointEveryMs } = member;
    if (!volume.isDirty || volume.closedEpochs > 0 || volume.isWithoutStorage) return;
    if (volume.failure !== undefined || volume.stopping) return;
    const sinceMs = this.#options.clock.monotonicMs() - member.lastCutMs;
    const due = recoveryPointEveryMs > 0 && sinceMs >= recoveryPointEveryMs;
    const { cache } = this.#poolsOf(definition.gatewayId);
    const pressed =
      volume instanceof CachedVolume &&
      cache.dirtySlots > PRESSURE * cache.slotCount &&
      volume.dirtyBlocks > (PRESSURE / 4) * cache.slotCount;
    if (due || pressed) this.#cutUnnamed(member);
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
    this.cut([{ volumeId: member.definition.volumeId }]).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.events.delayed(volume, 0, `no recovery point: ${reason}`);
    });
  }
}
