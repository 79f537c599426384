/**
 * A gateway of the simulation: its disks, its vault, its time, and a fleet of volumes that may die and be opened again.
 */
import { strict as assert } from "node:assert";
import { DeviceError } from "../../src/platform/device-error.ts";
import type { GatewayId, VolumeId } from "../../src/platform/ids.ts";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import { Fleet } from "../../src/volume/fleet.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { ManualClock } from "../kit/manual-clock.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { assertSame, BLOCKS_MAX, BLOCKS_MIN, Model, OpenRead, SECTOR_BYTES, valuesOf } from "./model.ts";
import { RealVault } from "./real-vault.ts";
import { SimDisk } from "./sim-disk.ts";
import { type SimulatedVault, SimVault } from "./sim-vault.ts";

export const GATEWAY = "sgw-SIM" as GatewayId;
/** Few slots, so that writers wait and clean ones are taken away. */
const CACHE_BYTES = 14 * BLOCK_BYTES;
const BUFFER_BYTES = 8 * BLOCK_BYTES;
/** Header and table of a slot disk, which have their room from the beginning. */
export const TABLE_BYTES = 8192;
const TURNS_MAX = 200_000;
/** Every so many seeds the vault is the real one. */
const REAL_VAULT_EVERY = 8;

/** The seeds whose lives have the real vault, by their number. */
export function realVaultSeed(number: number): number {
  return number * REAL_VAULT_EVERY + REAL_VAULT_EVERY - 1;
}

export type Restart = "close" | "kill" | "power";

