/**
 * Volumes under a random life: reads (alone and beside all else), writes, flushes, unmaps, cuts of one or of all, growth, restores, lost caches,
 * failing uploads, failing syncs, full disks, sectors that can't be read, disks that go away, clean restarts, killed processes and losses of power,
 * all from one seed; and a model that knows what every sector may hold.
 *
 * Each write fills its sectors with a number of its own. The model keeps for each sector the number that a read has to
 * find, and those that it may find after a loss of power: everything since the last flush. Each step draws its numbers
 * from a stream of its own, so that a failing life can be shrunk by leaving steps out.
 */
import { strict as assert } from "node:assert";
import { DeviceError } from "../../src/platform/device-error.ts";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import { CutRefused } from "../../src/volume/epoch-state.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { assertSame, BLOCKS_MAX, fill, type Model, SECTOR_BYTES, valuesOf } from "./model.ts";
import { RestartingGateway, type TornWrite } from "./restarting-gateway.ts";
import { GATEWAY, TABLE_BYTES, turn } from "./simulated-gateway.ts";

const MODELS_MAX = 6;
/** Reads under way at a time. */
const READS_MAX = 12;
/** Sectors of a slot disk of which some can't be read, at times: those of its first slots. */
const SLOTS_SPOILT = 8 * 128;

export interface SimulationResult {
  readonly seed: number;
  readonly steps: readonly string[];
  readonly snapshots: number;
  readonly crashes: number;
}

export class VolumeSimulation extends RestartingGateway {
  #lastValue = 0;

