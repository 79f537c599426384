/** The backup worker: hash, compress, encrypt, packs, bucket. Everything slow about a volume happens here. */

import { strict as assert } from "node:assert";
import { performance } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import type { BackupFigures } from "../gateway/measurements.ts";
import type { BandwidthLimits, DirectListing, SpoolOrder } from "../gateway/ports.ts";
import type { VaultDescription } from "../gateway/vault-description.ts";
import type { MeasuredStore } from "../objects/measured.ts";
import { openStore } from "../objects/open-store.ts";
import { type Clock, delay, systemClock } from "../platform/clock.ts";
import { Courtesy } from "../platform/courtesy.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import { systemDisk } from "../platform/system-disk.ts";
import { yieldToOthers } from "../platform/thread-priority.ts";
import { TokenBucket } from "../platform/token-bucket.ts";
import { slotName } from "../vault/key-slots.ts";
import type { SnapshotRecord } from "../vault/snapshot-record.ts";
import type { EpochProgress } from "../vault/upload.ts";
import { type Bandwidth, Vault } from "../vault/vault.ts";
import { VaultError } from "../vault/vault-error.ts";
import { listSlots } from "../vault/vault-json.ts";
import type { SlotLocation } from "../volume/cached-volume.ts";
import { LocalEpoch, type UploadOrder } from "../volume/epoch-source.ts";
import { BLOCK_BYTES } from "../volume/geometry.ts";
import { CloudMeter } from "./cloud-meter.ts";
import { listUnits, readBytes, uploadSpool } from "./direct-blocks.ts";
import { readLoad } from "./load-gauge.ts";
import type { BackupWorkerData, WorkerLogLine } from "./messages.ts";
import { Rpc } from "./rpc.ts";
import { UploadTurns } from "./upload-turns.ts";

const PROGRESS_EVERY_MS = 200;
const OPEN_RETRY_MS = 2_000;
/** The bucket may give no answer: the uploads under way can be left, the next start goes on with them. */
const CLOSE_MS_MAX = 2_000;

/** Guests go first where processors are few. */
const NICE = 5;

yieldToOthers(NICE);
const given = workerData as BackupWorkerData;
assert(parentPort !== null);
const clock: Clock = systemClock;
const courtesy = new Courtesy(clock, () => readLoad(given.load));
let vault: Vault | undefined;
/** The limits of each gateway. */
interface Line extends Bandwidth {
  readonly upload: TokenBucket;
  readonly download: TokenBucket;
}

const lines = new Map<GatewayId, Line>();
const meter = new CloudMeter();
let measured: MeasuredStore | undefined;
/** The uploads under way, each of which can be stopped. */
const uploads = new UploadTurns();

const main = new Rpc(parentPort, {
  open: () => openVault(),
  renewLease: (volumeId: VolumeId) => reached().renewLease(volumeId),
  putSnapshot: (record: SnapshotRecord) => reached().records.putSnapshot(record),
  deleteSnapshot: (id: SnapshotId) => reached().records.deleteSnapshot(id),
  setBandwidth: (gatewayId: GatewayId, limits: BandwidthLimits) => {
    const { upload, download } = bandwidthOf(gatewayId);
    upload.setRate(limits.uploadBytesPerSecond);
    download.setRate(limits.downloadBytesPerSecond);
  },
  listRoots: (volumeId: VolumeId) => soon(reached().listRoots(volumeId)),
  deleteRoots: (volumeId: VolumeId, rootKeys: readonly string[]) => reached().deleteRoots(volumeId, rootKeys),
  snapshot: (id: SnapshotId) => soon(reached().records.snapshot(id)),
  listSnapshots: (except: readonly SnapshotId[]) =>
    reached().records.listSnapshots(undefined, new Set(except)),
  listPins: () => reached().records.listPins(),
  hasSnapshot: (id: SnapshotId) => soon(reached().records.hasSnapshot(id)),
  listOwnVolumes: () => reached().listOwnVolumes(),
  collect: (isDryRun: boolean, forget: readonly string[]) =>
    opened().collect(isDryRun, jobProgress(), forget),
  verify: (samplePercent: number) => opened().verify(samplePercent, jobProgress()),
  settle: () => opened().settle(),
  describeVault: () => ({ ...opened().describe(), keys: vaultKeys() }),
  listDirectBlocks: (listing: DirectListing) => soon(listUnits(opened(), clock, listing)),
  readDirectBlock: (rootKey: string, offsetBytes: number, lengthBytes: number) =>
    soon(readBytes(opened(), rootKey, offsetBytes, lengthBytes)),
  uniqueOf: (rootKey: string, beforeKey: string | undefined, afterKey: string | undefined) =>
    opened().footprints.unique(rootKey, beforeKey, afterKey, FOOTPRINT_LIMITS),
  differenceOf: (beforeKey: string, afterKey: string, parts: number) =>
    opened().footprints.difference(beforeKey, afterKey, parts, FOOTPRINT_LIMITS),
  uploadSpool: (order: SpoolOrder) => uploadSpool(opened(), systemDisk, order),
  putCatalog: (catalog: unknown) => reached().records.putCatalog(catalog),
  figures: () => figures(),
  askStore: () => measured?.probe(PROBED_KEY, ASKED_MS) ?? figures().store,
  close: () => Promise.race([vault?.close(), delay(clock, CLOSE_MS_MAX)]),
});

