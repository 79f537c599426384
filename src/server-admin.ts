/** The part of the composition root that watches: metrics, health, alarms, the activity log. */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { ActivityLog } from "./admin/activity-log.ts";
import type { AdminServices } from "./admin/admin-services.ts";
import { Alarms } from "./admin/alarms.ts";
import type { ApiCall } from "./admin/api-call.ts";
import { ApiMeter } from "./admin/api-meter.ts";
import { CallJournal } from "./admin/call-journal.ts";
import type { GatewayEvent } from "./admin/event.ts";
import { Health } from "./admin/health.ts";
import { LongHistory } from "./admin/long-history.ts";
import { Metrics } from "./admin/metrics.ts";
import { CONTENT_TYPE, exposition } from "./admin/prometheus.ts";
import type { SnapshotFigures } from "./admin/sample.ts";
import { VaultMeter } from "./admin/vault-meter.ts";
import { Webhook } from "./admin/webhook.ts";
import type { Probes } from "./api/probes.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { SnapshotRow } from "./catalog/schema.ts";
import type { VaultJob } from "./gateway/vault-upkeep.ts";
import type { Clock } from "./platform/clock.ts";
import type { Disk } from "./platform/disk.ts";
import type { VolumeId } from "./platform/ids.ts";
import type { Random } from "./platform/random.ts";
import type { StartOptions } from "./server-options.ts";
import type { DataPlane } from "./workers/data-plane.ts";

const METRICS_FILE = "metrics.db";
const METRICS_TOKEN_FILE = "metrics-token";
const MEASURE_VAULT_EVERY_MS = 3600_000;
const TOKEN_BYTES = 24;

export interface WatchOptions {
  readonly dataDir: string;
  readonly version: string;
  readonly catalog: Catalog;
  readonly plane: DataPlane;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Logger;
  readonly onProblem: (message: string, error: unknown) => void;
  readonly webhook: StartOptions["webhook"];
}

