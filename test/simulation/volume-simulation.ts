/**
 * Volumes under a random life: reads, writes, flushes, unmaps, cuts, restores, failing uploads, clean restarts, killed
 * processes and losses of power, all from one seed; and a model that knows what every sector may hold.
 *
 * Each write fills its sectors with a number of its own. The model keeps for each sector the number that a read has to
 * find, and those that it may find after a loss of power: everything since the last flush.
 */
import { strict as assert } from "node:assert";
import { DeviceError } from "../../src/platform/device-error.ts";
import type { GatewayId, VolumeId } from "../../src/platform/ids.ts";
import { CutRefused, type EngineVolume } from "../../src/volume/engine-volume.ts";
import { Fleet, type FleetVolume } from "../../src/volume/fleet.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { ManualClock } from "../kit/manual-clock.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimVault } from "./sim-vault.ts";

const SECTOR = 512;
const BLOCKS = 24;
const SIZE_BYTES = BLOCKS * BLOCK_BYTES;
const SECTORS = SIZE_BYTES / SECTOR;
const GATEWAY = "sgw-SIM" as GatewayId;
/** Few slots, so that writers wait and clean ones are taken away. */
const CACHE_BYTES = 14 * BLOCK_BYTES;
const BUFFER_BYTES = 8 * BLOCK_BYTES;
const TURNS_MAX = 200_000;

/** What a volume has to hold. */
class Model {
  readonly definition: FleetVolume;
  /** The value of each sector; 0: zeros. */
  readonly now = new Uint32Array(SECTORS);
  /** Values that a loss of power may bring back, by sector; a sector that is not in it is as `now`. */
  readonly older = new Map<number, Set<number>>();
  /** What each cut held. */
  readonly cuts = new Map<number, Uint32Array>();
  readonly uploaded = new Map<number, string>();
  volume: EngineVolume | undefined;

  constructor(definition: FleetVolume) {
    this.definition = definition;
  }

  /** Writes since a flush that is under way began. */
  #sinceFlush: { first: number; count: number; value: number }[] | undefined;
  #atFlush = new Uint32Array(0);

  flushBegins(): void {
    this.#sinceFlush = [];
    this.#atFlush = this.now.slice();
  }

  /** What stood when the flush began is durable; what came later may be. */
  flushEnded(): void {
    this.older.clear();
    const at = this.#atFlush;
    for (const { first, count, value } of this.#sinceFlush ?? []) {
      for (let sector = first; sector < first + count; sector++) {
        const older = this.older.get(sector) ?? new Set();
        older.add(at[sector] ?? 0);
        this.older.set(sector, older);
        at[sector] = value;
      }
    }
    this.#sinceFlush = undefined;
  }

  write(first: number, count: number, value: number): void {
    this.#sinceFlush?.push({ first, count, value });
    for (let sector = first; sector < first + count; sector++) {
      const before = this.now[sector] ?? 0;
      const older = this.older.get(sector);
      if (older === undefined) this.older.set(sector, new Set([before]));
      else older.add(before);
      this.now[sector] = value;
    }
  }

  /** Whether the value may stand in the sector after a loss of power. */
  mayBe(sector: number, value: number): boolean {
    return this.now[sector] === value || this.older.get(sector)?.has(value) === true;
  }
}

export interface SimulationResult {
  readonly seed: number;
  readonly steps: readonly string[];
  readonly snapshots: number;
  readonly crashes: number;
}

