/**
 * A vault that several gateways write to and collect at the same time, over a bad line: uploads, deletions, collections,
 * crashes, all from one seed. Whatever happens, every root in the bucket reads as what it was made of; and in the end
 * what no root needs is gone.
 */
import { strict as assert } from "node:assert";
import { MemoryStore } from "../../src/objects/memory.ts";
import type { VolumeId } from "../../src/platform/ids.ts";
import { Vault } from "../../src/vault/vault.ts";
import { VaultError } from "../../src/vault/vault-error.ts";
import { ManualClock } from "../kit/manual-clock.ts";
import { MemoryEpoch } from "../kit/memory-epoch.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { SimStore } from "./sim-store.ts";

const KEY_FILE = Buffer.alloc(32, 9);
const BLOCK_BYTES = 1024;
const PIECE_BYTES = BLOCK_BYTES / 16;
const BLOCKS = 300;
/** Packs, chains and steps as small as they can be, so that their ends are met all the time. */
const PACK_BYTES = 8 * 1024;
const CHAIN = { entriesMax: 60, stepsMax: 3, ageMsMax: 1_000_000 };
/** Contents that volumes have in common for a while; they come again when most are forgotten. */
const COMMON = 6;
const ERAS = 3;
const STEPS_PER_ERA = 4;
/** How long reading some blocks may take, in turns of the event loop. */
const READ_TURNS_MAX = 150;
/** What is dead is gone after so many rounds of the collection at the latest. */
const CYCLES_MAX = 12;
const GATEWAYS = 3;
const VOLUMES_EACH = 2;

type Model = ReadonlyMap<number, Buffer>;

interface SimVolume {
  readonly volumeId: VolumeId;
  /** Of the lease that its owner has. */
  generation: number;
  /** What the new owner has found, where another has taken the volume over: nothing else may count from then on. */
  takenAt: ReadonlySet<string> | undefined;
  model: Map<number, Buffer>;
  epoch: number;
  /** The newest root, which the next epoch builds on. */
  newest: string | undefined;
  /** An epoch that has to be uploaded before the next one. */
  pending: { readonly source: () => MemoryEpoch; readonly model: Model } | undefined;
}

interface Gateway {
  readonly ownerId: string;
  readonly volumes: SimVolume[];
  life: number;
  vault: Vault | undefined;
}

/** An epoch whose blocks sometimes take a while to be read: long enough for a collection to begin and end. */
class SlowEpoch extends MemoryEpoch {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom, options: ConstructorParameters<typeof MemoryEpoch>[0]) {
    super(options);
    this.#random = random;
  }

  override async readBlocks(blocks: readonly number[], into: Buffer): Promise<void> {
    if (this.#random.chance(0.2)) for (let i = this.#random.below(READ_TURNS_MAX); i > 0; i--) await turn();
    return super.readBlocks(blocks, into);
  }
}

export interface VaultSimulationOptions {
  /** The probability that a call fails. */
  readonly failing?: number;
}

export class VaultSimulation {
  readonly #random: SeededRandom;
  readonly #bucket = new MemoryStore();
  readonly #clock = new ManualClock();
  readonly #gateways: Gateway[] = [];
  /** Every root that may be in the bucket, and what it has to hold. */
  readonly #models = new Map<string, Model>();
  readonly #generations = new Map<VolumeId, number>();
  readonly #busy = new Set<VolumeId>();
  #failing: number;
  #era = 0;
  readonly steps: string[] = [];
  collected = 0;

