/**
 * All volumes of one data worker, with the slots they share and the uploads that follow their cuts. No threads, no
 * sockets: those are around it.
 */
import { join } from "node:path";
import { DeviceError } from "../platform/device-error.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { CachedVolume, type SlotLocation } from "./cached-volume.ts";
import type { EngineVolume } from "./engine-volume.ts";
import type { EpochState } from "./epoch-state.ts";
import { Epochs } from "./epochs.ts";
import { stateOf, type VolumeState } from "./figures.ts";
import type { FleetOptions, FleetVolume, WantedCut } from "./fleet-options.ts";
import { type FleetUsage, GatewayPools } from "./gateway-pools.ts";
import { BLOCK_BYTES } from "./geometry.ts";
import { KnownDisks } from "./known-disks.ts";
import { PageBudget } from "./page-budget.ts";
import { StoredVolume } from "./stored-volume.ts";
import { SuspectDisks } from "./suspect-disks.ts";
import { UploadPump } from "./upload-pump.ts";
import { DEFAULT_VOLUME_LIMITS, type VolumeWorld } from "./volume-world.ts";
import { WriteBrake } from "./write-brake.ts";

interface Member {
  readonly definition: FleetVolume;
  readonly volume: EngineVolume;
  readonly pump: UploadPump;
  recoveryPointEveryMs: number;
  lastCutMs: number;
  syncing: boolean;
}

const TICK_MS = 1_000;
/** How often it is asked whether the volumes are still ours. */
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
  readonly #known: KnownDisks;
  #cancelTick: (() => void) | undefined;
  #tickedAtMs: number;
  #leasesCheckedAtMs: number;
  #checkingLeases = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#suspects = new SuspectDisks(options.disk, options.folder);
    this.#known = new KnownDisks(options.disk, options.folder);
    this.#world = {
      disk: options.disk,
      clock: options.clock,
      limits: options.limits ?? DEFAULT_VOLUME_LIMITS,
      pages: new PageBudget(PAGES_MAX),
      brake: new WriteBrake(options.clock, options.readDirtyPages),
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
      const { volumeId, preserveExistingData, diskPath } = definition;
      const common = { ...definition, folder: join(this.#options.folder, volumeId) };
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

  /**
   * Stops the volume and forgets its local state, durably; the disk of a stored volume has what its guest saw last. A
   * stored one that is not open needs its whole definition for that.
   */
  remove(definition: FleetVolume | { readonly volumeId: VolumeId }): Promise<void> {
    return this.#queue.run(async () => {
      const { volumeId } = definition;
      const { disk, folder } = this.#options;
      await this.#bringHome(definition);
      await this.#close(volumeId);
      for (const pools of this.#pools.values()) {
        for (const pool of [pools.cache, pools.buffer]) {
          // Durable before anything else: a loss of power must not give them to a volume that comes again.
          if (pool.drop(volumeId)) await pool.flush();
        }
      }
      disk.removeFolder(join(folder, volumeId));
      disk.makeFolder(folder);
      await disk.syncFolder(folder);
    });
  }

  async #bringHome(definition: FleetVolume | { readonly volumeId: VolumeId }): Promise<void> {
    const reason = "the volume was deleted before all of it was in the bucket";
    const member = this.#members.get(definition.volumeId);
    await member?.pump.stop();
    const volume = member?.volume ?? (await this.#openToLeave(definition));
    if (!(volume instanceof StoredVolume)) return;
    try {
      if (volume.failure === undefined) await volume.bringHome(reason);
    } catch (error) {
      // Where its disks have failed there is nothing to be saved on them.
      if (volume.failure === undefined) throw error;
    }
    if (member === undefined) await volume.close();
  }

  /** A stored volume that is not open and has something in the upload buffer, if it can be opened. */
  async #openToLeave(
    definition: FleetVolume | { readonly volumeId: VolumeId },
  ): Promise<StoredVolume | undefined> {
    if (!("kind" in definition) || definition.kind !== "stored") return undefined;
    const { buffer, missingBuffer } = this.#poolsOf(definition.gatewayId);
    if (missingBuffer !== undefined || !buffer.holds(definition.volumeId)) return undefined;
    const folder = join(this.#options.folder, definition.volumeId);
    const { diskPath = "" } = definition;
    try {
      const options = { ...definition, folder, diskPath, buffer, isNew: false };
      return await StoredVolume.open(options, this.#worldOf(definition));
    } catch {
      // Its disk is away, or its own files are: there is no home to bring anything to.
      return undefined;
    }
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
        // Where its own files are gone there is nothing to tell what it can go back to.
        if (member === undefined && !Epochs.exist(this.#options.disk, folder)) continue;
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
      const { disk, clock, random } = this.#options;
      const { writeDelayMsMax } = this.#world.limits;
      const disks = { suspects: this.#suspects, known: this.#known };
      pools = new GatewayPools({ disk, clock, random, writeDelayMsMax, ...disks });
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
    const { lostVolumes } = this.#options;
    if (lostVolumes === undefined || this.#checkingLeases) return;
    this.#checkingLeases = true;
    this.#leasesCheckedAtMs = this.#options.clock.monotonicMs();
    const serving = [...this.#members.values()]
      .map(({ volume }) => volume)
      .filter((volume) => volume.failure === undefined && !volume.stopping);
    try {
      const lost = await lostVolumes(serving.map(({ volumeId }) => volumeId));
      const reasons = new Map(lost.map(({ volumeId, reason }) => [volumeId, reason]));
      for (const volume of serving) {
        const reason = reasons.get(volume.volumeId);
        if (reason !== undefined && volume.failure === undefined && !volume.stopping) volume.fence(reason);
      }
    } catch {
      // Nothing can be learnt now: it is asked again, and no root counts before its own lease was looked at.
    } finally {
      this.#checkingLeases = false;
    }
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
