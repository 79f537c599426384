/**
 * Volumes leave gateways and come to others.
 *
 * A volume that leaves has everything in the bucket first: from then on it is nothing but its newest root. Where it
 * comes to, it begins with that root as its parent, under a lease generation of its own.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { VolumeRow } from "../catalog/schema.ts";
import { type Clock, delay } from "../platform/clock.ts";
import type { VolumeId } from "../platform/ids.ts";
import { TARGET_PREFIX } from "./arn.ts";
import type { Disks } from "./disks.ts";
import { GatewayError, invalid } from "./errors.ts";
import type { Gateways } from "./gateways.ts";
import type { UploadedCut, VolumeHost, VolumeLeases } from "./ports.ts";
import { freeTargetName } from "./target-names.ts";
import { diskOf, isInUse } from "./volume-rows.ts";
import type { Volumes } from "./volumes.ts";

export interface AttachmentsOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly leases: VolumeLeases;
  readonly gateways: Gateways;
  readonly disks: Disks;
  readonly volumes: Volumes;
  readonly clock: Clock;
  readonly onProblem: (message: string, error: unknown) => void;
}

export interface WantedAttachment {
  readonly gatewayArn: string;
  /** The last part of the target's name; as before without it. */
  readonly targetName?: string;
  /** The disk of a stored volume. */
  readonly diskId?: string;
  readonly networkInterface: string;
}

const LOOK_EVERY_MS = 250;

export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #running = new Map<VolumeId, Promise<void>>();
  #stopped = false;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  /** After a start: goes on with what the last run has begun. */
  async resume(): Promise<void> {
    const { catalog, host } = this.#options;
    for (const row of await catalog.volumes()) {
      if (row.attachment !== "detaching" || row.state !== "active") continue;
      await host.withdraw(row.id);
      this.#follow(row.id);
    }
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running.values());
  }

  /**
   * Ends the volume's service and sends what is not in the bucket yet there. Answers when nobody can reach it any more;
   * it is detached when all has arrived. Throws VolumeInUse where initiators are logged in, unless `force`d.
   */
  detach(volume: VolumeRow, force: boolean): Promise<void> {
    return this.#options.gateways.exclusively(async () => {
      const { catalog, host, volumes } = this.#options;
      if (!isInUse(volume)) throw new GatewayError("VolumeNotReady", `It is ${volume.attachment}.`);
      const { report } = await volumes.view(volume);
      if (report.status !== "AVAILABLE") throw new GatewayError("VolumeNotReady", `It is ${report.status}.`);
      if (report.initiators.length > 0 && !force) throw new GatewayError("VolumeInUse");
      await host.withdraw(volume.id);
      try {
        // Whether it can be cut is seen while there is still a way back.
        await host.cut([{ volumeId: volume.id }]);
      } catch (error) {
        await volumes.open(volume);
        throw error;
      }
      await catalog.setAttachment(volume.id, "detaching");
      this.#follow(volume.id);
    });
  }

  /** Brings a detached volume to a gateway of its kind. Answers the volume as it is there. */
  attach(volume: VolumeRow, wanted: WantedAttachment): Promise<VolumeRow> {
    return this.#options.gateways.exclusively(async () => {
      const { catalog, disks, gateways, host, leases, volumes } = this.#options;
      const rootKey = volume.parent_root_key;
      if (volume.attachment !== "detached" || rootKey === null) throw new GatewayError("VolumeInUse");
      const gateway = await gateways.byArn(wanted.gatewayArn);
      if (gateway.kind !== (volume.kind === "stored" ? "STORED" : "CACHED")) {
        throw new GatewayError("UnsupportedOperationForGatewayType");
      }
      await volumes.checkCount(gateway);
      const name = wanted.targetName ?? volume.target_name.slice(TARGET_PREFIX.length);
      const others = (await volumes.list()).filter(({ id }) => id !== volume.id);
      const target_name = freeTargetName(others, name);
      const to = {
        gateway_id: gateway.id,
        target_name,
        network_interface: wanted.networkInterface,
        disk_id: null as VolumeRow["disk_id"],
      };
      let disk: ReturnType<typeof diskOf> | undefined;
      if (volume.kind === "cached") await volumes.checkCache(gateway);
      else {
        if (wanted.diskId === undefined) throw invalid("DiskId: a stored volume needs one.");
        const local = await disks.free(gateway.id, wanted.diskId);
        if (local.sizeBytes < volume.size_bytes) throw new GatewayError("DiskSizeLessThanVolumeSize");
        to.disk_id = local.diskId;
        disk = diskOf({ ...volume, ...to }, local);
      }
      await host.remove(volume.id);
      await leases.renewLease(volume.id);
      await catalog.attachVolume(volume.id, to, disk);
      const row: VolumeRow = { ...volume, ...to, attachment: "attached", state: "creating" };
      try {
        await volumes.open(row);
      } catch (error) {
        await catalog.setVolumeState(volume.id, "active");
        await catalog.detachVolume(volume.id, rootKey, volume.detached_used_bytes ?? 0);
        await host.remove(volume.id);
        const reason = error instanceof Error ? error.message : String(error);
        throw new GatewayError("StorageFailure", reason, { cause: error });
      }
      return { ...row, state: "active" };
    });
  }

  #follow(id: VolumeId): void {
    const running = this.#finish(id)
      .catch((error: unknown) => this.#options.onProblem(`${id} can't be detached`, error))
      .finally(() => this.#running.delete(id));
    this.#running.set(id, running);
  }

  /** Waits until all of the volume is in the bucket, and lets go of it. */
  async #finish(id: VolumeId): Promise<void> {
    const { catalog, host, gateways } = this.#options;
    const uploaded = await this.#upload(id);
    if (uploaded === undefined) return;
    await gateways.exclusively(async () => {
      const row = await catalog.volume(id);
      if (row?.attachment !== "detaching" || row.state !== "active") return;
      // The catalog first: whoever opens the volume again begins with this root, and nothing older.
      await catalog.detachVolume(id, uploaded.rootKey, uploaded.fullBytes);
      await host.remove(id);
    });
  }

  /** The cut that has everything, when it and all cuts before it are in the bucket; undefined where the volume stays. */
  async #upload(id: VolumeId): Promise<UploadedCut | undefined> {
    const { catalog, host, clock, onProblem } = this.#options;
    let epoch: number | undefined;
    let isReported = false;
    while (!this.#stopped) {
      const row = await catalog.volume(id);
      if (row?.attachment !== "detaching" || row.state !== "active") return undefined;
      const isRunning = (await catalog.gateway(row.gateway_id))?.state === "running";
      try {
        if (!isRunning) epoch = undefined;
        else if (epoch === undefined) epoch = (await host.cut([{ volumeId: id }]))[0]?.epoch;
        const cut = epoch === undefined ? undefined : await host.cutState(id, epoch);
        const isTold = !(await catalog.pendingSnapshots()).some(({ volume_id }) => volume_id === id);
        if (cut?.state === "uploaded" && isTold) return cut;
        if (cut !== undefined && !["pending", "uploaded"].includes(cut.state)) epoch = undefined;
      } catch (error) {
        const { status } = await host.report(id);
        if (isRunning && status === "IRRECOVERABLE") {
          await catalog.setAttachment(id, "attached");
          throw error;
        }
        if (!isReported) onProblem(`${id} can't be detached yet`, error);
        isReported = true;
      }
      await delay(clock, LOOK_EVERY_MS);
    }
    return undefined;
  }
}
