/** Gateways: made, found, changed; and their storage, cache and upload buffer. */
import { createHash } from "node:crypto";
import type { Catalog, Tag } from "../catalog/catalog.ts";
import type { DiskRow, GatewayRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { type GatewayId, makeGatewayId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import { SerialQueue } from "../platform/serial-queue.ts";
import { checkActivationKey, makeActivationKey } from "./activation.ts";
import { parseGatewayArn, type Realm } from "./arn.ts";
import { createDiskFile, type Disks } from "./disks.ts";
import { GatewayError, invalid } from "./errors.ts";
import { changedSettings, type GatewaySettings, readSettings } from "./gateway-settings.ts";
import type { DiskLocation, GatewayStorage, StorageUsage, VolumeHost } from "./ports.ts";
import { zoneOffsetMs } from "./time-zone.ts";

export interface GatewaysOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly disks: Disks;
  readonly realm: Realm;
  readonly clock: Clock;
  readonly random: Random;
}

export interface NewGateway {
  readonly activationKey: string;
  readonly name: string;
  readonly timezone: string;
  readonly region: string;
  /** `CACHED` without it. */
  readonly type?: string;
  readonly tags: readonly Tag[];
}

/** What can be changed of a gateway; what is not given stays. */
export interface GatewayChange {
  readonly name?: string;
  readonly timezone?: string;
  readonly settings?: { readonly [K in keyof GatewaySettings]?: GatewaySettings[K] | undefined };
}

const ACTIVATION_SECRET = "activation-secret";
const ACTIVATION_SECRET_BYTES = 32;
const DEFAULTS_MADE = "default-gateways";

export class Gateways {
  readonly #options: GatewaysOptions;
  readonly #queue = new SerialQueue();

  constructor(options: GatewaysOptions) {
    this.#options = options;
  }

  /** The first start: one gateway of each kind, each with the disks it needs. Later starts make none again. */
  async makeDefaults(
    dataDir: string,
    sizes: { cacheBytes: number; uploadBufferBytes: number },
  ): Promise<void> {
    const { catalog } = this.#options;
    if ((await catalog.setting(DEFAULTS_MADE)) !== undefined) return;
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
    await catalog.setSetting(DEFAULTS_MADE, "made");
  }

  /** All gateways, also those that are shut down. */
  async list(): Promise<GatewayRow[]> {
    return (await this.#options.catalog.gateways()).filter(({ state }) => state !== "deleted");
  }

  /** The gateway of an ARN. Throws GatewayNotFound, or GatewayNotConnected for one that is shut down. */
  async byArn(arn: string): Promise<GatewayRow> {
    const gateway = await this.knownByArn(arn);
    if (gateway.state !== "running") throw new GatewayError("GatewayNotConnected");
    return gateway;
  }

  /** The gateway of an ARN, whether it runs or not. Throws GatewayNotFound. */
  async knownByArn(arn: string): Promise<GatewayRow> {
    const id = parseGatewayArn(this.#options.realm, arn);
    const gateway = id === undefined ? undefined : await this.#options.catalog.gateway(id);
    if (gateway === undefined || gateway.state === "deleted") throw new GatewayError("GatewayNotFound");
    return gateway;
  }

  /** The zone of a gateway, also of one that is deleted and still has volumes. */
  async timezoneOf(id: GatewayId): Promise<string> {
    return (await this.#options.catalog.gateway(id))?.timezone ?? "GMT";
  }

  /** A key to activate a gateway with, good for half an hour. */
  async activationKey(): Promise<string> {
    const { clock, random } = this.#options;
    return makeActivationKey(await this.#activationSecret(), clock.nowMs(), random);
  }

  /**
   * Makes a gateway without disks. The same request again answers with the same gateway; a key that another one was
   * activated with is invalid.
   */
  activate(wanted: NewGateway): Promise<GatewayRow> {
    return this.#queue.run(async () => {
      const { catalog, realm, clock, random } = this.#options;
      const { activationKey, name, timezone, tags } = wanted;
      if (wanted.region !== realm.region) {
        throw new GatewayError("RegionInvalid", `This is ${realm.region}, not ${wanted.region}.`);
      }
      const kind = kindOf(wanted.type ?? "CACHED");
      checkZone(timezone);
      const there = await this.list();
      const fingerprint = createHash("sha256")
        .update(JSON.stringify([name, timezone, kind]))
        .digest("hex");
      const before = there.find((row) => readSettings(row).activation?.key === activationKey);
      if (before !== undefined) {
        if (readSettings(before).activation?.fingerprint === fingerprint) return before;
        throw new GatewayError("ActivationKeyInvalid", "Another gateway was activated with it.");
      }
      checkActivationKey(activationKey, await this.#activationSecret(), clock.nowMs());
      checkNameIsFree(there, name, undefined);
      const settings: GatewaySettings = { activation: { key: activationKey, fingerprint } };
      const row: GatewayRow = {
        id: makeGatewayId(random),
        name,
        kind,
        timezone,
        created_at: clock.nowMs(),
        state: "running",
        settings: JSON.stringify(settings),
      };
      await catalog.addGateway(row, []);
      await catalog.tags.put(row.id, tags);
      await this.openStorage(row.id);
      return row;
    });
  }

  /** Changes what is given of the gateway; answers it as it is then. */
  update(gateway: GatewayRow, change: GatewayChange): Promise<GatewayRow> {
    return this.#queue.run(async () => {
      const { name, timezone, settings } = change;
      const now = (await this.#options.catalog.gateway(gateway.id)) ?? gateway;
      if (timezone !== undefined) checkZone(timezone);
      if (name !== undefined) checkNameIsFree(await this.list(), name, gateway.id);
      const columns = {
        ...(name !== undefined && { name }),
        ...(timezone !== undefined && { timezone }),
        ...(settings !== undefined && { settings: changedSettings(now, settings) }),
      };
      if (Object.keys(columns).length > 0) await this.#options.catalog.updateGateway(gateway.id, columns);
      return { ...now, ...columns };
    });
  }

  /** Puts free disks to use as cache or upload buffer. */
  addDisks(
    gateway: GatewayRow,
    names: readonly string[],
    allocation: "CACHE_STORAGE" | "UPLOAD_BUFFER",
  ): Promise<void> {
    return this.#queue.run(async () => {
      const { catalog, disks } = this.#options;
      if (names.length === 0) throw invalid("DiskIds is empty.");
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

  /** Runs `action` with no other use of free disks, names and gateways between its look and its claim. */
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

  async #activationSecret(): Promise<Buffer> {
    const { catalog, random } = this.#options;
    const there = await catalog.setting(ACTIVATION_SECRET);
    if (there !== undefined) return Buffer.from(there, "base64");
    const made = random.bytes(ACTIVATION_SECRET_BYTES);
    await catalog.setSetting(ACTIVATION_SECRET, made.toString("base64"));
    return made;
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
    const created_at = clock.nowMs();
    await catalog.addGateway(
      { id, name, kind, timezone: "GMT", created_at, state: "running", settings: "{}" },
      rows,
    );
  }
}

/** The kind that is meant by a GatewayType. Those of other services are known, and not built. */
function kindOf(type: string): GatewayRow["kind"] {
  if (type === "STORED" || type === "CACHED") return type;
  if (type === "VTL" || type.startsWith("FILE_")) {
    throw new GatewayError("NotSupported", `This is a volume gateway: STORED or CACHED, not ${type}.`);
  }
  throw invalid("GatewayType: STORED or CACHED.");
}

function checkZone(zone: string): void {
  if (zoneOffsetMs(zone) === undefined) throw invalid("GatewayTimezone: GMT, or such as GMT-8:00.");
}

function checkNameIsFree(there: readonly GatewayRow[], name: string, own: GatewayId | undefined): void {
  if (there.some((row) => row.name === name && row.id !== own)) {
    throw invalid(`There is a gateway named ${name} already.`);
  }
}