const data = new Rpc(given.data, {
  uploadEpoch: (order: UploadOrder) => uploads.run(order.volumeId, (signal) => uploadEpoch(order, signal)),
  cancelUpload: (volumeId: VolumeId) => uploads.cancel(volumeId),
  readBlocks: (gatewayId: GatewayId, volumeId: VolumeId, rootKey: string, first: number, count: number) =>
    opened().readBlocks(rootKey, first, count, lineOf(gatewayId, volumeId)),
  readInto: (
    gatewayId: GatewayId,
    volumeId: VolumeId,
    rootKey: string,
    first: number,
    count: number,
    into: SharedArrayBuffer,
  ) => {
    const target = Buffer.from(into, 0, count * BLOCK_BYTES);
    return opened().readInto(rootKey, first, count, target, lineOf(gatewayId, volumeId));
  },
  forgetVolume: (volumeId: VolumeId) => meter.forget(volumeId),
  lostVolumes: (volumeIds: readonly VolumeId[]) => opened().lostVolumes(volumeIds),
  nonZeroBlocks: (rootKey: string, first: number, count: number, max: number) =>
    opened().nonZeroBlocks(rootKey, first, count, max),
});

/** Tells the main thread how far a job of the vault has come, now and then. */
function jobProgress(): (progress: { phase: string; done: number; total: number }) => void {
  let toldAtMs = 0;
  let phase = "";
  return (progress) => {
    const nowMs = clock.monotonicMs();
    if (progress.phase === phase && nowMs - toldAtMs < PROGRESS_EVERY_MS) return;
    phase = progress.phase;
    toldAtMs = nowMs;
    main.tell("jobProgress", progress);
  };
}

/** What a gateway may send and fetch; without limits until they are set. */
function bandwidthOf(gatewayId: GatewayId): Line {
  let bandwidth = lines.get(gatewayId);
  if (bandwidth === undefined) {
    bandwidth = { upload: new TokenBucket(clock), download: new TokenBucket(clock) };
    lines.set(gatewayId, bandwidth);
  }
  return bandwidth;
}

/** A gateway's line to the bucket, with what comes over it counted as the volume's. */
function lineOf(gatewayId: GatewayId, volumeId: VolumeId): Bandwidth {
  const { upload, download } = bandwidthOf(gatewayId);
  return { upload, download: meter.downloads(gatewayId, volumeId, download) };
}

const PROBE_EVERY_MS = 15_000;
/** Who asks gets an answer that is so old at most. */
const ASKED_MS = 5_000;
/** An object that every vault has. */
/** Half a million records are some 30 GiB of blocks: more of what differs is not looked at. */
const FOOTPRINT_LIMITS = { recordsMax: 500_000, timeMsMax: 20_000 };
const PROBED_KEY = "vault.json";

/** Whether the bucket answers is known even while nobody needs it. */
async function probe(): Promise<void> {
  await measured?.probe(PROBED_KEY, PROBE_EVERY_MS);
  clock.after(PROBE_EVERY_MS, () => void probe());
}

let loopBefore = performance.eventLoopUtilization();

/** What was counted since the start, and whether the bucket answers. */
function figures(): BackupFigures {
  const loopNow = performance.eventLoopUtilization();
  const { utilization } = performance.eventLoopUtilization(loopNow, loopBefore);
  loopBefore = loopNow;
  return {
    ...meter.figures,
    requests: measured?.figures ?? [],
    store: measured?.reachability ?? { state: "unknown", sinceMs: clock.nowMs() },
    utilization,
  };
}

function log(line: WorkerLogLine): void {
  main.tell("log", line);
}

function opened(): Vault {
  if (vault === undefined) throw new VaultError("unavailable", "the vault is not open yet");
  return vault;
}

/** A store whose requests have failed for so long is down: sooner, a retry may do. */
const DOWN_AFTER_MS = 3_000;
const ASK_AGAIN_MS = 1_000;
/** Whoever waits for an answer over HTTP does not wait for all the attempts that an upload would take. */
const PATIENCE_MS = 10_000;

/**
 * The vault, for whoever can't wait until the bucket is back: while it gives no answer he is told so at once, and the
 * bucket is asked again, so that the next one finds it as soon as it is there.
 */
function reached(): Vault {
  const found = opened();
  const { state, sinceMs, reason } = measured?.reachability ?? { state: "unknown", sinceMs: 0 };
  if (state === "unreachable" && clock.nowMs() - sinceMs > DOWN_AFTER_MS) {
    void measured?.probe(PROBED_KEY, ASK_AGAIN_MS);
    throw new VaultError("unavailable", `the bucket gives no answer now: ${reason ?? "no reason is known"}`);
  }
  return found;
}

