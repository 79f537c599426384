/**
 * Volumes under a random life: reads, writes, flushes, unmaps, cuts of one or of all, growth, restores, lost caches,
 * failing uploads, failing syncs, full disks, disks that go away, clean restarts, killed processes and losses of power,
 * all from one seed; and a model that knows what every sector may hold.
 *
 * Each write fills its sectors with a number of its own. The model keeps for each sector the number that a read has to
 * find, and those that it may find after a loss of power: everything since the last flush. Each step draws its numbers
 * from a stream of its own, so that a failing life can be shrunk by leaving steps out.
 */
import { strict as assert } from "node:assert";
import { DeviceError } from "../../src/platform/device-error.ts";
import type { GatewayId, VolumeId } from "../../src/platform/ids.ts";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import { CutRefused } from "../../src/volume/epoch-state.ts";
import { Fleet } from "../../src/volume/fleet.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { ManualClock } from "../kit/manual-clock.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { assertSame, BLOCKS_MAX, BLOCKS_MIN, fill, Model, SECTOR_BYTES, valuesOf } from "./model.ts";
import { RealVault } from "./real-vault.ts";
import { SimDisk } from "./sim-disk.ts";
import { type SimulatedVault, SimVault } from "./sim-vault.ts";

const GATEWAY = "sgw-SIM" as GatewayId;
/** Few slots, so that writers wait and clean ones are taken away. */
const CACHE_BYTES = 14 * BLOCK_BYTES;
const BUFFER_BYTES = 8 * BLOCK_BYTES;
/** Header and table of a slot disk, which have their room from the beginning. */
const TABLE_BYTES = 8192;
const TURNS_MAX = 200_000;
const MODELS_MAX = 6;
/** Every so many seeds the vault is the real one. */
const REAL_VAULT_EVERY = 8;

/** The seeds whose lives have the real vault, by their number. */
export function realVaultSeed(number: number): number {
  return number * REAL_VAULT_EVERY + REAL_VAULT_EVERY - 1;
}

export interface SimulationResult {
  readonly seed: number;
  readonly steps: readonly string[];
  readonly snapshots: number;
  readonly crashes: number;
}

type Restart = "close" | "kill" | "power";

interface TornWrite {
  readonly first: number;
  readonly count: number;
  readonly model: Model;
  readonly before: Uint32Array;
  readonly value: number;
}

/** What the end of a process is known to have broken off. */
interface Broken {
  readonly torn: readonly TornWrite[];
  /** Volumes that had stopped before. */
  readonly suspects: ReadonlySet<Model>;
}

export class VolumeSimulation {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #disk: SimDisk;
  readonly #vault: SimulatedVault;
  readonly #clock = new ManualClock();
  readonly #models: Model[] = [];
  readonly steps: string[] = [];
  #fleet: Fleet;
  #life = 0;
  #lastValue = 0;
  /** At the end nothing dies any more. */
  #calm = false;
  #violation: unknown;
  /** Snapshots whose content is being looked at. */
  #checks: Promise<void>[] = [];
  #snapshots = 0;
  #crashes = 0;

