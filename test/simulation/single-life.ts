/** One volume's life on simulated disks, step by step: for what a random life meets too rarely. */
import { strict as assert } from "node:assert";
import type { GatewayId, VolumeId } from "../../src/platform/ids.ts";
import type { EngineVolume } from "../../src/volume/engine-volume.ts";
import { Fleet } from "../../src/volume/fleet.ts";
import type { FleetVolume } from "../../src/volume/fleet-options.ts";
import { BLOCK_BYTES } from "../../src/volume/geometry.ts";
import { ManualClock } from "../kit/manual-clock.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimVault } from "./sim-vault.ts";

export const GATEWAY = "sgw-SIM" as GatewayId;
const CACHE_BYTES = 14 * BLOCK_BYTES;
const TURNS_MAX = 100_000;

export class SingleLife {
  readonly disk = new SimDisk(new SeededRandom(1));
  readonly vault = new SimVault(new SeededRandom(2));
  readonly clock = new ManualClock();
  readonly uploaded = new Map<string, string>();
  fleet: Fleet;
  #lives = 3;

  constructor() {
    this.disk.addDisk("/cache", CACHE_BYTES);
    this.disk.addDisk("/buffer", CACHE_BYTES);
    this.fleet = this.#newFleet();
  }

  storage(): Promise<void> {
    return this.settled(this.fleet.setStorage(GATEWAY, ["/cache"], ["/buffer"]));
  }

  /** The volume of that number; a stored one gets a disk when it is asked for first. */
  definition(kind: "stored" | "cached", number: number, more: Partial<FleetVolume> = {}): FleetVolume {
    return {
      volumeId: `vol-${String(number).padStart(17, "0")}` as VolumeId,
      gatewayId: GATEWAY,
      kind,
      sizeBytes: 8 * BLOCK_BYTES,
      preserveExistingData: false,
      recoveryPointEveryMs: 0,
      ...(kind === "stored" && { diskPath: `/disk-${number}` }),
      ...more,
    };
  }

  open(definition: FleetVolume): Promise<EngineVolume> {
    return this.settled(this.fleet.open(definition));
  }

  async write(volume: EngineVolume, block: number, value: number, bytes = BLOCK_BYTES): Promise<void> {
    await this.settled(volume.write(block * BLOCK_BYTES, Buffer.alloc(bytes, value), 0, bytes));
  }

  /** The first byte of a block. */
  async read(volume: EngineVolume, block: number): Promise<number> {
    const bytes = Buffer.alloc(BLOCK_BYTES);
    await this.settled(volume.read(block * BLOCK_BYTES, bytes, 0, BLOCK_BYTES));
    return bytes[0] ?? -1;
  }

  async cut({ volumeId }: FleetVolume): Promise<number> {
    const cuts = await this.settled(this.fleet.cut([{ volumeId }]));
    const epoch = cuts?.[0]?.epoch;
    assert(epoch !== undefined);
    return epoch;
  }

  /** Cuts the volume; answers the root when it is in the bucket. */
  async snapshot(definition: FleetVolume): Promise<string> {
    return this.rootOf(definition, await this.cut(definition));
  }

  /** The root of a cut, when it is in the bucket. */
  async rootOf({ volumeId }: FleetVolume, epoch: number): Promise<string> {
    const key = `${volumeId} ${epoch}`;
    await this.until(() => this.uploaded.has(key));
    return this.uploaded.get(key) ?? "";
  }

  /** The first byte of a block of a root. */
  async blockOf(rootKey: string, block: number): Promise<number> {
    return (await this.vault.content(rootKey, block + 1))[block * BLOCK_BYTES] ?? -1;
  }

  /** The process has ended; the next one begins. */
  async restart(how: "close" | "kill" | "power"): Promise<void> {
    if (how === "close") await this.settled(this.fleet.close());
    if (how === "power") this.disk.losePower();
    else this.disk.kill();
    this.fleet = this.#newFleet();
    await this.storage();
  }

  /** Waits for a promise; where nothing moves, time does. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = () => {
      isSettled = true;
    };
    promise.then(done, done);
    await this.until(() => isSettled);
    return promise;
  }

  async until(isDone: () => boolean): Promise<void> {
    for (let i = 0; !isDone(); i++) {
      assert(i < TURNS_MAX, "it never ends");
      await new Promise((resolve) => setImmediate(resolve));
      if (i % 50 === 49) this.clock.advance(250);
    }
  }

  #newFleet(): Fleet {
    const disk = this.disk.forProcess();
    const fleet: Fleet = new Fleet({
      folder: "/volumes",
      disk,
      clock: this.clock,
      random: new SeededRandom(this.#lives++),
      rootsOf: () => this.vault,
      upload: (order) =>
        this.vault.upload(
          order,
          disk,
          async (volumeId, epoch, blocks) => fleet.locate(volumeId, epoch, blocks),
          () => this.fleet === fleet,
        ),
      cancelUpload: () => {},
      events: {
        uploaded: ({ volumeId }, { epoch, rootKey }) => this.uploaded.set(`${volumeId} ${epoch}`, rootKey),
        failed: () => {},
        delayed: () => {},
        stopped: () => {},
      },
    });
    return fleet;
  }
}