/** What is only read, and can be left: "unavailable" where it takes too long. */
function soon<T>(answer: Promise<T>): Promise<T> {
  const tooLate = delay(clock, PATIENCE_MS).then(() => {
    throw new VaultError("unavailable", `the bucket has not answered within ${PATIENCE_MS} ms`);
  });
  // Whichever comes second is nobody's any more.
  answer.catch(() => {});
  tooLate.catch(() => {});
  return Promise.race([answer, tooLate]);
}

/**
 * Opens the vault. Where the bucket gives no answer and it was opened before, the local copy of vault.json does: the
 * stored volumes serve on, and uploads wait. A first start needs the bucket.
 */
async function openVault(): Promise<{ vaultId: string; offline: boolean }> {
  const store = await openStore(given.storeUrl, {
    clock,
    random: systemRandom,
    onMeasured: (wrapped) => {
      measured = wrapped;
    },
    onProblem: (message) => log({ level: "warn", message }),
    ...(given.s3Endpoint !== undefined && { s3Endpoint: given.s3Endpoint }),
    ...(given.s3Region !== undefined && { s3Region: given.s3Region }),
  });
  const cachedVaultJson = systemDisk.readFile(given.vaultJsonCachePath);
  const known = cachedVaultJson === undefined ? undefined : vaultIdOf(cachedVaultJson);
  const options = {
    store,
    keyFile: Buffer.from(given.keyFile),
    indexPath: given.indexPath,
    ownerId: given.ownerId,
    random: systemRandom,
    clock,
    pause: () => courtesy.turn(),
    onProblem: (message: string) => log({ level: "error", message }),
    ...(known !== undefined && { knownVaultId: known }),
  };
  try {
    vault = await Vault.open(options);
    void probe();
    systemDisk.replaceFile(given.vaultJsonCachePath, vault.vaultJson);
    return { vaultId: vault.vaultId, offline: false };
  } catch (error) {
    const passing = error instanceof VaultError && error.kind === "unavailable";
    if (!passing || known === undefined) throw error;
    log({ level: "warn", message: `the bucket gives no answer: ${error.message}` });
    void probe();
    void openLater(options);
    return { vaultId: known, offline: true };
  }
}

/** As the local copy of vault.json has them, which is kept by whoever changes them for this folder: nothing is asked. */
function vaultKeys(): VaultDescription["keys"] {
  const json = systemDisk.readFile(given.vaultJsonCachePath);
  if (json === undefined) return [];
  return listSlots(json).map((slot) => ({
    ...{ name: slotName(slot), type: slot.type },
    ...(slot.madeAtMs !== undefined && { madeAtMs: slot.madeAtMs }),
  }));
}

function vaultIdOf(vaultJson: Buffer): string {
  return (JSON.parse(vaultJson.toString("utf8")) as { vaultId: string }).vaultId;
}

/** Tries until the bucket answers; until then everything that needs it is told "unavailable". */
async function openLater(options: Parameters<typeof Vault.open>[0]): Promise<void> {
  while (vault === undefined) {
    await delay(clock, OPEN_RETRY_MS);
    try {
      vault = await Vault.open(options);
      log({ level: "info", message: "the bucket answers again" });
    } catch (error) {
      if (error instanceof VaultError && error.kind === "unavailable") continue;
      log({ level: "error", message: `the vault can't be opened: ${String(error)}` });
      return;
    }
  }
}

async function uploadEpoch(order: UploadOrder, signal: AbortSignal): Promise<unknown> {
  const target = opened();
  const epoch = new LocalEpoch(order, systemDisk, {
    locate: (volumeId: VolumeId, number: number, blocks: readonly number[]) =>
      data.call<readonly SlotLocation[]>("locate", volumeId, number, blocks),
    readBase: (rootKey, block) =>
      target.readBlocks(rootKey, block, 1, lineOf(order.gatewayId, order.volumeId)),
  });
  const { volumeId } = order;
  let toldAtMs = 0;
  let countedBytes = 0;
  const count = (uploadedBytes: number) => {
    meter.uploaded(order.gatewayId, volumeId, uploadedBytes - countedBytes);
    countedBytes = uploadedBytes;
  };
  const tell = ({ doneBlocks, totalBlocks, uploadedBytes }: EpochProgress) => {
    count(uploadedBytes);
    const nowMs = clock.monotonicMs();
    if (nowMs - toldAtMs < PROGRESS_EVERY_MS) return;
    toldAtMs = nowMs;
    main.tell("uploadProgress", { volumeId, epoch: order.epoch, doneBlocks, totalBlocks });
  };
  try {
    const uploaded = await target.uploadEpoch(epoch, tell, signal, bandwidthOf(order.gatewayId));
    count(uploaded.uploadedBytes);
    return { epoch: order.epoch, ...uploaded };
  } finally {
    epoch.close();
  }
}