export class VolumeSimulation {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #disk: SimDisk;
  readonly #vault: SimVault;
  readonly #clock = new ManualClock();
  readonly #models: Model[] = [];
  readonly steps: string[] = [];
  #fleet: Fleet;
  #life = 0;
  #lastValue = 0;
  /** At the end nothing dies any more. */
  #calm = false;
  #violation: unknown;
  #snapshots = 0;
  #crashes = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#disk = new SimDisk(this.#random);
    this.#vault = new SimVault(this.#random);
    for (const [path, bytes] of [
      ["/cache", CACHE_BYTES],
      ["/buffer", BUFFER_BYTES],
    ] as const) {
      this.#disk.addDisk(path, bytes + 16_384);
    }
    this.#fleet = this.#newFleet();
  }

  /** Runs `count` random steps and then checks everything; throws where something is wrong. */
  async run(count: number): Promise<SimulationResult> {
    await this.#await(this.#fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    await this.#create("stored", undefined);
    await this.#create("cached", undefined);
    for (let i = 0; i < count; i++) await this.#step();
    this.#calm = true;
    this.#vault.unavailable = 0;
    this.#vault.broken = 0;
    await this.#restart("close");
    for (const model of this.#models) {
      await this.#check(model, 0, SECTORS);
      await this.#cut(model);
      const last = Math.max(...model.cuts.keys());
      await this.#settle(() => model.uploaded.has(last));
    }
    if (this.#violation !== undefined) throw this.#violation;
    return { seed: this.#seed, steps: this.steps, snapshots: this.#snapshots, crashes: this.#crashes };
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const model = random.pick(this.#models);
    const kind = random.below(100);
    if (kind < 45) await this.#write(model);
    else if (kind < 65) await this.#read(model);
    else if (kind < 72) await this.#flush(model);
    else if (kind < 75) await this.#unmap(model);
    else if (kind < 84) await this.#cut(model);
    else if (kind < 88) await this.#pass();
    else if (kind < 90) this.#weather();
    else if (kind < 92) await this.#restart("close");
    else if (kind < 95) await this.#restart("kill");
    else if (kind < 98) await this.#restart("power");
    else await this.#restore();
  }

  #range(): { first: number; count: number } {
    const random = this.#random;
    const shape = random.below(4);
    const count =
      shape === 0
        ? random.below(8) + 1
        : shape === 1
          ? 8 * (random.below(16) + 1)
          : shape === 2
            ? 128
            : random.below(400) + 1;
    const align = shape === 0 ? 1 : shape === 1 ? 8 : shape === 2 ? 128 : 1;
    const first = Math.floor(random.below(SECTORS - count + 1) / align) * align;
    return { first, count };
  }

  async #write(model: Model): Promise<void> {
    const { first, count } = this.#range();
    this.#lastValue += 1;
    const value = this.#lastValue;
    this.#note(`${model.definition.volumeId} write ${first}+${count} = ${value}`);
    const bytes = fill(new Uint32Array(count).fill(value));
    await this.#change(model, first, count, value, async (volume) => {
      if (!volume.tryWrite(first * SECTOR, bytes, 0, bytes.length)) {
        await volume.write(first * SECTOR, bytes, 0, bytes.length);
      }
    });
  }

  async #unmap(model: Model): Promise<void> {
    const { first, count } = this.#range();
    this.#note(`${model.definition.volumeId} unmap ${first}+${count}`);
    await this.#change(model, first, count, 0, (volume) => volume.unmap(first * SECTOR, count * SECTOR));
  }

  /** Carries out a change, at times dying in the middle of it. */
  async #change(
    model: Model,
    first: number,
    count: number,
    value: number,
    action: (volume: EngineVolume) => Promise<void>,
  ): Promise<void> {
    const { volume } = model;
    if (volume === undefined) return;
    const before = model.now.slice(first, first + count);
    const changing = action(volume);
    if (!this.#calm && this.#random.chance(0.03)) {
      // In the middle of it: each sector has the old or the new value.
      changing.catch(() => {});
      for (let i = this.#random.below(6); i > 0; i--) await turn();
      model.write(first, count, value);
      for (let i = 0; i < count; i++) model.older.get(first + i)?.add(before[i] ?? 0);
      await this.#restart(this.#random.chance(0.5) ? "kill" : "power", {
        first,
        count,
        model,
        before,
        value,
      });
      return;
    }
    try {
      await this.#await(changing);
      model.write(first, count, value);
    } catch (error) {
      if (!(error instanceof DeviceError) || error.kind === "hardwareError") throw error;
      // It was refused: whatever is there now may be either, and stays.
      this.#note(`  refused: ${error.kind}`);
      const found = await this.#readValues(model, first, count);
      if (found === undefined) return;
      for (let i = 0; i < count; i++) {
        const now = found[i] ?? 0;
        assert(now === before[i] || now === value, `sector ${first + i} has ${now} after a refused write`);
        if (now === value) model.write(first + i, 1, value);
      }
    }
  }

  async #read(model: Model): Promise<void> {
    const { first, count } = this.#range();
    this.#note(`${model.definition.volumeId} read ${first}+${count}`);
    await this.#check(model, first, count);
  }

  async #check(model: Model, first: number, count: number): Promise<void> {
    const found = await this.#readValues(model, first, count);
    if (found === undefined) return;
    for (let i = 0; i < count; i++) {
      assert.equal(found[i], model.now[first + i], `${model.definition.volumeId}: sector ${first + i}`);
    }
  }

  /** The values of the sectors; undefined where the vault gives no answer. */
  async #readValues(model: Model, first: number, count: number): Promise<Uint32Array | undefined> {
    const { volume } = model;
    if (volume === undefined) return undefined;
    const bytes = Buffer.alloc(count * SECTOR);
    try {
      if (!volume.tryRead(first * SECTOR, bytes, 0, bytes.length)) {
        await this.#await(volume.read(first * SECTOR, bytes, 0, bytes.length));
      }
    } catch (error) {
      if (error instanceof DeviceError && error.kind === "busy") return undefined;
      throw error;
    }
    return valuesOf(bytes);
  }

  async #flush(model: Model): Promise<void> {
    if (model.volume === undefined) return;
    const life = this.#life;
    this.#note(`${model.definition.volumeId} flush`);
    model.flushBegins();
    const flushing = model.volume.flush();
    flushing.catch(() => {});
    for (let i = this.#random.below(3); i > 0 && this.#life === life; i--) {
      for (let turns = this.#random.below(4); turns > 0; turns--) await turn();
      await this.#write(model);
    }
    // One of the writes may have ended in a crash: then the flush was never answered.
    if (this.#life !== life) return;
    await this.#await(flushing);
    model.flushEnded();
  }

  async #cut(model: Model): Promise<void> {
    if (model.volume === undefined) return;
    const content = model.now.slice();
    const { volumeId } = model.definition;
    const life = this.#life;
    const cutting = this.#fleet.cut([{ volumeId }]).then((cuts) => cuts?.[0]);
    cutting.catch(() => {});
    // The moment of the cut is that of the call: what comes now is not in it.
    if (this.#random.chance(0.3)) await this.#write(model);
    if (this.#life !== life) return;
    try {
      const cut = await this.#await(cutting);
      if (cut === undefined) return;
      this.#note(`${volumeId} cut ${cut.epoch}`);
      model.cuts.set(cut.epoch, content);
    } catch (error) {
      if (!(error instanceof CutRefused)) throw error;
      this.#note(`${volumeId} cut refused`);
    }
  }

  async #pass(): Promise<void> {
    const ms = this.#random.pick([100, 1_000, 5_000, 70_000]);
    this.#note(`${ms} ms pass`);
    this.#clock.advance(ms);
    for (let i = 0; i < 50; i++) await turn();
  }

  #weather(): void {
    this.#vault.unavailable = this.#random.pick([0, 0, 0.1, 0.5, 1]);
    this.#vault.broken = this.#random.pick([0, 0, 0.3]);
    this.#note(`the vault: ${this.#vault.unavailable} unavailable, ${this.#vault.broken} broken`);
  }

  async #restore(): Promise<void> {
    if (this.#models.length >= 6) return;
    const from = this.#random.pick(this.#models);
    const epoch = this.#random.pick([0, ...from.uploaded.keys()]);
    const rootKey = from.uploaded.get(epoch);
    if (rootKey === undefined) return;
    const model = await this.#create(this.#random.chance(0.5) ? "stored" : "cached", rootKey);
    model?.now.set(from.cuts.get(epoch) ?? valuesOf(this.#vault.content(rootKey, BLOCKS)));
  }

  async #create(kind: "stored" | "cached", parentRootKey: string | undefined): Promise<Model | undefined> {
    const number = this.#models.length + 1;
    const volumeId = `vol-${String(number).padStart(17, "0")}` as VolumeId;
    const diskPath = `/disk-${number}`;
    if (kind === "stored") this.#disk.addDisk(diskPath, SIZE_BYTES);
    const model = new Model({
      volumeId,
      gatewayId: GATEWAY,
      kind,
      sizeBytes: SIZE_BYTES,
      preserveExistingData: false,
      recoveryPointEveryMs: kind === "cached" ? 60_000 : 0,
      ...(kind === "stored" && { diskPath }),
      ...(parentRootKey !== undefined && { parentRootKey }),
    });
    this.#note(`${volumeId} made: ${kind}${parentRootKey === undefined ? "" : ` from ${parentRootKey}`}`);
    this.#models.push(model);
    model.volume = await this.#await(this.#fleet.open(model.definition));
    return model;
  }

  async #restart(
    how: "close" | "kill" | "power",
    torn?: { first: number; count: number; model: Model; before: Uint32Array; value: number },
  ): Promise<void> {
    this.#note(`restart by ${how}`);
    this.#life += 1;
    if (how === "close") {
      await this.#await(this.#fleet.close());
      for (const { older } of this.#models) older.clear();
    } else if (how === "kill") {
      this.#crashes += 1;
      this.#disk.kill();
    } else {
      this.#crashes += 1;
      this.#disk.losePower();
    }
    this.#fleet = this.#newFleet();
    await this.#await(this.#fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    for (const model of this.#models) {
      model.volume = await this.#await(this.#fleet.open(model.definition));
      assert.equal(model.volume.failure, undefined);
    }
    // What the crash has left has to be readable: the vault answers for as long as it takes to look.
    const { unavailable } = this.#vault;
    this.#vault.unavailable = 0;
    if (torn !== undefined) await this.#settleTorn(torn);
    if (how === "power") for (const model of this.#models) await this.#settlePowerLoss(model);
    else if (this.#random.chance(0.3)) for (const model of this.#models) await this.#check(model, 0, SECTORS);
    this.#vault.unavailable = unavailable;
  }

  /** After a kill in the middle of a write: each of its sectors is old or new, and stays what it is. */
  async #settleTorn(torn: {
    first: number;
    count: number;
    model: Model;
    before: Uint32Array;
    value: number;
  }) {
    const { first, count, model, before, value } = torn;
    const found = await this.#readValues(model, first, count);
    assert(found !== undefined);
    for (let i = 0; i < count; i++) {
      const now = found[i] ?? 0;
      const fine = now === before[i] || now === value || model.mayBe(first + i, now);
      assert(fine, `${model.definition.volumeId}: sector ${first + i} has ${now} after a torn write`);
      model.now[first + i] = now;
    }
  }

  /** After a loss of power each sector has its last flushed value or a later one; from now on it is that. */
  async #settlePowerLoss(model: Model): Promise<void> {
    const found = await this.#readValues(model, 0, SECTORS);
    assert(found !== undefined);
    for (let sector = 0; sector < SECTORS; sector++) {
      const value = found[sector] ?? 0;
      assert(
        model.mayBe(sector, value),
        `${model.definition.volumeId}: sector ${sector} has ${value} after a loss of power, not ${model.now[sector]} ` +
          `or one of ${[...(model.older.get(sector) ?? [])].join(", ")}`,
      );
      model.now[sector] = value;
    }
    model.older.clear();
    // Cuts that were lost with the power are reported as failed, and their numbers may come again.
    for (const epoch of [...model.cuts.keys()]) {
      const state = model.volume?.epochState(epoch).state;
      if (state !== "pending" && state !== "uploaded") model.cuts.delete(epoch);
    }
  }

  #newFleet(): Fleet {
    const life = this.#life;
    const alive = () => this.#life === life;
    const disk = this.#disk.forProcess();
    const fleet: Fleet = new Fleet({
      folder: "/volumes",
      disk,
      clock: this.#clock,
      roots: this.#vault,
      upload: (order) =>
        this.#vault.upload(
          order,
          disk,
          async (volumeId, epoch, blocks) => fleet.locate(volumeId, epoch, blocks),
          alive,
        ),
      cancelUpload: () => {},
      events: {
        uploaded: (volume, { epoch, rootKey }) => {
          if (!alive()) return;
          try {
            this.#uploaded(volume.volumeId, epoch, rootKey);
          } catch (error) {
            // The uploader would take it for a failed upload.
            this.#violation ??= error;
          }
        },
        failed: (volume, epoch) => {
          if (!alive()) return;
          this.#note(`${volume.volumeId} cut ${epoch} failed`);
          this.#modelOf(volume.volumeId).cuts.delete(epoch);
        },
        delayed: () => {},
        stopped: (volumeId, reason) => {
          if (!alive()) return;
          this.#violation ??= new Error(`${volumeId} has stopped: ${reason}`);
        },
      },
    });
    return fleet;
  }

  /** A snapshot is complete: it has to hold what the volume held when it was cut. */
  #uploaded(volumeId: VolumeId, epoch: number, rootKey: string): void {
    const model = this.#modelOf(volumeId);
    model.uploaded.set(epoch, rootKey);
    this.#note(`${volumeId} cut ${epoch} uploaded${model.cuts.has(epoch) ? "" : " (not checked)"}`);
    const expected = model.cuts.get(epoch);
    // Recovery points are cut by the fleet itself; what they hold is checked by those that build on them.
    if (expected === undefined) return;
    const found = valuesOf(this.#vault.content(rootKey, BLOCKS));
    for (let sector = 0; sector < SECTORS; sector++) {
      assert.equal(found[sector], expected[sector], `${rootKey}: sector ${sector}`);
    }
    this.#snapshots += 1;
  }

  #modelOf(volumeId: VolumeId): Model {
    const model = this.#models.find(({ definition }) => definition.volumeId === volumeId);
    assert(model !== undefined);
    return model;
  }

  #note(step: string): void {
    this.steps.push(step);
  }

  /** Waits for a promise; where nothing moves, time does. */
  async #await<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.then(
      () => {
        settled = true;
      },
      () => {
        settled = true;
      },
    );
    await this.#settle(() => settled);
    return promise;
  }

  async #settle(isDone: () => boolean): Promise<void> {
    for (let i = 0; !isDone(); i++) {
      this.#violation ??= this.#vault.violation;
      if (this.#violation !== undefined) throw this.#violation;
      assert(i < TURNS_MAX, "it never ends");
      await turn();
      if (i % 50 === 49) this.#clock.advance(250);
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function fill(values: Uint32Array): Buffer {
  const bytes = Buffer.alloc(values.length * SECTOR);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (const [sector, value] of values.entries())
    words.fill(value, (sector * SECTOR) / 4, ((sector + 1) * SECTOR) / 4);
  return bytes;
}

/** One value a sector; a sector that is not of one piece is reported as such. */
function valuesOf(bytes: Buffer): Uint32Array {
  const values = new Uint32Array(bytes.length / SECTOR);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let sector = 0; sector < values.length; sector++) {
    const from = (sector * SECTOR) / 4;
    const value = words[from] ?? 0;
    for (let i = 1; i < SECTOR / 4; i++) {
      assert.equal(words[from + i], value, `sector ${sector} is mixed of two writes`);
    }
    values[sector] = value;
  }
  return values;
}
