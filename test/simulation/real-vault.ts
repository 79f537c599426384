import { MemoryStore } from "../../src/objects/memory.ts";
import type { Clock } from "../../src/platform/clock.ts";
import type { Disk } from "../../src/platform/disk.ts";
import type { VolumeId } from "../../src/platform/ids.ts";
import { Vault } from "../../src/vault/vault.ts";
import type { UploadedEpoch } from "../../src/volume/epoch-log.ts";
import { type EpochReaders, LocalEpoch, type UploadOrder } from "../../src/volume/epoch-source.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import type { UseBlocks } from "../../src/volume/root-reader.ts";
import type { SeededRandom } from "../kit/seeded-random.ts";
import { SimStore } from "./sim-store.ts";
import { pauseInBackground, type SimulatedVault, SimVaultError } from "./sim-vault.ts";

const KEY_FILE = Buffer.alloc(32, 9);
/** Chains and packs as short as they can be, so that their ends are met all the time. */
const CHAIN = { entriesMax: 20, stepsMax: 3, ageMsMax: 300_000 };
const PACK_BYTES = 48 * 1024;

/** The vault's own code over a bucket in memory, as the backup worker uses it; opened anew in every life. */
export class RealVault implements SimulatedVault {
  readonly #store = new MemoryStore();
  readonly #random: SeededRandom;
  readonly #clock: Clock;
  unavailable = 0;
  broken = 0;
  violation: Error | undefined;
  #vault: Promise<Vault> | undefined;
  #life = 0;

  constructor(random: SeededRandom, clock: Clock) {
    this.#random = random;
    this.#clock = clock;
  }

  /** The process has died, and its chunk index with it. */
  newLife(): void {
    this.#life += 1;
    this.#vault = undefined;
  }

  async renewLease(volumeId: VolumeId): Promise<void> {
    await (await this.#opened()).renewLease(volumeId);
  }

  /** Read by somebody who has nothing but the bucket. */
  async content(rootKey: string, blockCount: number): Promise<Buffer> {
    const vault = await this.#open(this.#store);
    const content = await vault.readBlocks(rootKey, 0, blockCount);
    await vault.close();
    return content;
  }

  async readBlocks(rootKey: string, first: number, count: number, isBackground = false): Promise<Buffer> {
    if (isBackground) await pauseInBackground(this.#random);
    return (await this.#opened()).readBlocks(rootKey, first, count);
  }

  async readRun(rootKey: string, first: number, count: number, use: UseBlocks): Promise<void> {
    const content = Buffer.alloc(count * BLOCK_BYTES, 0xdb);
    await (await this.#opened()).readInto(rootKey, first, count, content);
    use(content, first, count);
  }

  async nonZeroBlocks(
    rootKey: string,
    first: number,
    count: number,
    max: number,
  ): Promise<{ blocks: number[]; end: number }> {
    return (await this.#opened()).nonZeroBlocks(rootKey, first, count, max);
  }

  async upload(order: UploadOrder, disk: Disk, locate: EpochReaders["locate"]): Promise<UploadedEpoch> {
    if (this.#random.chance(this.broken / 4)) throw new SimVaultError("corrupt");
    const vault = await this.#opened();
    const source = new LocalEpoch(order, disk, {
      locate,
      readBase: (key, block) => vault.readBlocks(key, block, 1),
    });
    try {
      const uploaded = await vault.uploadEpoch(source);
      return { epoch: order.epoch, ...uploaded };
    } finally {
      source.close();
    }
  }

  #opened(): Promise<Vault> {
    if (this.#vault === undefined) {
      const life = this.#life;
      const store = new SimStore(
        this.#store,
        this.#random,
        () => this.#life === life,
        () => (this.unavailable === 1 ? 1 : this.unavailable / 20),
      );
      const opening = this.#open(store);
      this.#vault = opening;
      opening.catch(() => {
        if (this.#vault === opening) this.#vault = undefined;
      });
    }
    return this.#vault;
  }

  #open(store: SimStore | MemoryStore): Promise<Vault> {
    return Vault.open({
      store,
      keyFile: KEY_FILE,
      indexPath: ":memory:",
      ownerId: "the simulated gateway",
      random: this.#random,
      clock: this.#clock,
      chain: CHAIN,
      packBytes: PACK_BYTES,
    });
  }
}