  /** What happens, and how often: the weights add up to 100. */
  readonly #operations: readonly (readonly [weight: number, run: (model: Model) => Promise<void>])[] = [
    [38, (model) => this.#write(model)],
    [1, (model) => this.#spoil(model)],
    [12, (model) => this.#read(model)],
    [7, (model) => this.#startRead(model)],
    [7, (model) => this.#flush(model)],
    [4, (model) => this.#unmap(model)],
    [7, (model) => this.#cut([model])],
    [2, () => this.#cut(this.models)],
    [4, () => this.#pass()],
    [2, async () => this.#weather()],
    [1, (model) => this.#grow(model)],
    [2, () => this.#dieWithin()],
    [1, (model) => this.#loseCut(model)],
    [2, () => this.restart("close")],
    [3, () => this.restart("kill")],
    [3, () => this.restart("power")],
    [2, () => this.#restore()],
    [1, (model) => this.#leave(model)],
    [1, (model) => this.#disturb(model)],
  ];

  /** Runs `count` random steps, or those of them in `only`, and then checks everything; throws what is wrong. */
  async run(count: number, only?: ReadonlySet<number>): Promise<SimulationResult> {
    await this.finish(this.fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    await this.create("stored", undefined);
    await this.create("cached", undefined);
    for (let i = 0; i < count; i++) {
      if (only !== undefined && !only.has(i)) continue;
      this.random.reseed(this.seed * 100_003 + i + 1);
      await this.#step();
    }
    this.calm = true;
    this.vault.unavailable = 0;
    this.vault.broken = 0;
    await this.finishReads();
    await this.restart("close");
    for (const model of this.models) {
      await this.check(model, 0, model.sectors);
      await this.#cut([model]);
      const last = Math.max(...model.cuts.keys());
      await this.settle(() => model.uploaded.has(last));
    }
    for (const check of this.checks) await this.finish(check);
    if (this.violation !== undefined) throw this.violation;
    return { seed: this.seed, steps: this.steps, snapshots: this.snapshots, crashes: this.crashes };
  }

  async #step(): Promise<void> {
    const model = this.random.pick(this.models);
    let left = this.random.below(100);
    for (const [weight, run] of this.#operations) {
      left -= weight;
      if (left >= 0) continue;
      await run(model);
      return;
    }
  }

  #range(model: Model): { first: number; count: number } {
    const random = this.random;
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
    this.note(`${model.name} write ${first}+${count} = ${value}`);
    const bytes = fill(count, value);
    await this.#change(model, first, count, value, async (volume) => {
      if (!volume.tryWrite(first * SECTOR_BYTES, bytes, 0, bytes.length)) {
        await volume.write(first * SECTOR_BYTES, bytes, 0, bytes.length);
      }
    });
  }

  async #unmap(model: Model): Promise<void> {
    const { first, count } = this.#range(model);
    this.note(`${model.name} unmap ${first}+${count}`);
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
    model.begins(first, count, value);
    const changing = action(volume);
    if (!this.calm && this.random.chance(0.03)) {
      // In the middle of it: each sector has the old or the new value.
      changing.catch(() => {});
      for (let i = this.random.below(6); i > 0; i--) await turn();
      model.write(first, count, value);
      for (let i = 0; i < count; i++) model.older.get(first + i)?.add(before[i] ?? 0);
      const suspects = this.stopped();
      await this.restart(this.random.chance(0.5) ? "kill" : "power", {
        torn: [{ first, count, model, before, value }],
        suspects,
      });
      return;
    }
    try {
      await this.finish(changing);
      model.write(first, count, value);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.note(`  refused: ${error.kind}`);
      // It was refused: whatever is there now may be either, and stays.
      if (volume.failure !== undefined) model.write(first, count, value);
      else await this.settleTorn({ first, count, model, before, value });
    }
  }

  async #read(model: Model): Promise<void> {
    const { first, count } = this.#range(model);
    this.note(`${model.name} read ${first}+${count}`);
    await this.check(model, first, count);
  }

  /** A read that waits for its disk at least once, while life goes on. */
  async #startRead(model: Model): Promise<void> {
    const { volume } = model;
    if (volume === undefined || this.reads.size >= READS_MAX) return;
    const { first, count } = this.#range(model);
    this.note(`${model.name} starts to read ${first}+${count}`);
    const { faults } = this.disk;
    const { absence } = faults;
    faults.absence = 1;
    this.startRead(model, volume, first, count);
    faults.absence = absence;
    // At times the disk is slow.
    for (let turns = this.random.below(3); turns > 0; turns--) await turn();
  }

  /**
   * Some sectors of a disk can't be read for a while. Who wants just these is told so; nobody else is, and nothing is
   * lost when they can be read again.
   */
  async #spoil(model: Model): Promise<void> {
    const path = this.random.pick(["/cache", "/buffer", model.definition.diskPath ?? "/cache"]);
    const isSlots = path === "/cache" || path === "/buffer";
    const from = isSlots ? TABLE_BYTES / SECTOR_BYTES : 0;
    const sectors = (isSlots ? SLOTS_SPOILT : model.sectors) - from;
    const first = from + this.random.below(sectors);
    const bad = Array.from({ length: this.random.below(40) + 1 }, (_, i) => first + i);
    this.note(`${path}: ${bad.length} sectors from ${first} on can't be read`);
    this.disk.spoil(path, bad);
    this.disk.faults.isSpoilt = true;
    const life = this.life;
    if (!isSlots) {
      const { volume } = model;
      const hasStopped = volume?.failure !== undefined;
      await this.check(model, first, Math.min(bad.length, model.sectors - first));
      assert.equal(
        volume?.failure !== undefined,
        hasStopped,
        "a volume stops for a sector that can't be read",
      );
    }
    for (let i = this.random.below(10) + 2; i > 0 && this.life === life; i--) {
      const random = this.random.below(6);
      const other = this.random.pick(this.models);
      if (random === 0) await this.#startRead(other);
      else if (random === 1) await this.#unmap(other);
      else if (random === 2) await this.#cut([other]);
      else if (random < 5) await this.#read(other);
      else await this.#write(other);
    }
    if (this.life !== life) return;
    // Those that were begun while it lasted may still be told of it.
    await this.finishReads();
    this.disk.mend();
    this.note("all can be read again");
    if (this.models.some(({ volume }) => volume?.failure !== undefined)) await this.restart("kill");
  }

  async #flush(model: Model): Promise<void> {
    const { volume } = model;
    if (volume === undefined || volume.failure !== undefined) return;
    const life = this.life;
    this.note(`${model.name} flush`);
    model.flushBegins();
    const flushing = volume.flush();
    flushing.catch(() => {});
    for (let i = this.random.below(3); i > 0 && this.life === life; i--) {
      for (let turns = this.random.below(4); turns > 0; turns--) await turn();
      await this.#write(model);
    }
    // One of the writes may have ended in a crash: then the flush was never answered.
    if (this.life !== life) return;
    try {
      await this.finish(flushing);
    } catch (error) {
      const isFull = error instanceof DeviceError && error.kind === "noSpace";
      if (volume.failure === undefined && !isFull) throw error;
      this.note("  it failed");
      return;
    }
    model.flushEnded();
  }

  /** The process dies between two changes of its files, in the middle of whatever it is doing. */
  async #dieWithin(): Promise<void> {
    const suspects = this.stopped();
    const changes = this.random.below(40) + 1;
    this.note(`it dies within ${changes} changes`);
    const life = this.life;
    const writes: (TornWrite & { isDone: boolean })[] = [];
    this.disk.dieWithin(changes);
    for (let i = this.random.below(4) + 1; i > 0; i--) {
      const model = this.random.pick(this.models);
      const { volume } = model;
      if (volume === undefined || writes.some((write) => write.model === model)) continue;
      if (this.random.chance(0.3)) volume.flush().catch(() => {});
      const { first, count } = this.#range(model);
      this.#lastValue += 1;
      const value = this.random.chance(0.2) ? 0 : this.#lastValue;
      const write = {
        ...{ first, count, model, value, isDone: false },
        before: model.now.slice(first, first + count),
      };
      writes.push(write);
      model.begins(first, count, value);
      this.note(`${model.name} write ${first}+${count} = ${value}`);
      const action = async () => {
        const bytes = fill(count, value);
        if (value === 0) await volume.unmap(first * SECTOR_BYTES, bytes.length);
        else if (!volume.tryWrite(first * SECTOR_BYTES, bytes, 0, bytes.length))
          await volume.write(first * SECTOR_BYTES, bytes, 0, bytes.length);
        write.isDone = this.disk.isDying;
      };
      action().catch(() => {});
      if (this.random.chance(0.3)) this.fleet.cut([{ volumeId: model.definition.volumeId }]).catch(() => {});
      for (let turns = this.random.below(3); turns > 0; turns--) await turn();
    }
    for (let i = 0; i < 60 && this.disk.isDying; i++) {
      await turn();
      if (i % 20 === 19) this.clock.advance(250);
    }
    assert.equal(this.life, life);
    for (const { model, first, count, value } of writes) model.write(first, count, value);
    await this.restart("kill", { torn: writes.filter(({ isDone }) => !isDone), suspects });
  }

  /** Power is lost before a cut is on stable storage, while what came after it is. */
  async #loseCut(model: Model): Promise<void> {
    if (model.volume === undefined || model.volume.failure !== undefined) return;
    const life = this.life;
    const { volumeId } = model.definition;
    this.note(`${model.name} is cut, and that gets lost`);
    this.disk.faults.stalled = `/volumes/${volumeId}/epochs`;
    this.fleet.cut([{ volumeId }]).catch(() => {});
    await this.#write(model);
    if (this.life === life) await this.#flush(this.random.pick([model, ...this.models]));
    if (this.life === life) await this.restart("power");
  }

  /** Cuts the volumes at one instant. */
  async #cut(models: readonly Model[]): Promise<void> {
    const cut = models.filter(({ volume }) => volume !== undefined && volume.failure === undefined);
    const contents = cut.map(({ now }) => now.slice());
    const life = this.life;
    const cutting = this.fleet.cut(cut.map(({ definition: { volumeId } }) => ({ volumeId })));
    cutting.catch(() => {});
    // The moment of the cut is that of the call: what comes now is not in it.
    if (this.random.chance(0.3)) await this.#write(this.random.pick(this.models));
    if (this.life !== life) return;
    try {
      const cuts = await this.finish(cutting);
      for (const [i, model] of cut.entries()) {
        const [epoch, content] = [cuts?.[i]?.epoch, contents[i]];
        if (epoch === undefined || content === undefined) continue;
        this.note(`${model.name} cut ${epoch}`);
        model.cuts.set(epoch, content);
      }
    } catch (error) {
      if (!(error instanceof CutRefused) && !(error instanceof DeviceError)) throw error;
      this.note("cut refused");
    }
  }

  async #pass(): Promise<void> {
    const ms = this.random.pick([100, 1_000, 5_000, 70_000]);
    this.note(`${ms} ms pass`);
    this.clock.advance(ms);
    for (let i = 0; i < 50; i++) await turn();
  }

  #weather(): void {
    this.vault.unavailable = this.random.pick([0, 0, 0.1, 0.5, 1]);
    this.vault.broken = this.random.pick([0, 0, 0.3]);
    this.note(`the vault: ${this.vault.unavailable} unavailable, ${this.vault.broken} broken`);
  }

  async #grow(model: Model): Promise<void> {
    const { volume, definition } = model;
    const sizeBytes = Math.min(definition.sizeBytes + 4 * BLOCK_BYTES, BLOCKS_MAX * BLOCK_BYTES);
    if (volume === undefined || volume.failure !== undefined || volume.restoreProgress !== undefined) return;
    this.note(`${model.name} grows to ${sizeBytes / BLOCK_BYTES} blocks`);
    if (definition.diskPath !== undefined) this.disk.open(definition.diskPath, { sizeBytes });
    // As the catalog has it first: a crash on the way leaves a volume that is opened with its new size.
    model.definition = { ...definition, sizeBytes };
    if (this.random.chance(0.2)) await this.restart("kill");
    else await this.finish(this.fleet.grow(definition.volumeId, sizeBytes));
  }

  /** Something is wrong with the disks for a while; what has stopped for it is looked at after a restart. */
  async #disturb(model: Model): Promise<void> {
    const { faults } = this.disk;
    const what = this.random.below(4);
    if (what === 0) faults.failingSyncs = 0.2;
    else if (what === 1) faults.fullness = 0.2;
    else if (what === 2) await this.#loseCache();
    else {
      const path = this.random.pick(["/cache", "/buffer", model.definition.diskPath ?? "/cache"]);
      this.note(`${path} goes away`);
      this.disk.unplug(path);
      // Whoever has something on it that was not synced finds out at its next sync at the latest.
      for (const each of this.models) await each.volume?.flush().catch(() => {});
    }
    if (what < 2) this.note(`disks: syncs fail ${faults.failingSyncs}, full ${faults.fullness}`);
    if (what === 2) return;
    const life = this.life;
    for (let i = this.random.below(8) + 2; i > 0 && this.life === life; i--) {
      const random = this.random.below(4);
      const other = this.random.pick(this.models);
      if (random === 0) await this.#flush(other);
      else if (random === 1) await this.#cut([other]);
      else await this.#write(other);
    }
    if (this.life === life) await this.restart("kill");
  }

