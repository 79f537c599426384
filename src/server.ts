/** The composition root: builds everything, in the order in which it has to come up, and takes it down again. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { AdminServices } from "./admin/admin-services.ts";
import { ConsoleFiles } from "./admin/console-files.ts";
import { dlmOperations } from "./api/dlm/index.ts";
import { ebsOperations } from "./api/ebs/index.ts";
import { ec2Operations } from "./api/ec2/index.ts";
import { ApiServer } from "./api/http-server.ts";
import { sluicegateOperations } from "./api/sluicegate/index.ts";
import { storageGatewayOperations } from "./api/storage-gateway/index.ts";
import { Catalog } from "./catalog/catalog.ts";
import { AccessKeys } from "./gateway/access-keys.ts";
import type { VolumeHostEvents } from "./gateway/ports.ts";
import { createServices, type Services, type Software } from "./gateway/services.ts";
import { parseThinningRule } from "./gateway/thinning.ts";
import { systemClock } from "./platform/clock.ts";
import { DataFolderLock } from "./platform/folder-lock.ts";
import { systemRandom } from "./platform/random.ts";
import { freeBytesAt, systemDisk } from "./platform/system-disk.ts";
import { adminServicesOf, createWatch } from "./server-admin.ts";
import { createLog } from "./server-log.ts";
import type { HostPort, StartOptions } from "./server-options.ts";
import { checkListen, connect, reachableAddress } from "./server-portal.ts";
import {
  DataFolderError,
  KEY_FILE,
  OWNER_BYTES,
  OWNER_FILE,
  rememberVault,
  VAULT_JSON_COPY,
} from "./server-vault-access.ts";
import { DataPlane } from "./workers/data-plane.ts";
import { RemoteError } from "./workers/rpc.ts";

const KEY_BYTES = 32;
const TOKEN_KEY_FILE = "token.key";
// The same folder up from a source tree and from a built one.
const { version: VERSION } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
) as { version: string };
const SOFTWARE_KEY = "software";
/** Where the build puts the console: beside the built server. */
const CONSOLE_FOLDER = fileURLToPath(new URL("./console/", import.meta.url));

export interface RunningServer {
  readonly api: string;
  /** The portals, HOST:PORT each, with commas between them. */
  readonly iscsi: string;
  /** Resolves when a part has failed that the process can't go on without. */
  readonly failed: Promise<string>;
  close(): Promise<void>;
}