  /** What happens, and how often: the weights add up to 100. */
  readonly #operations: readonly (readonly [weight: number, run: (model: Model) => Promise<void>])[] = [
    [39, (model) => this.#write(model)],
    [19, (model) => this.#read(model)],
    [7, (model) => this.#flush(model)],
    [4, (model) => this.#unmap(model)],
    [7, (model) => this.#cut([model])],
    [2, () => this.#cut(this.#models)],
    [4, () => this.#pass()],
    [2, async () => this.#weather()],
    [1, (model) => this.#grow(model)],
    [2, () => this.#dieWithin()],
    [1, (model) => this.#loseCut(model)],
    [2, () => this.#restart("close")],
    [3, () => this.#restart("kill")],
    [3, () => this.#restart("power")],
    [2, () => this.#restore()],
    [1, (model) => this.#leave(model)],
    [1, (model) => this.#disturb(model)],
  ];

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#disk = new SimDisk(this.#random);
    this.#vault =
      seed % REAL_VAULT_EVERY === REAL_VAULT_EVERY - 1
        ? new RealVault(this.#random, this.#clock)
        : new SimVault(this.#random);
    for (const [path, bytes] of [
      ["/cache", CACHE_BYTES],
      ["/buffer", BUFFER_BYTES],
    ] as const) {
      this.#disk.addDisk(path, bytes + 2 * TABLE_BYTES);
    }
    this.#disk.faults.preallocated = ["/cache", "/buffer"].map((path) => ({ path, endBytes: TABLE_BYTES }));
    this.#fleet = this.#newFleet();
  }

  /** Runs `count` random steps, or those of them in `only`, and then checks everything; throws what is wrong. */
  async run(count: number, only?: ReadonlySet<number>): Promise<SimulationResult> {
    await this.#await(this.#fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    await this.#create("stored", undefined);
    await this.#create("cached", undefined);
    for (let i = 0; i < count; i++) {
      if (only !== undefined && !only.has(i)) continue;
      this.#random.reseed(this.#seed * 100_003 + i + 1);
      await this.#step();
    }
    this.#calm = true;
    this.#vault.unavailable = 0;
    this.#vault.broken = 0;
    await this.#restart("close");
    for (const model of this.#models) {
      await this.#check(model, 0, model.sectors);
      await this.#cut([model]);
      const last = Math.max(...model.cuts.keys());
      await this.#settle(() => model.uploaded.has(last));
    }
    for (const check of this.#checks) await this.#await(check);
    if (this.#violation !== undefined) throw this.#violation;
    return { seed: this.#seed, steps: this.steps, snapshots: this.#snapshots, crashes: this.#crashes };
  }

  async #step(): Promise<void> {
    const model = this.#random.pick(this.#models);
    let left = this.#random.below(100);
    for (const [weight, run] of this.#operations) {
      left -= weight;
      if (left >= 0) continue;
      await run(model);
      return;
    }
  }

  #range(model: Model): { first: number; count: number } {
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
    const first = Math.floor(random.below(model.sectors - count + 1) / align) * align;
    return { first, count };
  }

  async #write(model: Model, { first, count } = this.#range(model)): Promise<void> {
    this.#lastValue += 1;
    const value = this.#lastValue;
    this.#note(`${model.name} write ${first}+${count} = ${value}`);
    const bytes = fill(count, value);
    await this.#change(model, first, count, value, async (volume) => {
      if (!volume.tryWrite(first * SECTOR_BYTES, bytes, 0, bytes.length)) {
        await volume.write(first * SECTOR_BYTES, bytes, 0, bytes.length);
      }
    });
  }

  async #unmap(model: Model): Promise<void> {
    const { first, count } = this.#range(model);
    this.#note(`${model.name} unmap ${first}+${count}`);
    await this.#change(model, first, count, 0, (volume) =>
      volume.unmap(first * SECTOR_BYTES, count * SECTOR_BYTES),
    );
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
      const suspects = this.#stopped();
      await this.#restart(this.#random.chance(0.5) ? "kill" : "power", {
        torn: [{ first, count, model, before, value }],
        suspects,
      });
      return;
    }
    try {
      await this.#await(changing);
      model.write(first, count, value);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#note(`  refused: ${error.kind}`);
      // It was refused: whatever is there now may be either, and stays.
      if (volume.failure !== undefined) model.write(first, count, value);
      else await this.#settleTorn({ first, count, model, before, value });
    }
  }

  async #read(model: Model): Promise<void> {
    const { first, count } = this.#range(model);
    this.#note(`${model.name} read ${first}+${count}`);
    await this.#check(model, first, count);
  }

  async #check(model: Model, first: number, count: number): Promise<void> {
    const found = await this.#readValues(model, first, count);
    if (found !== undefined) assertSame(found, model.now.subarray(first, first + count), count, model.name);
  }

  /** The values of the sectors; undefined where the vault gives no answer, or the volume has stopped. */
  async #readValues(model: Model, first: number, count: number): Promise<Uint32Array | undefined> {
    const { volume } = model;
    if (volume === undefined) return undefined;
    const bytes = Buffer.alloc(count * SECTOR_BYTES);
    try {
      if (!volume.tryRead(first * SECTOR_BYTES, bytes, 0, bytes.length)) {
        await this.#await(volume.read(first * SECTOR_BYTES, bytes, 0, bytes.length));
      }
    } catch (error) {
      const passes = error instanceof DeviceError && (error.kind === "busy" || error.kind === "noSpace");
      if (passes || volume.failure !== undefined) return undefined;
      throw error;
    }
    return valuesOf(bytes);
  }

  async #flush(model: Model): Promise<void> {
    const { volume } = model;
    if (volume === undefined || volume.failure !== undefined) return;
    const life = this.#life;
    this.#note(`${model.name} flush`);
    model.flushBegins();
    const flushing = volume.flush();
    flushing.catch(() => {});
    for (let i = this.#random.below(3); i > 0 && this.#life === life; i--) {
      for (let turns = this.#random.below(4); turns > 0; turns--) await turn();
      await this.#write(model);
    }
    // One of the writes may have ended in a crash: then the flush was never answered.
    if (this.#life !== life) return;
    try {
      await this.#await(flushing);
    } catch (error) {
      const isFull = error instanceof DeviceError && error.kind === "noSpace";
      if (volume.failure === undefined && !isFull) throw error;
      this.#note("  it failed");
      return;
    }
    model.flushEnded();
  }

  #stopped(): Set<Model> {
    return new Set(this.#models.filter(({ volume }) => volume?.failure !== undefined));
  }

  /** The process dies between two changes of its files, in the middle of whatever it is doing. */
  async #dieWithin(): Promise<void> {
    const suspects = this.#stopped();
    const changes = this.#random.below(40) + 1;
    this.#note(`it dies within ${changes} changes`);
    const life = this.#life;
    const writes: (TornWrite & { isDone: boolean })[] = [];
    this.#disk.dieWithin(changes);
    for (let i = this.#random.below(4) + 1; i > 0; i--) {
      const model = this.#random.pick(this.#models);
      const { volume } = model;
      if (volume === undefined || writes.some((write) => write.model === model)) continue;
      if (this.#random.chance(0.3)) volume.flush().catch(() => {});
      const { first, count } = this.#range(model);
      this.#lastValue += 1;
      const value = this.#random.chance(0.2) ? 0 : this.#lastValue;
      const write = {
        ...{ first, count, model, value, isDone: false },
        before: model.now.slice(first, first + count),
      };
      writes.push(write);
      this.#note(`${model.name} write ${first}+${count} = ${value}`);
      const action = async () => {
        const bytes = fill(count, value);
        if (value === 0) await volume.unmap(first * SECTOR_BYTES, bytes.length);
        else if (!volume.tryWrite(first * SECTOR_BYTES, bytes, 0, bytes.length))
          await volume.write(first * SECTOR_BYTES, bytes, 0, bytes.length);
        write.isDone = this.#disk.isDying;
      };
      action().catch(() => {});
      if (this.#random.chance(0.3))
        this.#fleet.cut([{ volumeId: model.definition.volumeId }]).catch(() => {});
      for (let turns = this.#random.below(3); turns > 0; turns--) await turn();
    }
    for (let i = 0; i < 60 && this.#disk.isDying; i++) {
      await turn();
      if (i % 20 === 19) this.#clock.advance(250);
    }
    assert.equal(this.#life, life);
    for (const { model, first, count, value } of writes) model.write(first, count, value);
    await this.#restart("kill", { torn: writes.filter(({ isDone }) => !isDone), suspects });
  }

  /** Power is lost before a cut is on stable storage, while what came after it is. */
  async #loseCut(model: Model): Promise<void> {
    if (model.volume === undefined || model.volume.failure !== undefined) return;
    const life = this.#life;
    const { volumeId } = model.definition;
    this.#note(`${model.name} is cut, and that gets lost`);
    this.#disk.faults.stalled = `/volumes/${volumeId}/epochs`;
    this.#fleet.cut([{ volumeId }]).catch(() => {});
    await this.#write(model);
    if (this.#life === life) await this.#flush(this.#random.pick([model, ...this.#models]));
    if (this.#life === life) await this.#restart("power");
  }

  /** Cuts the volumes at one instant. */
  async #cut(models: readonly Model[]): Promise<void> {
    const cut = models.filter(({ volume }) => volume !== undefined && volume.failure === undefined);
    const contents = cut.map(({ now }) => now.slice());
    const life = this.#life;
    const cutting = this.#fleet.cut(cut.map(({ definition: { volumeId } }) => ({ volumeId })));
    cutting.catch(() => {});
    // The moment of the cut is that of the call: what comes now is not in it.
    if (this.#random.chance(0.3)) await this.#write(this.#random.pick(this.#models));
    if (this.#life !== life) return;
    try {
      const cuts = await this.#await(cutting);
      for (const [i, model] of cut.entries()) {
        const [epoch, content] = [cuts?.[i]?.epoch, contents[i]];
        if (epoch === undefined || content === undefined) continue;
        this.#note(`${model.name} cut ${epoch}`);
        model.cuts.set(epoch, content);
      }
    } catch (error) {
      if (!(error instanceof CutRefused) && !(error instanceof DeviceError)) throw error;
      this.#note("cut refused");
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

  async #grow(model: Model): Promise<void> {
    const { volume, definition } = model;
    const sizeBytes = Math.min(definition.sizeBytes + 4 * BLOCK_BYTES, BLOCKS_MAX * BLOCK_BYTES);
    if (volume === undefined || volume.failure !== undefined || volume.restoreProgress !== undefined) return;
    this.#note(`${model.name} grows to ${sizeBytes / BLOCK_BYTES} blocks`);
    if (definition.diskPath !== undefined) this.#disk.open(definition.diskPath, { sizeBytes });
    // As the catalog has it first: a crash on the way leaves a volume that is opened with its new size.
    model.definition = { ...definition, sizeBytes };
    if (this.#random.chance(0.2)) await this.#restart("kill");
    else await this.#await(this.#fleet.grow(definition.volumeId, sizeBytes));
  }

  /** Something is wrong with the disks for a while; what has stopped for it is looked at after a restart. */
  async #disturb(model: Model): Promise<void> {
    const { faults } = this.#disk;
    const what = this.#random.below(4);
    if (what === 0) faults.failingSyncs = 0.2;
    else if (what === 1) faults.fullness = 0.2;
    else if (what === 2) await this.#loseCache();
    else {
      const path = this.#random.pick(["/cache", "/buffer", model.definition.diskPath ?? "/cache"]);
      this.#note(`${path} goes away`);
      this.#disk.unplug(path);
      // Whoever has something on it that was not synced finds out at its next sync at the latest.
      for (const each of this.#models) await each.volume?.flush().catch(() => {});
    }
    if (what < 2) this.#note(`disks: syncs fail ${faults.failingSyncs}, full ${faults.fullness}`);
    if (what === 2) return;
    const life = this.#life;
    for (let i = this.#random.below(8) + 2; i > 0 && this.#life === life; i--) {
      const random = this.#random.below(4);
      const other = this.#random.pick(this.#models);
      if (random === 0) await this.#flush(other);
      else if (random === 1) await this.#cut([other]);
      else await this.#write(other);
    }
    if (this.#life === life) await this.#restart("kill");
  }

  /** The cache is given up: cached volumes go back to what the bucket has of them. */
  async #loseCache(): Promise<void> {
    const cached = this.#models.filter(({ definition }) => definition.kind === "cached");
    this.#note("the cache is reset");
    await this.#await(
      this.#fleet.resetCache(
        GATEWAY,
        cached.map(({ definition }) => definition),
        "reset",
      ),
    );
    await this.#await(this.#fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    for (const model of cached) {
      model.volume = await this.#await(this.#fleet.open(model.definition));
      const rootKey = model.volume.baseRootKey;
      model.now.fill(0);
      if (rootKey !== undefined) model.now.set(valuesOf(await this.#content(rootKey)));
      model.older.clear();
      for (const epoch of [...model.cuts.keys()]) if (!model.uploaded.has(epoch)) model.cuts.delete(epoch);
    }
  }

  async #restore(): Promise<void> {
    if (this.#models.length >= MODELS_MAX) return;
    const from = this.#random.pick(this.#models);
    const epoch = this.#random.pick([0, ...from.uploaded.keys()]);
    const rootKey = from.uploaded.get(epoch);
    if (rootKey === undefined) return;
    const content = from.cuts.get(epoch) ?? valuesOf(await this.#content(rootKey));
    const kind = this.#random.chance(0.5) ? "stored" : "cached";
    // Where the bucket gives no answer for a while, a volume is written, cut and closed with blocks still to come.
    if (this.#random.chance(0.4)) this.#vault.unavailable = this.#random.pick([0.5, 1]);
    const model = await this.#create(kind, rootKey, from.definition.sizeBytes);
    model.now.set(content);
    if (kind === "cached" || this.#vault.unavailable !== 1 || this.#random.chance(0.5)) return;
    const life = this.#life;
    for (let i = 0; i < 2 && this.#life === life; i++) {
      await this.#write(model, { first: this.#random.below(model.sectors / 128) * 128, count: 128 });
    }
    if (this.#life === life && this.#random.chance(0.5)) await this.#restart("close");
  }

  /**
   * The volume goes and comes again: to be attached anew, after all of it was sent; or a stored one is deleted, with
   * whatever waits for the bucket, and its disk adopted by the next.
   */
  async #leave(model: Model): Promise<void> {
    const { definition, volume } = model;
    const { volumeId, diskPath } = definition;
    if (volume === undefined || volume.failure !== undefined) return;
    if (this.#models.some((each) => each.volume?.failure !== undefined)) return;
    const isDeleted =
      diskPath !== undefined && volume.restoreProgress === undefined && this.#random.chance(0.6);
    const { unavailable, broken } = this.#vault;
    this.#vault.broken = 0;
    if (!isDeleted) this.#vault.unavailable = 0;
    try {
      const rootKey = isDeleted ? undefined : await this.#sendAll(model);
      if (!isDeleted && rootKey === undefined) return;
      this.#note(`${model.name} ${isDeleted ? "is deleted, and its disk adopted" : `leaves as ${rootKey}`}`);
      await this.#await(this.#fleet.remove(definition));
      this.#vault.unavailable = 0;
      await this.#await(this.#vault.renewLease(volumeId));
      if (isDeleted) {
        const image = this.#disk.readFile(diskPath);
        assert(image !== undefined);
        assertSame(valuesOf(image), model.now, model.sectors, `the disk of ${model.name}`);
      }
      const { parentRootKey: _, ...rest } = definition;
      const parent = rootKey === undefined ? { preserveExistingData: true } : { parentRootKey: rootKey };
      model.definition = { ...rest, ...parent };
      for (const each of [model.older, model.cuts, model.uploaded]) each.clear();
      model.volume = undefined;
      if (this.#random.chance(0.4)) await this.#restart("power");
      else model.volume = await this.#await(this.#fleet.open(model.definition));
    } finally {
      Object.assign(this.#vault, { unavailable, broken });
    }
  }

  /** Cuts the volume and waits until all of it is in the bucket; answers its root. */
  async #sendAll(model: Model): Promise<string | undefined> {
    try {
      const cuts = await this.#await(this.#fleet.cut([{ volumeId: model.definition.volumeId }]));
      const epoch = cuts?.[0]?.epoch ?? 0;
      await this.#settle(() => model.volume?.epochState(epoch).state !== "pending");
      return model.uploaded.get(epoch);
    } catch (error) {
      if (error instanceof CutRefused || error instanceof DeviceError) return undefined;
      throw error;
    }
  }

  async #create(
    kind: "stored" | "cached",
    parentRootKey: string | undefined,
    sizeBytes = BLOCKS_MIN * BLOCK_BYTES,
  ): Promise<Model> {
    const number = this.#models.length + 1;
    const volumeId = `vol-${String(number).padStart(17, "0")}` as VolumeId;
    const diskPath = `/disk-${number}`;
    if (kind === "stored") this.#disk.addDisk(diskPath, sizeBytes);
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
    this.#note(`${volumeId} made: ${kind}${parentRootKey === undefined ? "" : ` from ${parentRootKey}`}`);
    this.#models.push(model);
    model.volume = await this.#await(this.#fleet.open(model.definition));
    return model;
  }

  async #restart(how: Restart, broken?: Broken): Promise<void> {
    const { faults } = this.#disk;
    faults.failingSyncs = 0;
    faults.fullness = 0;
    faults.stalled = undefined;
    // What has stopped may have lost what was not flushed, as by a loss of power.
    const suspects = broken?.suspects ?? this.#stopped();
    let lost = await this.#end(how);
    while (!this.#calm && this.#random.chance(0.15)) {
      const opening = this.#open();
      opening.catch(() => {});
      if (this.#random.chance(0.5)) this.#disk.dieWithin(this.#random.below(60) + 1);
      for (let i = this.#random.below(40); i > 0; i--) await turn();
      this.#note("it dies again while it opens its volumes");
      lost = (await this.#end(this.#random.chance(0.5) ? "kill" : "power")) || lost;
    }
    await this.#await(this.#open());
    // A cut at once is of what the crash has left, before anybody has looked at it.
    const early = this.#calm || this.#random.chance(0.65) ? undefined : await this.#cutAll();
    // What the crash has left has to be readable: the vault answers for as long as it takes to look.
    const { unavailable } = this.#vault;
    this.#vault.unavailable = 0;
    for (const torn of broken?.torn ?? []) await this.#settleTorn(torn, !lost && !suspects.has(torn.model));
    for (const model of this.#models) {
      if (lost || suspects.has(model)) await this.#settleLoss(model, lost);
      else if (how !== "power" && this.#random.chance(0.3)) await this.#check(model, 0, model.sectors);
    }
    this.#vault.unavailable = unavailable;
    for (const [model, epoch] of early ?? []) {
      model.cuts.set(epoch, model.now.slice());
      const rootKey = model.uploaded.get(epoch);
      if (rootKey !== undefined) this.#checkSnapshot(model, epoch, rootKey);
    }
  }

  /** Cuts all volumes that can be cut; answers the epochs. */
  async #cutAll(): Promise<Map<Model, number>> {
    const epochs = new Map<Model, number>();
    for (const model of this.#models) {
      try {
        const cuts = await this.#await(this.#fleet.cut([{ volumeId: model.definition.volumeId }]));
        const epoch = cuts?.[0]?.epoch;
        if (epoch === undefined) continue;
        epochs.set(model, epoch);
        model.uploaded.delete(epoch);
        this.#note(`${model.name} cut ${epoch} at once`);
      } catch (error) {
        if (!(error instanceof CutRefused) && !(error instanceof DeviceError)) throw error;
      }
    }
    return epochs;
  }

  /** Ends the process; answers whether power was lost. */
  async #end(how: Restart): Promise<boolean> {
    this.#note(`restart by ${how}`);
    this.#life += 1;
    this.#vault.newLife();
    if (how === "close") {
      await this.#await(this.#fleet.close());
      for (const { older, volume } of this.#models) if (volume?.failure === undefined) older.clear();
      // After a clean shutdown it is all the same.
      if (this.#random.chance(0.5)) this.#disk.losePower();
      else this.#disk.kill();
      return false;
    }
    this.#crashes += 1;
    if (how === "kill") this.#disk.kill();
    else this.#disk.losePower();
    return how === "power";
  }

  async #open(): Promise<void> {
    const fleet = this.#newFleet();
    this.#fleet = fleet;
    await fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]);
    for (const model of this.#models) {
      model.volume = await fleet.open(model.definition);
      assert.equal(model.volume.failure, undefined);
    }
  }

  /** After a write that was torn or refused: each of its sectors is old or new, and stays what it is. */
  async #settleTorn({ first, count, model, before, value }: TornWrite, isExact = false): Promise<void> {
    const { unavailable } = this.#vault;
    const { fullness } = this.#disk.faults;
    this.#vault.unavailable = 0;
    this.#disk.faults.fullness = 0;
    const found = await this.#readValues(model, first, count);
    this.#vault.unavailable = unavailable;
    this.#disk.faults.fullness = fullness;
    if (found === undefined) {
      assert(model.volume?.failure !== undefined);
      model.write(first, count, value);
      return;
    }
    for (let i = 0; i < count; i++) {
      const now = found[i] ?? 0;
      const fine = now === before[i] || now === value || (!isExact && model.mayBe(first + i, now));
      assert(fine, `${model.name}: sector ${first + i} has ${now} after a torn write`);
      if (now === value) model.write(first + i, 1, value);
      else model.now[first + i] = now;
    }
  }

  async #settleLoss(model: Model, isDurable: boolean): Promise<void> {
    const found = await this.#readValues(model, 0, model.sectors);
    assert(found !== undefined);
    model.settle(found, isDurable);
  }

  #newFleet(): Fleet {
    const life = this.#life;
    const alive = () => this.#life === life;
    const disk = this.#disk.forProcess();
    const uploads = new Map<VolumeId, () => boolean>();
    const fleet: Fleet = new Fleet({
      folder: "/volumes",
      disk,
      clock: this.#clock,
      random: this.#random,
      rootsOf: () => this.#vault,
      upload: (order) => {
        // The uploader looks once more before it writes the root: what it has read since may be of another time.
        const isWanted = () => alive() && uploads.get(order.volumeId) === isWanted;
        uploads.set(order.volumeId, isWanted);
        const locate = async (...args: Parameters<Fleet["locate"]>) => fleet.locate(...args);
        return this.#vault.upload(order, disk, locate, isWanted);
      },
      cancelUpload: (volumeId) => uploads.delete(volumeId),
      readDirtyPages: async () => ({ dirtyBytes: this.#random.below(100), markBytes: 100 }),
      events: {
        uploaded: (volume, { epoch, rootKey }) => {
          if (alive()) this.#uploaded(volume.volumeId, epoch, rootKey);
        },
        failed: (volume, epoch, reason) => {
          if (!alive()) return;
          this.#note(`${volume.volumeId} cut ${epoch} failed: ${reason}`);
          this.#modelOf(volume.volumeId).cuts.delete(epoch);
        },
        delayed: () => {},
        stopped: (volumeId, reason) => {
          if (alive()) this.#note(`${volumeId} has stopped: ${reason}`);
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
    this.#checkSnapshot(model, epoch, rootKey);
  }

  #checkSnapshot(model: Model, epoch: number, rootKey: string): void {
    const expected = model.cuts.get(epoch);
    // Recovery points are cut by the fleet itself; what they hold is checked by those that build on them.
    if (expected === undefined) return;
    const check = async () => {
      const found = valuesOf(await this.#content(rootKey));
      assertSame(found, expected, found.length, rootKey);
      this.#snapshots += 1;
    };
    this.#checks.push(
      check().catch((error: unknown) => {
        // The uploader would take it for a failed upload.
        this.#violation ??= error;
      }),
    );
  }

  #content(rootKey: string): Promise<Buffer> {
    return this.#vault.content(rootKey, BLOCKS_MAX);
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
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
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
