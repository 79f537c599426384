/** The data plane as the main thread sees it: two workers, and the domain's ports in front of them. */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { GatewayError } from "../gateway/errors.ts";
import type { BackupFigures, DataFigures, MeasuredPlane, StoreHealth } from "../gateway/measurements.ts";
import type {
  BandwidthControl,
  BandwidthLimits,
  CatalogStore,
  ChapCredential,
  CollectionReport,
  Cut,
  CutState,
  DirectList,
  DirectListing,
  DirectStore,
  GatewayStorage,
  JobProgress,
  RecoveryPointStore,
  RootDifference,
  RootFootprint,
  RootMeasures,
  SnapshotRecord,
  SnapshotStore,
  SpoolOrder,
  StorageUsage,
  StoredRoot,
  VaultKeeper,
  VerificationReport,
  VolumeDefinition,
  VolumeHost,
  VolumeHostEvents,
  VolumeLeases,
  VolumeReport,
  WantedCut,
} from "../gateway/ports.ts";
import type { VaultDescription } from "../gateway/vault-description.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import type { PortalRedirect } from "../target/discovery.ts";
import { makeLoadGauge } from "./load-gauge.ts";
import type { BackupWorkerData, DataWorkerData, WorkerLogLine } from "./messages.ts";
import { RemoteError, Rpc } from "./rpc.ts";

export interface DataPlaneOptions extends Omit<BackupWorkerData, "data" | "load"> {
  readonly volumesFolder: string;
  readonly advertisedPortals: readonly string[];
  readonly portalRedirects: readonly PortalRedirect[];
  readonly events: VolumeHostEvents;
  readonly log: (line: WorkerLogLine) => void;
  /** A worker has failed: what it held in memory is lost, and the process has to end. */
  readonly onFatal: (reason: string) => void;
}