  constructor(seed: number, { failing }: VaultSimulationOptions = {}) {
    this.#random = new SeededRandom(seed);
    this.#failing = failing ?? this.#random.pick([0, 0.001, 0.003]);
    for (let g = 0; g < GATEWAYS; g++) {
      const volumes = Array.from({ length: VOLUMES_EACH }, (_, v): SimVolume => {
        const volumeId = `vol-${String(g * 10 + v).padStart(17, "0")}` as VolumeId;
        return {
          ...{ volumeId, generation: 1, takenAt: undefined },
          ...{ model: new Map(), epoch: 0, newest: undefined, pending: undefined },
        };
      });
      this.#gateways.push({ ownerId: `owner-${g}`, volumes, life: 0, vault: undefined });
    }
  }

  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.#era = Math.floor(i / STEPS_PER_ERA);
      await this.#step();
      if (i % 5 === 4) await this.#checkRoots();
    }
    await this.#end();
  }

  async #step(): Promise<void> {
    const gateway = this.#random.pick(this.#gateways);
    const what = this.#random.below(20);
    if (what < 8) await this.#together([() => this.#upload(gateway)]);
    else if (what < 13) {
      // Uploads of several gateways while one or two of them collect.
      const others = this.#gateways.filter(() => this.#random.chance(0.7));
      const collectors = [gateway, ...this.#gateways.filter(() => this.#random.chance(0.2))];
      await this.#together([
        ...others.map((each) => () => this.#upload(each)),
        ...new Set(collectors.map((each) => () => this.#collect(each))),
        ...others.map((each) => () => this.#settle(each)),
      ]);
    } else if (what < 15) await this.#together(this.#gateways.map((each) => () => this.#settle(each)));
    else if (what < 17) await this.#deleteRoots(gateway);
    else if (what < 18) await this.#takeOver(gateway);
    else await this.#crash(gateway);
    this.#clock.advance(20_000);
  }

  /** Runs actions at the same time, each begun a little later than the one before. */
  async #together(actions: readonly (() => Promise<void>)[]): Promise<void> {
    const running: Promise<void>[] = [];
    for (const action of actions) {
      const run = action();
      // It is waited for below; until then it may fail with nobody listening.
      run.catch(() => {});
      running.push(run);
      for (let i = this.#random.below(60); i > 0; i--) await turn();
    }
    const results = await Promise.allSettled(running);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #upload(gateway: Gateway, chosen?: SimVolume): Promise<void> {
    const volume = chosen ?? this.#anyOf(gateway.volumes);
    if (volume === undefined || this.#busy.has(volume.volumeId)) return;
    this.#busy.add(volume.volumeId);
    try {
      await this.#uploadNow(gateway, volume);
    } finally {
      this.#busy.delete(volume.volumeId);
    }
  }

  async #uploadNow(gateway: Gateway, volume: SimVolume): Promise<void> {
    volume.pending ??= this.#change(volume);
    const { source, model } = volume.pending;
    const { life } = gateway;
    try {
      const vault = await this.#opened(gateway);
      const { rootKey } = await vault.uploadEpoch(source());
      if (gateway.life !== life) return;
      this.steps.push(`${rootKey} written`);
      const { takenAt } = volume;
      assert(
        takenAt === undefined || takenAt.has(rootKey),
        `${rootKey} counts, and the new owner does not know it`,
      );
      volume.newest = rootKey;
      volume.pending = undefined;
      this.#models.set(rootKey, model);
    } catch (error) {
      if (error instanceof VaultError && error.kind === "fenced" && this.#mayBeFenced(volume)) {
        gateway.volumes.splice(gateway.volumes.indexOf(volume), 1);
        this.steps.push(`${gateway.ownerId} has lost ${volume.volumeId}`);
      } else this.#tolerate(error, gateway, life);
    }
  }

  #anyOf(volumes: readonly SimVolume[]): SimVolume | undefined {
    return volumes.length === 0 ? undefined : this.#random.pick(volumes);
  }

  /** Another one may just be taking it over. */
  #mayBeFenced({ volumeId, generation }: SimVolume): boolean {
    return (this.#generations.get(volumeId) ?? 1) > generation;
  }

  /** Another gateway becomes the volume's owner, while the one that was knows nothing of it and goes on. */
  async #takeOver(gateway: Gateway): Promise<void> {
    const from = this.#random.pick(this.#gateways);
    const volume = this.#anyOf(from.volumes.filter(({ takenAt }) => takenAt === undefined));
    if (from === gateway || volume === undefined) return;
    const { life } = gateway;
    const { volumeId } = volume;
    this.#generations.set(volumeId, volume.generation + 1);
    const take = async () => {
      try {
        const vault = await this.#opened(gateway);
        const generation = await vault.takeOver(volumeId);
        const roots = (await vault.listRoots(volumeId)).map(({ rootKey }) => rootKey);
        if (gateway.life !== life) return;
        this.steps.push(`${gateway.ownerId} takes ${volumeId} over`);
        const newest = roots.at(-1);
        volume.takenAt = new Set(roots);
        const model = new Map(newest === undefined ? [] : this.#models.get(newest));
        gateway.volumes.push({
          volumeId,
          generation,
          takenAt: undefined,
          model,
          epoch: 0,
          newest,
          pending: undefined,
        });
      } catch (error) {
        this.#tolerate(error, gateway, life);
      }
    };
    const served = [...from.volumes];
    // It asks now and then, and so has asked before.
    await this.#askWhatIsLost(from, served);
    await this.#together([() => this.#upload(from, volume), take, () => this.#upload(from, volume)]);
    await this.#askWhatIsLost(from, served);
  }

  /** A gateway hears of exactly what was taken from it: of all that, where the line is good, and of nothing else. */
  async #askWhatIsLost(gateway: Gateway, served: readonly SimVolume[]): Promise<void> {
    const { life } = gateway;
    try {
      const vault = await this.#opened(gateway);
      const found = await vault.lostVolumes(served.map(({ volumeId }) => volumeId));
      if (gateway.life !== life) return;
      const lost = new Set(found.map(({ volumeId }) => volumeId));
      for (const volume of served) {
        const isLost = lost.has(volume.volumeId);
        assert(!isLost || this.#mayBeFenced(volume), `${volume.volumeId} is nobody else's`);
        if (volume.takenAt !== undefined && this.#failing === 0)
          assert(isLost, `${gateway.ownerId} has not heard that ${volume.volumeId} was taken over`);
      }
    } catch (error) {
      this.#tolerate(error, gateway, life);
    }
  }

  /** Makes an epoch of changes: whole blocks, some of them common ones, and single pieces. */
  #change(volume: SimVolume): NonNullable<SimVolume["pending"]> {
    const random = this.#random;
    const changes = new Map<number, Buffer>();
    const pieces = new Map<number, number>();
    for (let i = random.below(volume.epoch === 0 ? 80 : 25) + 1; i > 0; i--) {
      const block = random.below(BLOCKS);
      const before = changes.get(block) ?? volume.model.get(block);
      if (before !== undefined && random.chance(0.5)) {
        const content = Buffer.from(before);
        const piece = random.below(16);
        random.bytes(PIECE_BYTES).copy(content, piece * PIECE_BYTES);
        pieces.set(block, (changes.has(block) ? (pieces.get(block) ?? 0xffff) : 0) | (1 << piece));
        changes.set(block, content);
      } else {
        const common = (this.#era % ERAS) * COMMON + random.below(COMMON);
        const content = random.chance(0.5)
          ? new SeededRandom(1000 + common).bytes(BLOCK_BYTES)
          : random.chance(0.3)
            ? Buffer.alloc(BLOCK_BYTES)
            : random.bytes(BLOCK_BYTES);
        changes.set(block, content);
        pieces.set(block, 0xffff);
      }
    }
    volume.epoch += 1;
    for (const [block, content] of changes) volume.model.set(block, content);
    const { volumeId, epoch, newest: parentRootKey } = volume;
    const kind = random.pick(["step", "checkpoint"] as const);
    const model = new Map(volume.model);
    // What may be there once it was begun has to be right, whether its writer heard of it or not.
    this.#models.set(`volumes/${volumeId}/roots/${digits(volume.generation)}-${digits(epoch)}`, model);
    const sizeBytes = BLOCKS * BLOCK_BYTES;
    const cutAtMs = 1_000 * epoch;
    return {
      model,
      source: () =>
        new SlowEpoch(random, {
          ...{ volumeId, epoch, sizeBytes, blockBytes: BLOCK_BYTES, parentRootKey },
          ...{ changes, pieces, kind, cutAtMs },
        }),
    };
  }

  async #collect(gateway: Gateway): Promise<void> {
    const { life } = gateway;
    try {
      const vault = await this.#opened(gateway);
      const { state, deletedPacks, waitingFor } = await vault.collect(false);
      this.collected += deletedPacks;
      this.steps.push(
        `${gateway.ownerId} collects: ${state}, ${deletedPacks} packs, waits for ${waitingFor.join()}`,
      );
    } catch (error) {
      this.#tolerate(error, gateway, life);
    }
  }

  async #settle(gateway: Gateway): Promise<void> {
    const { life } = gateway;
    try {
      await (await this.#opened(gateway)).settle();
    } catch (error) {
      this.#tolerate(error, gateway, life);
    }
  }

  /** As thinning does: some roots, never the newest. */
  async #deleteRoots(gateway: Gateway): Promise<void> {
    const volume = this.#anyOf(gateway.volumes);
    if (volume === undefined || volume.takenAt !== undefined) return;
    const { life } = gateway;
    try {
      const vault = await this.#opened(gateway);
      const roots = await vault.listRoots(volume.volumeId);
      const going = roots
        .filter(
          ({ rootKey, epoch }) =>
            rootKey !== volume.newest && epoch < volume.epoch && this.#random.chance(0.6),
        )
        .map(({ rootKey }) => rootKey);
      await vault.deleteRoots(volume.volumeId, going);
      this.steps.push(`${going.join(", ")} deleted`);
    } catch (error) {
      if (error instanceof VaultError && error.kind === "inUse") return;
      this.#tolerate(error, gateway, life);
    }
  }

  /** The process dies; sometimes its local index with it. */
  async #crash(gateway: Gateway): Promise<void> {
    this.steps.push(`${gateway.ownerId} dies`);
    gateway.life += 1;
    gateway.vault = undefined;
  }

  #tolerate(error: unknown, gateway: Gateway, life: number): void {
    if (gateway.life !== life) return;
    if (!(error instanceof VaultError) || error.kind !== "unavailable") throw error;
    this.steps.push(`${gateway.ownerId}: ${error.message}`);
  }

  async #opened(gateway: Gateway): Promise<Vault> {
    if (gateway.vault !== undefined) return gateway.vault;
    const { life } = gateway;
    const store = new SimStore(
      this.#bucket,
      this.#random,
      () => gateway.life === life,
      () => this.#failing,
    );
    const vault = await this.#open(store, gateway.ownerId);
    if (gateway.life === life) gateway.vault = vault;
    return vault;
  }

  #open(store: SimStore | MemoryStore, ownerId: string): Promise<Vault> {
    return Vault.open({
      store,
      keyFile: KEY_FILE,
      indexPath: ":memory:",
      ownerId,
      random: this.#random,
      clock: this.#clock,
      chain: CHAIN,
      packBytes: PACK_BYTES,
    });
  }

  /** Somebody with nothing but the bucket reads every root in it. */
  async #checkRoots(): Promise<void> {
    const reader = await this.#open(this.#bucket, "reader");
    for (const volumeId of await reader.listVolumes()) {
      for (const { rootKey } of await reader.listRoots(volumeId)) {
        const model = this.#models.get(rootKey);
        assert(model !== undefined, `${rootKey} was never written`);
        const content = await reader.readBlocks(rootKey, 0, BLOCKS);
        for (let block = 0; block < BLOCKS; block++) {
          const expected = model.get(block) ?? Buffer.alloc(BLOCK_BYTES);
          const found = content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
          assert(found.equals(expected), `block ${block} of ${rootKey}`);
        }
      }
    }
    await reader.close();
  }

  /** The line is good again: everything ends, and what is left is what is needed. */
  async #end(): Promise<void> {
    this.#failing = 0;
    for (const gateway of this.#gateways) {
      const lost = gateway.volumes.filter((volume) => this.#mayBeFenced(volume));
      for (const volume of lost) {
        volume.pending ??= this.#change(volume);
        try {
          const { rootKey } = await (await this.#opened(gateway)).uploadEpoch(volume.pending.source());
          // The other one never got that far.
          assert.equal(volume.takenAt, undefined);
          volume.newest = rootKey;
          volume.pending = undefined;
        } catch (error) {
          assert(error instanceof VaultError && error.kind === "fenced", String(error));
          gateway.volumes.splice(gateway.volumes.indexOf(volume), 1);
        }
      }
      for (const volume of gateway.volumes) {
        while (volume.pending !== undefined) {
          const { source, model } = volume.pending;
          const { rootKey } = await (await this.#opened(gateway)).uploadEpoch(source());
          volume.newest = rootKey;
          volume.pending = undefined;
          this.#models.set(rootKey, model);
        }
      }
    }
    const [collector] = this.#gateways;
    assert(collector !== undefined);
    let report = await (await this.#opened(collector)).collect(true);
    for (let i = 0; i < CYCLES_MAX && report.deadPacks + report.sparsePacks > 0; i++) {
      const { state, waitingFor, deletedPacks, sparedPacks } = await (await this.#opened(collector)).collect(
        false,
      );
      this.steps.push(
        `round ${i}: ${state}, ${deletedPacks} deleted, ${sparedPacks} spared, waits for ${waitingFor.join()}`,
      );
      for (const gateway of this.#gateways) await (await this.#opened(gateway)).settle();
      report = await (await this.#opened(collector)).collect(true);
    }
    assert.deepEqual([report.deadPacks, report.sparsePacks, report.unreadablePacks], [0, 0, 0]);
    await this.#checkRoots();
    // Each goes its way again afterwards: nobody holds on to what is gone.
    for (const gateway of this.#gateways) {
      for (const volume of gateway.volumes) {
        const { source, model } = this.#change(volume);
        const { rootKey } = await (await this.#opened(gateway)).uploadEpoch(source());
        this.#models.set(rootKey, model);
      }
    }
    await this.#checkRoots();
    for (const gateway of this.#gateways) await gateway.vault?.close();
  }
}

function digits(value: number): string {
  return String(value).padStart(10, "0");
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