export abstract class SimulatedGateway {
  readonly steps: string[] = [];
  protected readonly seed: number;
  protected readonly random: SeededRandom;
  protected readonly disk: SimDisk;
  protected readonly vault: SimulatedVault;
  protected readonly clock = new ManualClock();
  protected readonly models: Model[] = [];
  protected fleet: Fleet;
  /** Counts the processes. */
  protected life = 0;
  protected violation: unknown;
  /** Reads under way. */
  protected readonly reads = new Set<Promise<void>>();
  /** Snapshots whose content is being looked at. */
  protected readonly checks: Promise<void>[] = [];
  protected snapshots = 0;
  protected crashes = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk(this.random);
    this.vault =
      seed % REAL_VAULT_EVERY === REAL_VAULT_EVERY - 1
        ? new RealVault(this.random, this.clock)
        : new SimVault(this.random);
    for (const [path, bytes] of [
      ["/cache", CACHE_BYTES],
      ["/buffer", BUFFER_BYTES],
    ] as const) {
      this.disk.addDisk(path, bytes + 2 * TABLE_BYTES);
    }
    this.disk.faults.preallocated = ["/cache", "/buffer"].map((path) => ({ path, endBytes: TABLE_BYTES }));
    this.fleet = this.newFleet();
  }

  protected async check(model: Model, first: number, count: number): Promise<void> {
    const found = await this.readValues(model, first, count);
    if (found !== undefined) assertSame(found, model.now.subarray(first, first + count), count, model.name);
  }

  /** The values of the sectors; undefined where the vault gives no answer, or the volume has stopped. */
  protected async readValues(model: Model, first: number, count: number): Promise<Uint32Array | undefined> {
    const { volume } = model;
    if (volume === undefined) return undefined;
    const bytes = Buffer.alloc(count * SECTOR_BYTES);
    try {
      if (!volume.tryRead(first * SECTOR_BYTES, bytes, 0, bytes.length)) {
        await this.finish(volume.read(first * SECTOR_BYTES, bytes, 0, bytes.length));
      }
    } catch (error) {
      if (this.#mayFail(error) || volume.failure !== undefined) return undefined;
      throw error;
    }
    return valuesOf(bytes);
  }

  /** Whether a read may end so: no answer of the vault, no room, or a sector that can't be read. */
  #mayFail(error: unknown): boolean {
    if (!(error instanceof DeviceError)) return false;
    const { kind } = error;
    return kind === "busy" || kind === "noSpace" || (kind === "mediumError" && this.disk.faults.isSpoilt);
  }

  /** Starts a read; what it finds is checked when it ends, unless the process has died. */
  protected startRead(model: Model, volume: EngineVolume, first: number, count: number): void {
    const { life } = this;
    const open = new OpenRead(model, first, count);
    model.reads.add(open);
    const bytes = Buffer.alloc(count * SECTOR_BYTES);
    const read = async () => {
      try {
        await volume.read(first * SECTOR_BYTES, bytes, 0, bytes.length);
      } catch (error) {
        const isOver = this.life !== life || volume.failure !== undefined || volume.stopping;
        if (!isOver && !this.#mayFail(error)) throw error;
        return;
      }
      if (this.life === life) open.check(valuesOf(bytes), `${model.name} read ${first}+${count}`);
    };
    const ended = read()
      .catch((error: unknown) => {
        this.violation ??= error;
      })
      .finally(() => {
        model.reads.delete(open);
        this.reads.delete(ended);
      });
    this.reads.add(ended);
  }

  /** Waits until no read is under way. */
  protected async finishReads(): Promise<void> {
    await this.finish(Promise.all(this.reads));
    if (this.violation !== undefined) throw this.violation;
  }

  protected async create(
    kind: "stored" | "cached",
    parentRootKey: string | undefined,
    sizeBytes = BLOCKS_MIN * BLOCK_BYTES,
  ): Promise<Model> {
    const number = this.models.length + 1;
    const volumeId = `vol-${String(number).padStart(17, "0")}` as VolumeId;
    const diskPath = `/disk-${number}`;
    if (kind === "stored") this.disk.addDisk(diskPath, sizeBytes);
    const model = new Model({
      volumeId,
      gatewayId: GATEWAY,
      kind,
      sizeBytes,
      preserveExistingData: false,
      recoveryPointEveryMs: kind === "cached" ? 60_000 : 0,
      ...(kind === "stored" && { diskPath }),
      ...(parentRootKey !== undefined && { parentRootKey }),
    });
    this.note(`${volumeId} made: ${kind}${parentRootKey === undefined ? "" : ` from ${parentRootKey}`}`);
    this.models.push(model);
    model.volume = await this.finish(this.fleet.open(model.definition));
    return model;
  }

  protected async open(): Promise<void> {
    const fleet = this.newFleet();
    this.fleet = fleet;
    await fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]);
    for (const model of this.models) {
      model.volume = await fleet.open(model.definition);
      assert.equal(model.volume.failure, undefined);
    }
  }

  /** Ends the process; answers whether power was lost. */
  protected async end(how: Restart): Promise<boolean> {
    this.note(`restart by ${how}`);
    this.life += 1;
    this.vault.newLife();
    if (how === "close") {
      await this.finish(this.fleet.close());
      // Whoever still reads is told that it is over.
      await this.finishReads();
      for (const { older, volume } of this.models) if (volume?.failure === undefined) older.clear();
      // After a clean shutdown it is all the same.
      if (this.random.chance(0.5)) this.disk.losePower();
      else this.disk.kill();
      return false;
    }
    this.crashes += 1;
    this.reads.clear();
    for (const { reads } of this.models) reads.clear();
    if (how === "kill") this.disk.kill();
    else this.disk.losePower();
    return how === "power";
  }

  protected stopped(): Set<Model> {
    return new Set(this.models.filter(({ volume }) => volume?.failure !== undefined));
  }

  protected newFleet(): Fleet {
    const life = this.life;
    const alive = () => this.life === life;
    const disk = this.disk.forProcess();
    const uploads = new Map<VolumeId, () => boolean>();
    const fleet: Fleet = new Fleet({
      folder: "/volumes",
      disk,
      clock: this.clock,
      random: this.random,
      rootsOf: () => this.vault,
      upload: (order) => {
        // The uploader looks once more before it writes the root: what it has read since may be of another time.
        const isWanted = () => alive() && uploads.get(order.volumeId) === isWanted;
        uploads.set(order.volumeId, isWanted);
        const locate = async (...args: Parameters<Fleet["locate"]>) => fleet.locate(...args);
        return this.vault.upload(order, disk, locate, isWanted);
      },
      cancelUpload: (volumeId) => uploads.delete(volumeId),
      readDirtyPages: async () => ({ dirtyBytes: this.random.below(100), markBytes: 100 }),
      events: {
        uploaded: (volume, { epoch, rootKey }) => {
          if (alive()) this.uploaded(volume.volumeId, epoch, rootKey);
        },
        failed: (volume, epoch, reason) => {
          if (!alive()) return;
          this.note(`${volume.volumeId} cut ${epoch} failed: ${reason}`);
          this.modelOf(volume.volumeId).cuts.delete(epoch);
        },
        delayed: () => {},
        stopped: (volumeId, reason) => {
          if (alive()) this.note(`${volumeId} has stopped: ${reason}`);
        },
      },
    });
    return fleet;
  }

  /** A snapshot is complete: it has to hold what the volume held when it was cut. */
  protected uploaded(volumeId: VolumeId, epoch: number, rootKey: string): void {
    const model = this.modelOf(volumeId);
    model.uploaded.set(epoch, rootKey);
    this.note(`${volumeId} cut ${epoch} uploaded${model.cuts.has(epoch) ? "" : " (not checked)"}`);
    this.checkSnapshot(model, epoch, rootKey);
  }

  protected checkSnapshot(model: Model, epoch: number, rootKey: string): void {
    const expected = model.cuts.get(epoch);
    // Recovery points are cut by the fleet itself; what they hold is checked by those that build on them.
    if (expected === undefined) return;
    const check = async () => {
      const found = valuesOf(await this.content(rootKey));
      assertSame(found, expected, found.length, rootKey);
      this.snapshots += 1;
    };
    this.checks.push(
      check().catch((error: unknown) => {
        // The uploader would take it for a failed upload.
        this.violation ??= error;
      }),
    );
  }

  protected content(rootKey: string): Promise<Buffer> {
    return this.vault.content(rootKey, BLOCKS_MAX);
  }

  protected modelOf(volumeId: VolumeId): Model {
    const model = this.models.find(({ definition }) => definition.volumeId === volumeId);
    assert(model !== undefined);
    return model;
  }

  protected note(step: string): void {
    this.steps.push(step);
  }

  /** Waits for a promise; where nothing moves, time does. */
  protected async finish<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    await this.settle(() => settled);
    return promise;
  }

  protected async settle(isDone: () => boolean): Promise<void> {
    for (let i = 0; !isDone(); i++) {
      this.violation ??= this.vault.violation;
      if (this.violation !== undefined) throw this.violation;
      assert(i < TURNS_MAX, "it never ends");
      await turn();
      if (i % 50 === 49) this.clock.advance(250);
    }
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