export class DataPlane
  implements
    VolumeHost,
    SnapshotStore,
    DirectStore,
    RootMeasures,
    RecoveryPointStore,
    BandwidthControl,
    CatalogStore,
    VaultKeeper,
    MeasuredPlane,
    VolumeLeases
{
  readonly #data: Rpc;
  readonly #backup: Rpc;
  readonly #workers: readonly Worker[];
  #closing = false;
  #onJobProgress: (progress: JobProgress) => void = () => {};

  constructor(options: DataPlaneOptions) {
    const { volumesFolder, advertisedPortals, portalRedirects, events, log, onFatal, ...backupData } =
      options;
    const channel = new MessageChannel();
    const load = makeLoadGauge();
    const data = startWorker(
      "data-worker",
      {
        volumesFolder,
        advertisedPortals,
        portalRedirects,
        backup: channel.port1,
        load,
      } satisfies DataWorkerData,
      [channel.port1],
    );
    const backup = startWorker(
      "backup-worker",
      { ...backupData, data: channel.port2, load } satisfies BackupWorkerData,
      [channel.port2],
    );
    this.#workers = [data, backup];
    this.#data = new Rpc(data, {
      log,
      fatal: onFatal,
      cutUploaded: (cut: Parameters<VolumeHostEvents["cutUploaded"]>[0]) => events.cutUploaded(cut),
      cutFailed: (cut: Parameters<VolumeHostEvents["cutFailed"]>[0]) => events.cutFailed(cut),
    });
    this.#backup = new Rpc(backup, {
      log,
      uploadProgress: (progress: Parameters<VolumeHostEvents["uploadProgress"]>[0]) =>
        events.uploadProgress(progress),
      jobProgress: (progress: JobProgress) => this.#onJobProgress(progress),
    });
    for (const [worker, rpc] of [
      [data, this.#data],
      [backup, this.#backup],
    ] as const) {
      const broken = (reason: string) => {
        rpc.break(new Error(reason));
        if (!this.#closing) onFatal(reason);
      };
      worker.on("error", (error) => broken(error.stack ?? error.message));
      worker.on("exit", (code) => broken(`a worker ended with ${code}`));
    }
  }

  /** Opens the vault. Rejects where its key is wrong, or where the bucket can't be had at a first start. */
  openVault(): Promise<{ vaultId: string; offline: boolean }> {
    return this.#backup.call("open");
  }

  /** Takes initiators at one more portal; answers the address in use. */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return this.#data.call("listen", host, port);
  }

  setStorage(gatewayId: GatewayId, storage: GatewayStorage): Promise<void> {
    const paths = (disks: GatewayStorage["cacheDisks"]) => disks.map(({ path }) => path);
    return this.#data.call(
      "setStorage",
      gatewayId,
      paths(storage.cacheDisks),
      paths(storage.uploadBufferDisks),
    );
  }

  open(definition: VolumeDefinition): Promise<VolumeReport> {
    return this.#data.call("open", hosted(definition));
  }

  withdraw(volumeId: VolumeId): Promise<void> {
    return this.#data.call("withdraw", volumeId);
  }

  suspend(volumeId: VolumeId): Promise<void> {
    return this.#data.call("suspend", volumeId);
  }

  removeStorage(gatewayId: GatewayId): Promise<void> {
    return this.#data.call("removeStorage", gatewayId);
  }

  renewLease(volumeId: VolumeId): Promise<void> {
    return this.#backup.call("renewLease", volumeId);
  }

  remove(volumeId: VolumeId, definition?: VolumeDefinition): Promise<void> {
    return this.#data.call("remove", volumeId, definition && hosted(definition));
  }

  async cut(wanted: readonly WantedCut[]): Promise<readonly Cut[]> {
    const cuts = await this.#orNotReady<readonly Cut[] | undefined>("cut", wanted);
    if (cuts === undefined) throw new GatewayError("VolumeNotReady");
    return cuts;
  }

  async grow(volumeId: VolumeId, sizeBytes: number): Promise<void> {
    await this.#orNotReady("grow", volumeId, sizeBytes);
  }

  setRecoveryPoints(volumeId: VolumeId, everyMs: number): Promise<void> {
    return this.#data.call("setRecoveryPoints", volumeId, everyMs);
  }

  setChap(volumeId: VolumeId, credentials: readonly ChapCredential[]): Promise<void> {
    return this.#data.call("setChap", volumeId, credentials);
  }

  initiators(volumeId: VolumeId): Promise<readonly string[]> {
    return this.#data.call("initiators", volumeId);
  }

  resetCache(
    gatewayId: GatewayId,
    volumes: readonly VolumeDefinition[],
  ): Promise<readonly { readonly volumeId: VolumeId; readonly lostBytes: number }[]> {
    return this.#data.call("resetCache", gatewayId, volumes.map(hosted));
  }

  cutState(volumeId: VolumeId, epoch: number): Promise<CutState> {
    return this.#data.call<CutState>("cutState", volumeId, epoch).then((state) => ({ ...state, volumeId }));
  }

  report(volumeId: VolumeId): Promise<VolumeReport> {
    return this.#data.call("report", volumeId);
  }

  reports(volumeIds: readonly VolumeId[]): Promise<readonly VolumeReport[]> {
    return this.#data.call("reports", volumeIds);
  }

  usage(gatewayId: GatewayId): Promise<StorageUsage> {
    return this.#data.call("usage", gatewayId);
  }

  putSnapshot(record: SnapshotRecord): Promise<void> {
    return this.#backup.call("putSnapshot", record);
  }

  deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    return this.#backup.call("deleteSnapshot", snapshotId);
  }

  setBandwidth(gatewayId: GatewayId, limits: BandwidthLimits): Promise<void> {
    return this.#backup.call("setBandwidth", gatewayId, limits);
  }

  listRoots(volumeId: VolumeId): Promise<readonly StoredRoot[]> {
    return this.#backup.call("listRoots", volumeId);
  }

  deleteRoots(volumeId: VolumeId, rootKeys: readonly string[]): Promise<void> {
    return this.#backup.call("deleteRoots", volumeId, rootKeys);
  }

  snapshot(snapshotId: SnapshotId): Promise<SnapshotRecord | undefined> {
    return this.#backup.call("snapshot", snapshotId);
  }

  listSnapshots(except: readonly SnapshotId[]): Promise<readonly SnapshotRecord[]> {
    return this.#backup.call("listSnapshots", except);
  }

  listPins(): Promise<readonly string[]> {
    return this.#backup.call("listPins");
  }

  hasSnapshot(snapshotId: SnapshotId): Promise<boolean> {
    return this.#backup.call("hasSnapshot", snapshotId);
  }

  listOwnVolumes(): Promise<readonly VolumeId[]> {
    return this.#backup.call("listOwnVolumes");
  }

  collect(
    isDryRun: boolean,
    onProgress: (progress: JobProgress) => void,
    forget: readonly string[],
  ): Promise<CollectionReport> {
    this.#onJobProgress = onProgress;
    return this.#backup.call("collect", isDryRun, forget);
  }

  verify(samplePercent: number, onProgress: (progress: JobProgress) => void): Promise<VerificationReport> {
    this.#onJobProgress = onProgress;
    return this.#backup.call("verify", samplePercent);
  }

  settle(): Promise<void> {
    return this.#backup.call("settle");
  }

  listDirectBlocks(listing: DirectListing): Promise<DirectList> {
    return this.#backup.call("listDirectBlocks", listing);
  }

  async readDirectBlock(rootKey: string, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const bytes = await this.#backup.call<Uint8Array>("readDirectBlock", rootKey, offsetBytes, lengthBytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  uploadSpool(order: SpoolOrder): Promise<{ readonly rootKey: string; readonly fullBytes: number }> {
    return this.#backup.call("uploadSpool", order);
  }

  uniqueOf(
    rootKey: string,
    beforeKey: string | undefined,
    afterKey: string | undefined,
  ): Promise<RootFootprint> {
    return this.#backup.call("uniqueOf", rootKey, beforeKey, afterKey);
  }

  differenceOf(beforeKey: string, afterKey: string, parts: number): Promise<RootDifference> {
    return this.#backup.call("differenceOf", beforeKey, afterKey, parts);
  }

  describeVault(): Promise<VaultDescription> {
    return this.#backup.call("describeVault");
  }

  putCatalog(catalog: unknown): Promise<void> {
    return this.#backup.call("putCatalog", catalog);
  }

  dataFigures(): Promise<DataFigures> {
    return this.#data.call("figures");
  }

  backupFigures(): Promise<BackupFigures> {
    return this.#backup.call("figures");
  }

  askStore(): Promise<StoreHealth> {
    return this.#backup.call("askStore");
  }

  /** A call that a volume refuses because of the state it is in. */
  async #orNotReady<T>(method: string, ...args: unknown[]): Promise<T> {
    try {
      return await this.#data.call<T>(method, ...args);
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      throw new GatewayError("VolumeNotReady", error.message, { cause: error });
    }
  }

  /** Ends sessions, makes everything durable, and stops the workers: also where one of them has failed. */
  async close(): Promise<void> {
    this.#closing = true;
    try {
      await this.#data.call("close");
      await this.#backup.call("close");
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.terminate()));
    }
  }
}

/** The definition as the data worker takes it. */
function hosted({ disk, ...definition }: VolumeDefinition): unknown {
  return { ...definition, ...(disk && { diskPath: disk.path }) };
}

const YOUNG_MIB = 16;

/** Workers stand beside this file, as TypeScript in a source tree and as JavaScript in a built one. */
function startWorker(name: string, workerData: unknown, transferList: MessagePort[]): Worker {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new Worker(new URL(`./${name}.${extension}`, import.meta.url), {
    workerData,
    // Most of what is short-lived here are buffers, which weigh far more than the heap knows.
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    transferList,
    name,
  });
}