/** Starts the gateway; resolves when it serves. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const dataDir = resolve(options.dataDir);
  systemDisk.makeFolder(dataDir);
  const log = createLog(options.logLevel, options.logFormat);
  const lock = await DataFolderLock.take(dataDir, systemClock, () =>
    log.warn(`another gateway uses ${dataDir}: waiting for it to end`),
  );
  try {
    // Before anything is made: who finds a port taken at the first start shall find a first start the next time.
    await checkListen("listen", options.listen, systemClock);
    for (const portal of options.iscsi) await checkListen("iscsi", portal, systemClock);
  } catch (error) {
    lock.release();
    throw error;
  }
  const onProblem = (message: string, error: unknown) => log.error({ err: error }, message);
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolveFailed) => {
    fail = resolveFailed;
  });

  const accessKeys = AccessKeys.open({
    dataDir,
    disk: systemDisk,
    random: systemRandom,
    clock: systemClock,
  });
  // The services are made after the data plane, whose events they take.
  const later: { services?: Services } = {};
  const events: VolumeHostEvents = {
    uploadProgress: (progress) => later.services?.snapshots.uploadProgress(progress),
    cutUploaded: (cut) => later.services?.snapshots.cutUploaded(cut),
    cutFailed: (cut) => later.services?.snapshots.cutFailed(cut),
  };
  const location = {
    storeUrl: options.storeUrl === "" ? pathToFileURL(join(dataDir, "vault")).href : options.storeUrl,
    ...(options.s3Endpoint !== undefined && { s3Endpoint: options.s3Endpoint }),
    ...(options.s3Region !== undefined && { s3Region: options.s3Region }),
  };
  const key = vaultKey(dataDir);
  const plane = new DataPlane({
    ...location,
    indexPath: join(dataDir, "vault-index.sqlite"),
    keyFile: key.bytes,
    ownerId: secretFile(join(dataDir, OWNER_FILE), OWNER_BYTES).toString("hex"),
    vaultJsonCachePath: join(dataDir, VAULT_JSON_COPY),
    volumesFolder: join(dataDir, "volumes"),
    advertisedPortals: options.iscsiAdvertise.map(portalOf),
    portalRedirects: options.iscsiRedirect.map(({ from, to, ...which }) => ({
      ...which,
      from: portalOf(from),
      to: portalOf(to),
    })),
    events,
    log: ({ level, message, fields }) => log[level](fields ?? {}, message),
    onFatal: (reason) => {
      log.fatal(reason);
      fail(reason);
    },
  });

  const closers: (() => Promise<void>)[] = [async () => lock.release(), () => plane.close()];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const { offline } = await plane.openVault().catch((error: unknown) => {
      throw key.isNew ? withoutNewKey(dataDir, error) : error;
    });
    rememberVault(dataDir, location);
    const catalog = await Catalog.open({ sqlitePath: join(dataDir, "catalog.sqlite") });
    closers.push(() => catalog.close());
    const watch = createWatch({
      ...{ dataDir, catalog, plane, log, onProblem, version: VERSION, webhook: options.webhook },
      ...{ clock: systemClock, disk: systemDisk, random: systemRandom },
    });
    closers.push(() => watch.close());
    const [{ host, port }] = options.iscsi;
    const portal = { host, port, address: options.iscsiAdvertise[0]?.host ?? reachableAddress(host) };
    const services = createServices({
      accessKeys,
      catalog,
      host: plane,
      store: plane,
      clock: systemClock,
      random: systemRandom,
      disk: systemDisk,
      dataDir,
      freeBytes: () => freeBytesAt(dataDir),
      secret: secretFile(join(dataDir, TOKEN_KEY_FILE), KEY_BYTES),
      devices: options.devices,
      realm: { region: options.region, accountId: options.accountId },
      portal,
      software: await softwareOf(catalog, VERSION),
      probePortal: () => connect(portal.address, portal.port),
      thinning: parseThinningRule(options.keepRecoveryPoints),
      onProblem,
      onSnapshotEnded: (snapshot) => watch.onSnapshotEnded(snapshot),
      onJobEnded: (job) => watch.onJobEnded(job),
    });
    later.services = services;
    for (const kind of ["CollectGarbage", "Verify"] as const) {
      const job = services.upkeep.lastDone(kind);
      if (job !== undefined) watch.remember(job);
    }
    closers.push(() => services.snapshots.close());
    await services.gateways.makeDefaults(dataDir, {
      cacheBytes: options.cacheSizeBytes,
      uploadBufferBytes: options.uploadBufferSizeBytes,
    });
    await services.bandwidth.start();
    closers.push(() => services.bandwidth.close());
    await services.volumes.openAll();
    await services.attachments.resume();
    closers.push(() => services.attachments.close());
    await services.snapshots.reconcile();
    await services.directUploads.resume();
    closers.push(() => services.directUploads.close());
    await services.schedules.start();
    closers.push(() => services.schedules.close());
    services.policyRunner.start();
    closers.push(() => services.policyRunner.close());
    closers.push(() => services.lifecycle.close());
    services.copier.start();
    closers.push(() => services.copier.close());
    services.upkeep.start();
    closers.push(async () => services.upkeep.close());
    services.recoveryPoints.start();
    closers.push(() => services.recoveryPoints.close());
    // Initiators come back on their own after a restart: they find their targets only once the volumes are open.
    const portals: string[] = [];
    for (const { host, port } of options.iscsi) {
      const listening = await plane.listen(host, port);
      if (portals.length === 0) portal.port = listening.port;
      portals.push(`${urlHost(listening.host)}:${listening.port}`);
    }

    const pages = new ConsoleFiles(CONSOLE_FOLDER, { region: options.region, version: VERSION });
    const api = new ApiServer<Services & AdminServices>({
      storageGateway: storageGatewayOperations,
      ec2: ec2Operations,
      ebs: ebsOperations,
      dlm: dlmOperations,
      sluicegate: sluicegateOperations,
      services: { ...services, ...adminServicesOf(watch) },
      accessKeys,
      probes: watch.probes,
      onCall: (call) => watch.onCall(call),
      activationKey: () => services.gateways.activationKey(),
      page: (request) => pages.answer(request),
      onInternalError: (requestId, error) => log.error({ err: error, requestId }, "a request failed"),
      clock: systemClock,
      random: systemRandom,
      region: options.region,
      accountId: options.accountId,
    });
    await watch.start();
    const address = await api.listen(options.listen.host, options.listen.port);
    closers.push(() => api.close());
    if (offline) log.warn("serving without the bucket: uploads wait until it answers");
    return {
      api: `http://${urlHost(address.host)}:${address.port}`,
      iscsi: portals.join(","),
      failed,
      close,
    };
  } catch (error) {
    await close().catch((problem: unknown) =>
      onProblem("what had been started could not be stopped", problem),
    );
    throw error;
  }
}

/** The vault's key: made where this is a new gateway. One that had a key before must not go on with another. */
function vaultKey(dataDir: string): { readonly bytes: Buffer; readonly isNew: boolean } {
  const path = join(dataDir, KEY_FILE);
  const isNew = !existsSync(path);
  if (isNew && existsSync(join(dataDir, VAULT_JSON_COPY)))
    throw new DataFolderError(`${path} is gone, and the vault can't be read without it: put your copy back`);
  return { bytes: secretFile(path, KEY_BYTES), isNew };
}

/** The key that was made opens nothing: it goes again, so that nobody takes it for the vault's. */
function withoutNewKey(dataDir: string, error: unknown): unknown {
  if (!(error instanceof RemoteError) || error.kind !== "wrongKey") return error;
  const path = join(dataDir, KEY_FILE);
  rmSync(path);
  const advice = `put its key into ${path}, or bring its gateway back with \`sluicegate recover\``;
  return new DataFolderError(`there is a vault already at that store: ${advice}`, { cause: error });
}

/** The version that runs, and since when: a new one is noted. */
async function softwareOf(catalog: Catalog, version: string): Promise<Software> {
  const known = await catalog.setting(SOFTWARE_KEY);
  const before = known === undefined ? undefined : (JSON.parse(known) as Software);
  if (before?.version === version) return before;
  const software = { version, updatedAtMs: systemClock.nowMs() };
  await catalog.setSetting(SOFTWARE_KEY, JSON.stringify(software));
  return software;
}

/** Random bytes that are made once and kept (mode 0600). */
function secretFile(path: string, bytes: number): Buffer {
  const there = systemDisk.readFile(path);
  if (there !== undefined) return there;
  const made = systemRandom.bytes(bytes);
  systemDisk.replaceFile(path, made);
  return made;
}

function portalOf({ host, port }: HostPort): string {
  return `${urlHost(host)}:${port}`;
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