/** What the rest of the server tells it, and asks it. */
export interface Watch extends AdminServices {
  readonly probes: Probes;
  onCall(call: ApiCall): void;
  onSnapshotEnded(snapshot: SnapshotRow): void;
  onJobEnded(job: VaultJob): void;
  /** Takes a job of the vault that was done before this start. */
  remember(job: VaultJob): void;
  /** From now on samples are taken. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createWatch(options: WatchOptions): Watch {
  const { dataDir, catalog, plane, clock, log, onProblem } = options;
  const activity = ActivityLog.open(dataDir, clock, onProblem);
  const journal = new CallJournal(activity, clock);
  const apiMeter = new ApiMeter();
  const vaultMeter = new VaultMeter();
  const alarms = new Alarms();
  const startedAtMs = clock.nowMs();
  const webhook = webhookOf(options);

  const tell = (event: GatewayEvent) => {
    activity.event(event);
    webhook?.tell(event);
    const level = event.severity === "warning" ? "warn" : event.severity;
    log[level]({ event: event.type, resources: event.resources }, event.message);
  };
  let vaultMeasuredAtMs = Number.NEGATIVE_INFINITY;
  const measureVault = (atMs: number) => {
    if (atMs - vaultMeasuredAtMs < MEASURE_VAULT_EVERY_MS) return;
    vaultMeasuredAtMs = atMs;
    plane.describeVault().then(
      ({ storedBytes }) => vaultMeter.measured(storedBytes),
      (error: unknown) => onProblem("the vault can't be measured", error),
    );
  };
  const metrics = new Metrics({
    ...{ plane, clock, onProblem },
    long: LongHistory.open(join(dataDir, METRICS_FILE), onProblem),
    catalogFigures: () => catalogFigures(catalog),
    vaultFigures: () => vaultMeter.figures,
    apiFigures: () => apiMeter.figures,
    processFigures: () => {
      const { user, system } = process.cpuUsage();
      return {
        cpuSeconds: (user + system) / 1e6,
        residentBytes: process.memoryUsage.rss(),
        startedAtMs,
        version: options.version,
      };
    },
    onSample: (sample) => {
      measureVault(sample.atMs);
      for (const event of alarms.look(sample)) tell(event);
    },
  });
  const health = new Health({
    ...{ plane, clock },
    askCatalog: () => catalog.gateways(),
    alarms: () => alarms.active,
    freeShare: async () => {
      const { bavail, blocks } = await statfs(dataDir);
      return blocks === 0 ? 1 : bavail / blocks;
    },
  });
  return {
    ...{ metrics, activity, health, vaultFigures: () => vaultMeter.figures },
    probes: {
      isAlive: async () => (await health.report()).isReady,
      readiness: async () => {
        const { isReady, status } = await health.report();
        return {
          isReady,
          words: !isReady ? "not ready" : status === "ok" ? "ready" : `ready, with ${status}`,
        };
      },
      metrics: async () => {
        const { now, before } = await metrics.current();
        return { contentType: CONTENT_TYPE, text: exposition(now, before) };
      },
      metricsToken: metricsToken(options),
      onProblem,
    },
    remember: (job) => vaultMeter.remembers(job),
    onCall(call) {
      apiMeter.count(call);
      journal.take(call);
      const { requestId, service, operation, status, caller, error, tookMs, remoteAddress } = call;
      log.info(
        {
          ...{ requestId, service, operation, status, remoteAddress, tookMs: Math.round(tookMs) },
          ...(caller !== undefined && { accessKeyId: caller.accessKeyId }),
          ...(error !== undefined && { errorCode: error.code }),
        },
        "request",
      );
    },
    onSnapshotEnded: (snapshot) => tell(snapshotEvent(snapshot, clock.nowMs())),
    onJobEnded: (job) => {
      const event = vaultMeter.ended(job, clock.nowMs());
      if (event !== undefined) tell(event);
    },
    async start() {
      const message = `Sluicegate ${options.version} has started.`;
      tell({ type: "GatewayStarted", severity: "info", atMs: clock.nowMs(), message, resources: [] });
      await metrics.start();
    },
    async close() {
      health.closing();
      metrics.close();
      webhook?.close();
      activity.close();
    },
  };
}

function webhookOf({ webhook, clock, random, onProblem }: WatchOptions): Webhook | undefined {
  if (webhook === undefined) return undefined;
  return new Webhook({ ...webhook, clock, random, onProblem });
}

/** The part of it that the API's handlers get. */
export function adminServicesOf({ metrics, activity, health, vaultFigures }: Watch): AdminServices {
  return { metrics, activity, health, vaultFigures };
}

function snapshotEvent(snapshot: SnapshotRow, atMs: number): GatewayEvent {
  const resources = [snapshot.id, snapshot.volume_arn];
  const what = `The snapshot ${snapshot.id} of ${snapshot.volume_id} ("${snapshot.description}")`;
  return snapshot.state === "completed"
    ? { type: "SnapshotCompleted", severity: "info", atMs, message: `${what} is completed.`, resources }
    : {
        ...{ type: "SnapshotFailed", severity: "error", atMs, resources },
        message: `${what} has failed: ${snapshot.reason ?? "no reason is known"}.`,
      };
}

async function catalogFigures(
  catalog: Catalog,
): ReturnType<ConstructorParameters<typeof Metrics>[0]["catalogFigures"]> {
  const [gateways, counts] = await Promise.all([catalog.gateways(), catalog.snapshotCounts()]);
  const snapshots = new Map<VolumeId, SnapshotFigures>();
  for (const { volume_id, state, count, newest } of counts) {
    const figures = snapshots.get(volume_id) ?? { completed: 0, pending: 0, failed: 0 };
    snapshots.set(volume_id, {
      ...figures,
      ...(state === "completed" && { completed: count, newestAtMs: newest }),
      ...(state === "pending" && { pending: count }),
      ...(state === "error" && { failed: count }),
    });
  }
  return { gatewayNames: new Map(gateways.map(({ id, name }) => [id, name])), snapshots };
}

/** What opens `/metrics` to other machines; made at the first start (mode 0600). */
function metricsToken({ dataDir, disk, random }: WatchOptions): string {
  const path = join(dataDir, METRICS_TOKEN_FILE);
  const there = disk.readFile(path)?.toString("utf8").trim();
  if (there !== undefined && there !== "") return there;
  const made = random.bytes(TOKEN_BYTES).toString("base64url");
  disk.replaceFile(path, Buffer.from(`${made}\n`));
  return made;
}
