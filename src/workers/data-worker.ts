/** The data worker: iSCSI, SCSI and the volumes, in one thread, so that a hot read crosses none. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import type { DataFigures, VolumeFigures } from "../gateway/measurements.ts";
import { nextTurn, systemClock } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import { readDirtyPages } from "../platform/dirty-pages.ts";
import type { GatewayId, VolumeId } from "../platform/ids.ts";
import { Permits } from "../platform/permits.ts";
import { systemRandom } from "../platform/random.ts";
import { systemDisk } from "../platform/system-disk.ts";
import type { UnitStore } from "../scsi/unit-state-file.ts";
import type { ChapCredential, TargetEntry } from "../target/directory.ts";
import { Target } from "../target/target.ts";
import { AtomicJournal } from "../volume/atomic-journal.ts";
import type { EngineVolume } from "../volume/engine-volume.ts";
import type { UploadedEpoch } from "../volume/epoch-log.ts";
import { Fleet } from "../volume/fleet.ts";
import type { FleetVolume, WantedCut } from "../volume/fleet-options.ts";
import { BLOCK_BYTES } from "../volume/geometry.ts";
import { MeteredDevice, NOTHING_METERED } from "./io-meter.ts";
import { LineLimiter } from "./line-limiter.ts";
import { publishLoad } from "./load-gauge.ts";
import type { DataWorkerData, WorkerLogLine } from "./messages.ts";
import { Rpc } from "./rpc.ts";
import { SharedBuffers } from "./shared-buffers.ts";
import { identityOf } from "./unit-identity.ts";

/** What is hydrated goes by buffers of 4 MiB, so many for all volumes, and a MiB of one is written in a turn. */
const HYDRATION_BUFFERS = 4;
const HYDRATION_RUN_BLOCKS_MAX = 64;
const BLOCKS_PER_TURN = 16;
/** Volumes of a gateway that are hydrated at a time, some 64 MiB of each before the next one's turn comes. */
const HYDRATIONS_MAX = 2;

type HostedVolume = FleetVolume & {
  readonly targetName: string;
  readonly isReadOnly?: boolean;
  readonly chap?: readonly ChapCredential[];
};

const given = workerData as DataWorkerData;
assert(parentPort !== null);
/** Time spent on writing what is hydrated. */
let backgroundMs = 0;
publishLoad(given.load, systemClock, () => backgroundMs);
const hydrationBuffers = new SharedBuffers(HYDRATION_BUFFERS, HYDRATION_RUN_BLOCKS_MAX * BLOCK_BYTES);
const hydrationTurns = new Map<GatewayId, Permits>();
const targets = new Map<string, TargetEntry>();
const targetNames = new Map<VolumeId, string>();
const meters = new Map<VolumeId, MeteredDevice>();
/** Volumes that are known and could not be opened, with the reason. */
const broken = new Map<VolumeId, { readonly definition: HostedVolume; readonly reason: string }>();

const backup = new Rpc(given.backup, {
  locate: (volumeId: VolumeId, epoch: number, blocks: readonly number[]) =>
    fleet.locate(volumeId, epoch, blocks),
});

