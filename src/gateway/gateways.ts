/** Gateways and their storage: cache and upload buffer. */
import type { Catalog } from "../catalog/catalog.ts";
import type { DiskRow, GatewayRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { type GatewayId, makeGatewayId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { parseGatewayArn, type Realm } from "./arn.ts";
import { createDiskFile, type Disks } from "./disks.ts";
import { GatewayError } from "./errors.ts";
import type { DiskLocation, GatewayStorage, StorageUsage, VolumeHost } from "./ports.ts";

export interface GatewaysOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly disks: Disks;
  readonly realm: Realm;
  readonly clock: Clock;
  readonly random: Random;
}

export class Gateways {
  readonly #options: GatewaysOptions;
  readonly #queue = new SerialQueue();

  constructor(options: GatewaysOptions) {
    this.#options = options;
  }

  /** The first start: one gateway of each kind, each with the disks it needs. */
  async makeDefaults(
    dataDir: string,
    sizes: { cacheBytes: number; uploadBufferBytes: number },
  ): Promise<void> {
    const { catalog } = this.#options;
    const there = await catalog.gateways();
    await this.#makeDefault(there, dataDir, "default-stored", "STORED", [
      {
        name: "default-stored-upload-buffer",
        allocation: "UPLOAD_BUFFER",
        sizeBytes: sizes.uploadBufferBytes,
      },
    ]);
    await this.#makeDefault(there, dataDir, "default-cached", "CACHED", [
      { name: "default-cached-cache", allocation: "CACHE_STORAGE", sizeBytes: sizes.cacheBytes },
      {
        name: "default-cached-upload-buffer",
        allocation: "UPLOAD_BUFFER",
        sizeBytes: sizes.uploadBufferBytes,
      },
    ]);
  }

  list(): Promise<GatewayRow[]> {
    return this.#options.catalog.gateways();
  }

  /** The gateway of an ARN. Throws GatewayNotFound. */
  async byArn(arn: string): Promise<GatewayRow> {
    const id = parseGatewayArn(this.#options.realm, arn);
    const gateway = id === undefined ? undefined : await this.#options.catalog.gateway(id);
    if (gateway === undefined) throw new GatewayError("GatewayNotFound");
    return gateway;
  }

  /** Puts free disks to use as cache or upload buffer. */
  addDisks(
    gateway: GatewayRow,
    names: readonly string[],
    allocation: "CACHE_STORAGE" | "UPLOAD_BUFFER",
  ): Promise<void> {
    return this.#queue.run(async () => {
      const { catalog, disks } = this.#options;
      const rows: DiskRow[] = [];
      for (const name of names) {
        const disk = await disks.free(gateway.id, name);
        if (rows.some((row) => row.id === disk.diskId)) throw new GatewayError("DiskAlreadyAllocated");
        rows.push({
          id: disk.diskId,
          gateway_id: gateway.id,
          allocation,
          path: disk.path,
          size_bytes: disk.sizeBytes,
          volume_id: null,
        });
      }
      await catalog.addDisks(rows);
      await this.openStorage(gateway.id);
    });
  }

  /** Runs `action` with no other use of free disks between its look and its claim. */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    return this.#queue.run(action);
  }

  /** Tells the data plane which disks the gateway's volumes may use. */
  async openStorage(gatewayId: GatewayId): Promise<void> {
    await this.#options.host.setStorage(gatewayId, await this.storage(gatewayId));
  }

  async storage(gatewayId: GatewayId): Promise<GatewayStorage> {
    const rows = (await this.#options.catalog.disks()).filter((row) => row.gateway_id === gatewayId);
    const of = (allocation: DiskRow["allocation"]): DiskLocation[] =>
      rows
        .filter((row) => row.allocation === allocation)
        .map((row) => ({ diskId: row.id, path: row.path, sizeBytes: row.size_bytes }));
    return { cacheDisks: of("CACHE_STORAGE"), uploadBufferDisks: of("UPLOAD_BUFFER") };
  }

  usage(gatewayId: GatewayId): Promise<StorageUsage> {
    return this.#options.host.usage(gatewayId);
  }

  async #makeDefault(
    there: readonly GatewayRow[],
    dataDir: string,
    name: string,
    kind: GatewayRow["kind"],
    disks: readonly { name: string; allocation: DiskRow["allocation"]; sizeBytes: number }[],
  ): Promise<void> {
    if (there.some((gateway) => gateway.name === name)) return;
    const { catalog, clock, random } = this.#options;
    const id = makeGatewayId(random);
    const present = new Map((await this.#options.disks.all()).map((disk) => [disk.diskId as string, disk]));
    const rows = disks.map((disk): DiskRow => {
      // A start that was cut short may have left the file behind: it is still blank.
      const made = present.get(disk.name) ?? createDiskFile(dataDir, disk.name, disk.sizeBytes);
      return {
        id: made.diskId,
        gateway_id: id,
        allocation: disk.allocation,
        path: made.path,
        size_bytes: made.sizeBytes,
        volume_id: null,
      };
    });
    await catalog.addGateway({ id, name, kind, timezone: "GMT", created_at: clock.nowMs() }, rows);
  }
}
