/**
 * Volumes: making, showing and removing them.
 *
 * The row is written before the data plane makes anything, and goes away after the data plane has let go of
 * everything: whatever moment a crash takes, the next start finishes what was begun.
 */
import { strict as assert } from "node:assert";
import type { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow, SnapshotRow, VolumeRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import { type DiskId, makeVolumeId, parseSnapshotId, type VolumeId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import { endsInVolumeId, parseTargetArn, parseVolumeArn, type Realm } from "./arn.ts";
import { credentialOf } from "./chap.ts";
import { type Disks, growDisk } from "./disks.ts";
import { ClientTokenError, GatewayError } from "./errors.ts";
import type { Gateways } from "./gateways.ts";
import type { SnapshotStore, VolumeDefinition, VolumeHost, VolumeReport } from "./ports.ts";
import { defaultSchedule } from "./schedule.ts";
import { freeTargetName } from "./target-names.ts";
import { VolumeArns } from "./volume-arns.ts";
import {
  CACHED_BYTES_MAX,
  checkCachedBytes,
  checkStoredBytes,
  closedReport,
  diskOf,
  fingerprintOf,
  GIB,
  isInUse,
  type NewCachedVolume,
  type NewStoredVolume,
  recoveryPointEveryMs,
  STORED_BYTES_MAX,
  targetNames,
} from "./volume-rows.ts";

const VOLUMES_PER_GATEWAY_MAX = 32;
/** A volume that is made with this tag is offered write-protected. */
export const READ_ONLY_TAG = "sluicegate:read-only";

export interface VolumesOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly gateways: Gateways;
  readonly disks: Disks;
  readonly realm: Realm;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: SnapshotStore;
  /** Resolves when the bucket knows of every volume that there is now, and so of the roots that they need. */
  readonly pin: () => Promise<void>;
  /** Something went wrong that no request will hear of. */
  readonly onProblem: (message: string, error: unknown) => void;
}

/** A volume's row and how it is at the moment. */
export interface VolumeView {
  readonly row: VolumeRow;
  readonly report: VolumeReport;
}

export class Volumes {
  readonly #options: VolumesOptions;
  readonly #arns: VolumeArns;

  constructor(options: VolumesOptions) {
    this.#options = options;
    this.#arns = new VolumeArns(options.realm);
  }

  /** Opens every volume as it was left; one that can't be opened is told by its status and stops no other. */
  async openAll(): Promise<void> {
    const { catalog, gateways, onProblem } = this.#options;
    for (const gateway of await gateways.list()) {
      await gateways.openStorage(gateway.id).catch((error: unknown) => {
        onProblem(`the storage of ${gateway.name} can't be used`, error);
      });
    }
    await this.#forgetGateways();
    const running = new Set(
      (await gateways.list()).filter(({ state }) => state === "running").map(({ id }) => id),
    );
    for (const row of await catalog.volumes()) {
      try {
        if (row.state === "deleting") await this.#finishRemoval(row.id);
        // What is left of it here is older than what it will begin with when it is attached again.
        else if (row.attachment === "detached") await this.#options.host.remove(row.id);
        else if (running.has(row.gateway_id)) await this.open(row);
      } catch (error) {
        onProblem(`${row.id} can't be opened`, error);
      }
    }
  }

  /** A deleted gateway is kept for the volumes that were detached from it; when they are gone, it goes. */
  async #forgetGateways(): Promise<void> {
    const { catalog } = this.#options;
    const needed = new Set((await catalog.volumes()).map(({ gateway_id }) => gateway_id));
    for (const { id, state } of await catalog.gateways()) {
      if (state === "deleted" && !needed.has(id)) await catalog.removeGateway(id);
    }
  }

  /** By their ids. */
  list(): Promise<readonly VolumeRow[]> {
    return this.#options.catalog.volumes();
  }

  /** By their ARNs. */
  async listByArn(): Promise<readonly VolumeRow[]> {
    return this.#arns.sorted(await this.list());
  }

  /**
   * The volume of an ARN; the gateway in it may be one that the volume was attached to before. Throws VolumeNotFound,
   * or GatewayNotConnected where its gateway is shut down.
   */
  async byArn(arn: string): Promise<VolumeRow> {
    const { catalog, realm } = this.#options;
    const parsed = parseVolumeArn(realm, arn);
    const row = parsed === undefined ? undefined : await catalog.volume(parsed.volumeId);
    if (row === undefined || row.state === "deleting") throw new GatewayError("VolumeNotFound");
    if (row.attachment === "detached") return row;
    const gateway = await catalog.gateway(row.gateway_id);
    if (gateway?.state !== "running") throw new GatewayError("GatewayNotConnected");
    return row;
  }

  /** The volume that a target's ARN names. Throws TargetInvalid for what is no such ARN, TargetNotFound. */
  async byTargetArn(arn: string): Promise<VolumeRow> {
    const parsed = parseTargetArn(this.#options.realm, arn);
    if (parsed === undefined) throw new GatewayError("TargetInvalid");
    const row = (await this.list()).find(
      ({ target_name, gateway_id, state }) =>
        target_name === parsed.targetName && gateway_id === parsed.gatewayId && state !== "deleting",
    );
    if (row === undefined) throw new GatewayError("TargetNotFound");
    return this.byArn(this.arnOf(row));
  }

  async view(row: VolumeRow): Promise<VolumeView> {
    const [view] = await this.views([row]);
    assert(view !== undefined);
    return view;
  }

  /** How all of them are at the moment, in their order: the data plane is asked once. */
  async views(rows: readonly VolumeRow[]): Promise<VolumeView[]> {
    const { catalog, host } = this.#options;
    const gateways = new Map((await catalog.gateways()).map(({ id, state }) => [id, state]));
    const isOpen = ({ state, attachment, gateway_id }: VolumeRow) =>
      state !== "creating" && attachment !== "detached" && gateways.get(gateway_id) === "running";
    const open = rows.filter(isOpen).map(({ id }) => id);
    const found = open.length === 0 ? [] : await host.reports(open);
    const reports = new Map(found.map((report) => [report.volumeId, report]));
    return rows.map((row) => ({ row, report: reports.get(row.id) ?? closedReport(row) }));
  }

  createStored(wanted: NewStoredVolume): Promise<VolumeRow> {
    return this.#options.gateways.exclusively(async () => {
      const gateway = await this.#gatewayFor(wanted.gatewayArn, "STORED");
      await this.checkCount(gateway);
      const targetName = freeTargetName(await this.list(), wanted.targetName);
      const snapshot = await this.#snapshotFor(wanted.snapshotId);
      const disk = await this.#options.disks.free(gateway.id, wanted.diskId);
      checkStoredBytes(disk.sizeBytes, snapshot?.volume_size_bytes);
      const row = this.#row(gateway, "stored", disk.sizeBytes, targetName, snapshot, {
        networkInterface: wanted.networkInterface,
        diskId: disk.diskId,
        preserve: wanted.preserveExistingData,
      });
      const use = diskOf(row, disk);
      const schedule = defaultSchedule(row, gateway, this.#options.clock.nowMs());
      await this.#options.catalog.addVolume(row, { disk: use, tags: wanted.tags, schedule });
      return this.#make(row);
    });
  }

  createCached(wanted: NewCachedVolume): Promise<VolumeRow> {
    return this.#options.gateways.exclusively(async () => {
      const gateway = await this.#gatewayFor(wanted.gatewayArn, "CACHED");
      const fingerprint = fingerprintOf(wanted);
      const before = await this.#options.catalog.clientToken(gateway.id, wanted.clientToken);
      if (before !== undefined) return this.#sameAgain(before.fingerprint, fingerprint, before.volume_id);
      await this.checkCount(gateway);
      const targetName = freeTargetName(await this.list(), ...targetNames(wanted));
      if (wanted.sourceVolumeArn !== undefined && wanted.snapshotId !== undefined) {
        throw new GatewayError("InvalidParameters", "SnapshotId and SourceVolumeARN exclude each other.");
      }
      const source = await this.#cloneSource(wanted.sourceVolumeArn);
      const snapshot = await this.#snapshotFor(wanted.snapshotId);
      const { sizeBytes } = wanted;
      if (source !== undefined && sizeBytes < source.sizeBytes) {
        throw new GatewayError("InvalidParameters", "VolumeSizeInBytes is smaller than the source volume.");
      }
      checkCachedBytes(sizeBytes, snapshot?.volume_size_bytes);
      await this.checkCache(gateway);
      const { networkInterface, ec2Type } = wanted;
      const made = this.#row(gateway, "cached", sizeBytes, targetName, snapshot, {
        networkInterface,
        ec2Type,
      });
      const row = source === undefined ? made : { ...made, parent_root_key: source.rootKey };
      const token = { gateway_id: gateway.id, token: wanted.clientToken, fingerprint, volume_id: row.id };
      await this.#options.catalog.addVolume(row, { tags: wanted.tags, token });
      return this.#make(row);
    });
  }

  /**
   * Makes a volume larger while it is in use. A stored volume's disk has to have the room; a file that is a local disk
   * is made longer here.
   */
  grow(row: VolumeRow, sizeBytes: number): Promise<void> {
    return this.#options.gateways.exclusively(async () => {
      const { catalog, host } = this.#options;
      const sizeBytesMax = row.kind === "stored" ? STORED_BYTES_MAX : CACHED_BYTES_MAX;
      if (sizeBytes % GIB !== 0 || sizeBytes < row.size_bytes || sizeBytes > sizeBytesMax) {
        const limit = `${row.size_bytes / GIB} to ${sizeBytesMax / GIB} GiB`;
        throw new GatewayError("InvalidParameters", `The new size is whole GiB, from ${limit}.`);
      }
      const { status, reason } = await host.report(row.id);
      if (!isInUse(row) || status !== "AVAILABLE") {
        throw new GatewayError("VolumeNotReady", reason ?? `It is ${status}.`);
      }
      const disk = row.disk_id === null ? undefined : await catalog.diskInUse(row.disk_id);
      if (disk !== undefined) growDisk(disk.path, sizeBytes);
      // The catalog first: what a guest writes beyond the old end must be there after a crash.
      await catalog.setVolumeSize(row.id, sizeBytes);
      await host.grow(row.id, sizeBytes);
    });
  }

  /** What EC2's API is told of the volume's type, and of how it was modified last. */
  setModified(row: VolumeRow, change: Parameters<Catalog["setModified"]>[1]): Promise<void> {
    return this.#options.catalog.setModified(row.id, change);
  }

  /** How often the volume gets a recovery point while something is dirty: milliseconds, 0 never, null as usual. */
  async setRecoveryPoints(row: VolumeRow, everyMs: number | null): Promise<void> {
    const { catalog, host } = this.#options;
    await catalog.setRecoveryPoints(row.id, everyMs);
    await host.setRecoveryPoints(row.id, recoveryPointEveryMs({ ...row, recovery_point_every_ms: everyMs }));
  }

  /**
   * Takes a cached gateway's cache disks away from it and frees them, whatever state they are in. Its volumes go back
   * to their newest recovery points; what is lost of each is told to `onProblem`.
   */
  resetCache(gateway: GatewayRow): Promise<void> {
    return this.#options.gateways.exclusively(async () => {
      const { catalog, host, onProblem } = this.#options;
      const rows = (await this.list()).filter(
        (row) => row.gateway_id === gateway.id && row.state === "active" && row.attachment !== "detached",
      );
      const definitions = await Promise.all(rows.map((row) => this.#definition(row)));
      const lost = await host.resetCache(gateway.id, definitions);
      await catalog.removeDisks(gateway.id, "CACHE_STORAGE");
      for (const { volumeId, lostBytes } of lost) {
        if (lostBytes === 0) continue;
        const what = `${volumeId} has lost up to ${lostBytes} bytes that were not in the bucket yet`;
        onProblem(what, new GatewayError("StorageFailure", "The cache was reset."));
      }
    });
  }

  /** Removes a volume; its snapshots stay, and a stored volume's disk keeps its bytes and is free again. */
  remove(arn: string): Promise<void> {
    return this.#options.gateways.exclusively(async () => {
      const { catalog, host } = this.#options;
      if (!endsInVolumeId(arn)) throw new GatewayError("VolumeIdInvalid");
      const row = await this.byArn(arn);
      if (row.state === "active" && row.attachment !== "detached") {
        const report = await host.report(row.id);
        if (report.initiators.length > 0) throw new GatewayError("VolumeInUse");
      }
      const pending = (await catalog.pendingSnapshots()).some((snapshot) => snapshot.volume_id === row.id);
      if (pending) throw new GatewayError("SnapshotInProgress");
      await this.discard(row);
    });
  }

  /** Removes a volume whatever it is doing: its pending snapshots end in error. To be run exclusively. */
  async discard(row: VolumeRow): Promise<void> {
    await this.#options.catalog.setVolumeState(row.id, "deleting");
    await this.#finishRemoval(row.id);
  }

  /** The ARN of a volume's row. */
  arnOf(row: VolumeRow): string {
    return this.#arns.of(row);
  }

  async #finishRemoval(id: VolumeId): Promise<void> {
    const { catalog, host } = this.#options;
    const row = await catalog.volume(id);
    const hasDisk = row?.kind === "stored" && row.attachment !== "detached";
    await host.remove(id, hasDisk ? await this.#definition(row) : undefined);
    // Nothing will ever tell of the end of what it had not uploaded yet.
    for (const snapshot of await catalog.pendingSnapshots()) {
      if (snapshot.volume_id !== id) continue;
      const reason = "its volume was deleted before all of it was in the bucket";
      if (snapshot.deleted === 1) await catalog.removeSnapshot(snapshot.id);
      else await catalog.updateSnapshot(snapshot.id, { state: "error", reason });
    }
    await catalog.removeVolume(id);
  }

  /** Has the data plane make what the row says. Where it can't, nothing is left behind. */
  async #make(row: VolumeRow): Promise<VolumeRow> {
    try {
      await this.#holdSource(row);
      await this.open(row);
    } catch (error) {
      await this.#options.catalog.setVolumeState(row.id, "deleting");
      await this.#finishRemoval(row.id).catch((problem: unknown) =>
        this.#options.onProblem(`${row.id} can't be removed again`, problem),
      );
      if (error instanceof GatewayError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new GatewayError("StorageFailure", reason, { cause: error });
    }
    return { ...row, state: "active" };
  }

  /**
   * Makes sure that the gateway whose snapshot the volume is made of does not delete what is needed of it: that one
   * deletes the snapshot first, and then asks who needs its root.
   */
  async #holdSource(row: VolumeRow): Promise<void> {
    const { catalog, store, pin } = this.#options;
    const id = row.source_snapshot_id;
    if (id === null) return;
    const snapshot = await catalog.snapshot(id);
    const isOwn = snapshot !== undefined && (await catalog.volume(snapshot.volume_id)) !== undefined;
    if (isOwn) return;
    await pin();
    if (!(await store.hasSnapshot(id))) throw new GatewayError("SnapshotNotFound");
  }

  /** Opens the volume as it was left, or makes it, and offers its target. */
  async open(row: VolumeRow): Promise<void> {
    const { catalog, host } = this.#options;
    await host.open(await this.#definition(row));
    if (row.state === "creating") await catalog.setVolumeState(row.id, "active");
  }

  async #definition(row: VolumeRow): Promise<VolumeDefinition> {
    const { catalog } = this.#options;
    const disk = row.disk_id === null ? undefined : await catalog.diskInUse(row.disk_id);
    const chap = (await catalog.chap.of(row.id)).map(credentialOf);
    const isReadOnly = (await catalog.tags.of(row.id)).some(({ key }) => key === READ_ONLY_TAG);
    return {
      volumeId: row.id,
      gatewayId: row.gateway_id,
      kind: row.kind,
      sizeBytes: row.size_bytes,
      targetName: row.target_name,
      preserveExistingData: row.preserve_existing_data === 1,
      isNew: row.state === "creating",
      recoveryPointEveryMs: recoveryPointEveryMs(row),
      chap,
      ...(isReadOnly && { isReadOnly }),
      ...(disk && { disk: { diskId: disk.id, path: disk.path, sizeBytes: disk.size_bytes } }),
      ...(row.parent_root_key !== null && { parentRootKey: row.parent_root_key }),
    };
  }

  #row(
    gateway: GatewayRow,
    kind: VolumeRow["kind"],
    sizeBytes: number,
    targetName: string,
    snapshot: SnapshotRow | undefined,
    more: { networkInterface: string; diskId?: DiskId; preserve?: boolean; ec2Type?: string | undefined },
  ): VolumeRow {
    return {
      id: makeVolumeId(this.#options.random),
      gateway_id: gateway.id,
      kind,
      size_bytes: sizeBytes,
      target_name: targetName,
      disk_id: more.diskId ?? null,
      preserve_existing_data: more.preserve === true ? 1 : 0,
      parent_root_key: snapshot?.root_key ?? null,
      source_snapshot_id: snapshot?.id ?? null,
      state: "creating",
      created_at: this.#options.clock.nowMs(),
      recovery_point_every_ms: null,
      attachment: "attached",
      network_interface: more.networkInterface,
      detached_used_bytes: null,
      ...{ ec2_type: more.ec2Type ?? null, modification: null },
    };
  }

  /** The newest recovery point of the volume to be cloned. */
  async #cloneSource(arn: string | undefined): Promise<{ rootKey: string; sizeBytes: number } | undefined> {
    if (arn === undefined) return undefined;
    const row = await this.byArn(arn);
    if (row.attachment === "detached" && row.parent_root_key !== null) {
      return { rootKey: row.parent_root_key, sizeBytes: row.size_bytes };
    }
    const { recoveryPoint } = await this.#options.host.report(row.id);
    if (recoveryPoint === undefined) {
      throw new GatewayError("VolumeNotReady", "The source volume has no recovery point yet.");
    }
    return { rootKey: recoveryPoint.rootKey, sizeBytes: row.size_bytes };
  }

  async #gatewayFor(arn: string, kind: GatewayRow["kind"]): Promise<GatewayRow> {
    const gateway = await this.#options.gateways.byArn(arn);
    if (gateway.kind !== kind) throw new GatewayError("UnsupportedOperationForGatewayType");
    return gateway;
  }

  /** Throws MaximumVolumeCountExceeded where the gateway has as many volumes as it may have. */
  async checkCount(gateway: GatewayRow): Promise<void> {
    const count = (await this.list()).filter(
      (row) => row.gateway_id === gateway.id && row.attachment !== "detached",
    ).length;
    if (count >= VOLUMES_PER_GATEWAY_MAX) throw new GatewayError("MaximumVolumeCountExceeded");
  }

  /** Throws where the gateway has no cache disk. */
  async checkCache(gateway: GatewayRow): Promise<void> {
    const { cacheDisks } = await this.#options.gateways.storage(gateway.id);
    if (cacheDisks.length === 0)
      throw new GatewayError("NoDisksAvailable", "It has no cache: AddCache first.");
  }

  async #snapshotFor(text: string | undefined): Promise<SnapshotRow | undefined> {
    if (text === undefined) return undefined;
    const id = parseSnapshotId(text);
    const snapshot = id === undefined ? undefined : await this.#options.catalog.snapshot(id);
    if (snapshot === undefined) throw new GatewayError("SnapshotNotFound");
    if (snapshot.deleted === 1) throw new GatewayError("SnapshotDeleted");
    if (snapshot.state === "pending") throw new GatewayError("SnapshotInProgress");
    if (snapshot.state === "error" || snapshot.root_key === null) throw new GatewayError("SnapshotIdInvalid");
    return snapshot;
  }

  async #sameAgain(before: string, now: string, volumeId: VolumeId): Promise<VolumeRow> {
    if (before !== now) throw new ClientTokenError();
    const row = await this.#options.catalog.volume(volumeId);
    if (row === undefined) throw new GatewayError("VolumeNotFound");
    return row;
  }
}