const fleet = new Fleet({
  folder: given.volumesFolder,
  disk: systemDisk,
  clock: systemClock,
  random: systemRandom,
  rootsOf: (gatewayId, volumeId) => ({
    turns: turnsOf(gatewayId),
    readRun: (rootKey, first, count, use) =>
      hydrationBuffers.run(async (shared) => {
        assert(count <= HYDRATION_RUN_BLOCKS_MAX);
        await backup.call("readInto", gatewayId, volumeId, rootKey, first, count, shared);
        for (let at = 0; at < count; at += BLOCKS_PER_TURN) {
          const some = Math.min(BLOCKS_PER_TURN, count - at);
          const startMs = systemClock.monotonicMs();
          use(Buffer.from(shared, at * BLOCK_BYTES, some * BLOCK_BYTES), first + at, some);
          backgroundMs += systemClock.monotonicMs() - startMs;
          await nextTurn();
        }
      }),
    readBlocks: async (rootKey, first, count) => {
      const args = [gatewayId, volumeId, rootKey, first, count];
      const bytes = await backup.call<Uint8Array>("readBlocks", ...args);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    nonZeroBlocks: (rootKey, first, count, max) => backup.call("nonZeroBlocks", rootKey, first, count, max),
  }),
  readDirtyPages,
  lostVolumes: (volumeIds) => backup.call("lostVolumes", volumeIds),
  upload: (order) => backup.call<UploadedEpoch>("uploadEpoch", order),
  cancelUpload: (volumeId) => backup.tell("cancelUpload", volumeId),
  events: {
    uploaded: (volume, epoch) => main.tell("cutUploaded", { volumeId: volume.volumeId, ...epoch }),
    failed: (volume, epoch, reason) => main.tell("cutFailed", { volumeId: volume.volumeId, epoch, reason }),
    stopped: (volumeId, reason) =>
      log({ level: "error", message: "a volume has stopped", fields: { volumeId, reason } }),
    delayed: (volume, epoch, reason) =>
      log({
        level: "warn",
        message: "an upload waits",
        fields: { volumeId: volume.volumeId, epoch, reason },
      }),
  },
});

const iscsiLog = new LineLimiter(systemClock, log);
const target = new Target({
  clock: systemClock,
  advertised: given.advertisedPortals,
  redirects: given.portalRedirects,
  directory: {
    list: () => targets.values(),
    find: (name) => targets.get(name.toLowerCase()),
    unavailable: (name) => {
      const wanted = name.toLowerCase();
      for (const { definition, reason } of broken.values()) {
        if (definition.targetName.toLowerCase() === wanted) return reason;
      }
      return undefined;
    },
  },
  onEvent: (event) => {
    const level = event.type === "dropped" || event.type === "refused" ? "warn" : "info";
    iscsiLog.write({ level, message: `iscsi ${event.type}`, fields: { ...event } });
  },
});

const main = new Rpc(parentPort, {
  listen: (host: string, port: number) => target.listen(host, port),
  setStorage: (gatewayId: GatewayId, cachePaths: string[], bufferPaths: string[]) =>
    fleet.setStorage(gatewayId, cachePaths, bufferPaths),
  open: (definition: HostedVolume) => open(definition),
  withdraw: (volumeId: VolumeId) => withdraw(volumeId),
  suspend: async (volumeId: VolumeId) => {
    await withdraw(volumeId);
    await fleet.suspend(volumeId);
  },
  removeStorage: (gatewayId: GatewayId) => fleet.removeStorage(gatewayId),
  remove: (volumeId: VolumeId, definition?: FleetVolume) => remove(volumeId, definition),
  cut: (wanted: readonly WantedCut[]) => fleet.cut(wanted),
  grow: async (volumeId: VolumeId, sizeBytes: number) => {
    await fleet.grow(volumeId, sizeBytes);
    target.capacityChanged(targetNames.get(volumeId) ?? "");
  },
  setRecoveryPoints: (volumeId: VolumeId, everyMs: number) => fleet.setRecoveryPoints(volumeId, everyMs),
  setChap: (volumeId: VolumeId, credentials: readonly ChapCredential[]) => setChap(volumeId, credentials),
  initiators: (volumeId: VolumeId) => {
    const sessions = target.sessions(targetNames.get(volumeId) ?? "");
    return [...new Set(sessions.map(({ initiatorName }) => initiatorName))];
  },
  resetCache: (gatewayId: GatewayId, definitions: readonly HostedVolume[]) =>
    resetCache(gatewayId, definitions),
  cutState: (volumeId: VolumeId, epoch: number) =>
    fleet.get(volumeId) === undefined ? { state: "closed" } : fleet.epochState(volumeId, epoch),
  report: (volumeId: VolumeId) => report(volumeId),
  reports: (volumeIds: readonly VolumeId[]) => volumeIds.map(report),
  usage: (gatewayId: GatewayId) => fleet.usage(gatewayId),
  figures: () => figures(),
  close: async () => {
    await target.close();
    await fleet.close();
  },
});

/** The turns that a gateway's volumes take: it has one line. */
function turnsOf(gatewayId: GatewayId): Permits {
  let turns = hydrationTurns.get(gatewayId);
  if (turns === undefined) {
    turns = new Permits(HYDRATIONS_MAX);
    hydrationTurns.set(gatewayId, turns);
  }
  return turns;
}

function log(line: WorkerLogLine): void {
  main.tell("log", line);
}

/** Takes the gateway's cache away; its volumes go on with what the bucket has of them. */
async function resetCache(
  gatewayId: GatewayId,
  definitions: readonly HostedVolume[],
): Promise<{ volumeId: VolumeId; lostBytes: number }[]> {
  for (const { targetName } of definitions) {
    targets.delete(targetName.toLowerCase());
    await target.closeTarget(targetName);
  }
  const lost = await fleet.resetCache(gatewayId, definitions, "the cache was reset before it was uploaded");
  for (const definition of definitions) {
    await open(definition).catch((error: unknown) => {
      // It is among the broken ones now; the others go on.
      log({ level: "error", message: `${definition.volumeId} can't be opened: ${String(error)}` });
    });
  }
  return [...lost].map(([volumeId, blocks]) => ({ volumeId, lostBytes: blocks * BLOCK_BYTES }));
}

async function open(hosted: HostedVolume): Promise<unknown> {
  const { chap, isReadOnly, ...definition } = hosted;
  const { volumeId, targetName } = definition;
  try {
    const isPoweredOnAgain = systemDisk.list(join(given.volumesFolder, volumeId)).length > 0;
    const volume = await fleet.open(definition);
    broken.delete(volumeId);
    targetNames.set(volumeId, targetName);
    const identity = identityOf(volumeId);
    const journal = new AtomicJournal(systemDisk, join(given.volumesFolder, volumeId, "atomic-write"));
    await journal.recover(volume);
    const device = new MeteredDevice(volume, systemClock, meters.get(volumeId), isReadOnly === true);
    meters.set(volumeId, device);
    const entry = {
      targetName,
      device,
      identity,
      store: unitStore(volumeId),
      journal,
      isPoweredOnAgain,
      credentials: chap ?? [],
    };
    // What was reserved holds, and a SANITIZE goes on, from now on and not from the first login on.
    target.unitOf(entry);
    targets.set(targetName.toLowerCase(), entry);
  } catch (error) {
    broken.set(volumeId, {
      definition: hosted,
      reason: error instanceof Error ? error.message : String(error),
    });
    throw error;
  }
  return report(volumeId);
}

/** The state that a volume's logical unit keeps, beside the volume's own files. */
function unitStore(volumeId: VolumeId): UnitStore {
  const path = join(given.volumesFolder, volumeId, "logical-unit.json");
  return {
    load: () => systemDisk.readFile(path),
    save: (content) => systemDisk.replaceFile(path, content),
  };
}

function setChap(volumeId: VolumeId, credentials: readonly ChapCredential[]): void {
  const key = targetNames.get(volumeId)?.toLowerCase() ?? "";
  const entry = targets.get(key);
  if (entry === undefined) return;
  targets.set(key, { ...entry, credentials });
  target.credentialsChanged(entry.targetName);
}

/** Nobody can log in to the volume any more, and whoever was is out. */
async function withdraw(volumeId: VolumeId): Promise<void> {
  const targetName = targetNames.get(volumeId);
  if (targetName === undefined) return;
  targets.delete(targetName.toLowerCase());
  targetNames.delete(volumeId);
  await target.closeTarget(targetName);
}

async function remove(volumeId: VolumeId, definition?: FleetVolume): Promise<void> {
  await withdraw(volumeId);
  broken.delete(volumeId);
  await fleet.remove(definition ?? { volumeId });
  meters.delete(volumeId);
  backup.tell("forgetVolume", volumeId);
}

let loopBefore = performance.eventLoopUtilization();

/** What was counted since the start, and how everything stands: asked some times a minute. */
function figures(): DataFigures {
  const loopNow = performance.eventLoopUtilization();
  const { utilization } = performance.eventLoopUtilization(loopNow, loopBefore);
  loopBefore = loopNow;
  const volumes: VolumeFigures[] = fleet.states().flatMap((state) => {
    const meter = meters.get(state.volumeId);
    if (meter === undefined) return [];
    const { reads, writes, flushes, unmappedBytes, failedIos, queuedWrites } = meter;
    const initiators = target.sessions(targetNames.get(state.volumeId) ?? "").length;
    return [{ ...state, reads, writes, flushes, unmappedBytes, failedIos, queuedWrites, initiators }];
  });
  for (const { definition, reason } of broken.values()) {
    if (fleet.get(definition.volumeId) === undefined) volumes.push({ ...closedFigures(definition), reason });
  }
  const gateways = fleet.gatewayIds().map((gatewayId) => ({ gatewayId, ...fleet.usage(gatewayId) }));
  return { volumes, gateways, utilization };
}

/** Of a volume that could not be opened: what is known of it without. */
function closedFigures({ volumeId, gatewayId, kind, sizeBytes }: FleetVolume): VolumeFigures {
  const { reads, writes, flushes, unmappedBytes, failedIos } = meters.get(volumeId) ?? NOTHING_METERED;
  return {
    ...{ volumeId, gatewayId, kind, sizeBytes, usedBytes: 0, healthy: false, initiators: 0 },
    ...{ reads, writes, flushes, unmappedBytes, failedIos, queuedWrites: 0 },
    ...{ cacheHits: 0, cacheMisses: 0, unsavedBytes: 0, pendingCuts: 0 },
  };
}

function report(volumeId: VolumeId): unknown {
  const volume = fleet.get(volumeId);
  if (volume === undefined) {
    const reason = broken.get(volumeId)?.reason ?? "the volume is not open";
    return { volumeId, status: "IRRECOVERABLE", reason, usedBytes: 0, initiators: [] };
  }
  const progress = volume.restoreProgress;
  const { recoveryPoint } = volume;
  return {
    volumeId,
    status: statusOf(volume),
    usedBytes: volume.usedBytes,
    initiators: target.sessions(targetNames.get(volumeId) ?? ""),
    ...(volume.failure !== undefined && { reason: volume.failure }),
    ...(progress !== undefined && { progress }),
    ...(recoveryPoint !== undefined && { recoveryPoint }),
  };
}

function statusOf(volume: EngineVolume): string {
  if (volume.failure !== undefined) return "IRRECOVERABLE";
  if (volume.restoreProgress !== undefined) return "RESTORING";
  if (volume.isWithoutStorage) return "UPLOAD BUFFER NOT CONFIGURED";
  return "AVAILABLE";
}

process.on("uncaughtException", (error) => {
  // A fault of ours: no state in memory can be believed any more. The files can: the main thread ends the process.
  main.tell("fatal", error instanceof DeviceError ? error.message : (error.stack ?? String(error)));
});