  /** The cache is given up: cached volumes go back to what the bucket has of them. */
  async #loseCache(): Promise<void> {
    const cached = this.models.filter(({ definition }) => definition.kind === "cached");
    this.note("the cache is reset");
    await this.finish(
      this.fleet.resetCache(
        GATEWAY,
        cached.map(({ definition }) => definition),
        "reset",
      ),
    );
    await this.finish(this.fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
    for (const model of cached) {
      model.volume = await this.finish(this.fleet.open(model.definition));
      const rootKey = model.volume.baseRootKey;
      model.now.fill(0);
      if (rootKey !== undefined) model.now.set(valuesOf(await this.content(rootKey)));
      model.older.clear();
      for (const epoch of [...model.cuts.keys()]) if (!model.uploaded.has(epoch)) model.cuts.delete(epoch);
    }
  }

  async #restore(): Promise<void> {
    if (this.models.length >= MODELS_MAX) return;
    const from = this.random.pick(this.models);
    const epoch = this.random.pick([0, ...from.uploaded.keys()]);
    const rootKey = from.uploaded.get(epoch);
    if (rootKey === undefined) return;
    const content = from.cuts.get(epoch) ?? valuesOf(await this.content(rootKey));
    const kind = this.random.chance(0.5) ? "stored" : "cached";
    // Where the bucket gives no answer for a while, a volume is written, cut and closed with blocks still to come.
    if (this.random.chance(0.4)) this.vault.unavailable = this.random.pick([0.5, 1]);
    const model = await this.create(kind, rootKey, from.definition.sizeBytes);
    model.now.set(content);
    if (kind === "cached" || this.vault.unavailable !== 1 || this.random.chance(0.5)) return;
    const life = this.life;
    for (let i = 0; i < 2 && this.life === life; i++) {
      await this.#write(model, { first: this.random.below(model.sectors / 128) * 128, count: 128 });
    }
    if (this.life === life && this.random.chance(0.5)) await this.restart("close");
  }

  /**
   * The volume goes and comes again: to be attached anew, after all of it was sent; or a stored one is deleted, with
   * whatever waits for the bucket, and its disk adopted by the next.
   */
  async #leave(model: Model): Promise<void> {
    const { definition, volume } = model;
    const { volumeId, diskPath } = definition;
    if (volume === undefined || volume.failure !== undefined) return;
    if (this.models.some((each) => each.volume?.failure !== undefined)) return;
    const isDeleted =
      diskPath !== undefined && volume.restoreProgress === undefined && this.random.chance(0.6);
    const { unavailable, broken } = this.vault;
    this.vault.broken = 0;
    if (!isDeleted) this.vault.unavailable = 0;
    try {
      const rootKey = isDeleted ? undefined : await this.#sendAll(model);
      if (!isDeleted && rootKey === undefined) return;
      this.note(`${model.name} ${isDeleted ? "is deleted, and its disk adopted" : `leaves as ${rootKey}`}`);
      await this.finish(this.fleet.remove(definition));
      this.vault.unavailable = 0;
      await this.finish(this.vault.renewLease(volumeId));
      if (isDeleted) {
        const image = this.disk.readFile(diskPath);
        assert(image !== undefined);
        assertSame(valuesOf(image), model.now, model.sectors, `the disk of ${model.name}`);
      }
      const { parentRootKey: _, ...rest } = definition;
      const parent = rootKey === undefined ? { preserveExistingData: true } : { parentRootKey: rootKey };
      model.definition = { ...rest, ...parent };
      for (const each of [model.older, model.cuts, model.uploaded]) each.clear();
      model.volume = undefined;
      if (this.random.chance(0.4)) await this.restart("power");
      else model.volume = await this.finish(this.fleet.open(model.definition));
    } finally {
      Object.assign(this.vault, { unavailable, broken });
    }
  }

  /** Cuts the volume and waits until all of it is in the bucket; answers its root. */
  async #sendAll(model: Model): Promise<string | undefined> {
    try {
      const cuts = await this.finish(this.fleet.cut([{ volumeId: model.definition.volumeId }]));
      const epoch = cuts?.[0]?.epoch ?? 0;
      await this.settle(() => model.volume?.epochState(epoch).state !== "pending");
      return model.uploaded.get(epoch);
    } catch (error) {
      if (error instanceof CutRefused || error instanceof DeviceError) return undefined;
      throw error;
    }
  }
}
