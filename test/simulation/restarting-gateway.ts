/** The ends of a simulated gateway's processes, and what the next one has to find. */
import { strict as assert } from "node:assert";
import { DeviceError } from "../../src/platform/device-error.ts";
import { CutRefused } from "../../src/volume/epoch-state.ts";
import type { Model } from "./model.ts";
import { type Restart, SimulatedGateway, turn } from "./simulated-gateway.ts";

export interface TornWrite {
  readonly first: number;
  readonly count: number;
  readonly model: Model;
  readonly before: Uint32Array;
  readonly value: number;
}

/** What the end of a process is known to have broken off. */
export interface Broken {
  readonly torn: readonly TornWrite[];
  /** Volumes that had stopped before. */
  readonly suspects: ReadonlySet<Model>;
}

export abstract class RestartingGateway extends SimulatedGateway {
  /** At the end nothing dies any more. */
  protected calm = false;

  protected async restart(how: Restart, broken?: Broken): Promise<void> {
    const { faults } = this.disk;
    faults.failingSyncs = 0;
    faults.fullness = 0;
    faults.stalled = undefined;
    this.disk.mend();
    // What has stopped may have lost what was not flushed, as by a loss of power.
    const suspects = broken?.suspects ?? this.stopped();
    let lost = await this.end(how);
    while (!this.calm && this.random.chance(0.15)) {
      const opening = this.open();
      opening.catch(() => {});
      if (this.random.chance(0.5)) this.disk.dieWithin(this.random.below(60) + 1);
      for (let i = this.random.below(40); i > 0; i--) await turn();
      this.note("it dies again while it opens its volumes");
      lost = (await this.end(this.random.chance(0.5) ? "kill" : "power")) || lost;
    }
    await this.finish(this.open());
    // A cut at once is of what the crash has left, before anybody has looked at it.
    const early = this.calm || this.random.chance(0.65) ? undefined : await this.cutAll();
    // What the crash has left has to be readable: the vault answers for as long as it takes to look.
    const { unavailable } = this.vault;
    this.vault.unavailable = 0;
    for (const torn of broken?.torn ?? []) await this.settleTorn(torn, !lost && !suspects.has(torn.model));
    for (const model of this.models) {
      if (lost || suspects.has(model)) await this.settleLoss(model, lost);
      else if (how !== "power" && this.random.chance(0.3)) await this.check(model, 0, model.sectors);
    }
    this.vault.unavailable = unavailable;
    for (const [model, epoch] of early ?? []) {
      model.cuts.set(epoch, model.now.slice());
      const rootKey = model.uploaded.get(epoch);
      if (rootKey !== undefined) this.checkSnapshot(model, epoch, rootKey);
    }
  }

  /** Cuts all volumes that can be cut; answers the epochs. */
  protected async cutAll(): Promise<Map<Model, number>> {
    const epochs = new Map<Model, number>();
    for (const model of this.models) {
      try {
        const cuts = await this.finish(this.fleet.cut([{ volumeId: model.definition.volumeId }]));
        const epoch = cuts?.[0]?.epoch;
        if (epoch === undefined) continue;
        epochs.set(model, epoch);
        model.uploaded.delete(epoch);
        this.note(`${model.name} cut ${epoch} at once`);
      } catch (error) {
        if (!(error instanceof CutRefused) && !(error instanceof DeviceError)) throw error;
      }
    }
    return epochs;
  }

  /** After a write that was torn or refused: each of its sectors is old or new, and stays what it is. */
  protected async settleTorn(
    { first, count, model, before, value }: TornWrite,
    isExact = false,
  ): Promise<void> {
    const { unavailable } = this.vault;
    const { fullness, isSpoilt } = this.disk.faults;
    this.vault.unavailable = 0;
    Object.assign(this.disk.faults, { fullness: 0, isSpoilt: false });
    const found = await this.readValues(model, first, count);
    this.vault.unavailable = unavailable;
    Object.assign(this.disk.faults, { fullness, isSpoilt });
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

  protected async settleLoss(model: Model, isDurable: boolean): Promise<void> {
    const found = await this.readValues(model, 0, model.sectors);
    assert(found !== undefined);
    model.settle(found, isDurable);
  }
}
