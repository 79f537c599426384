/** What becomes of a gateway after its activation: shut down, started again, checked, deleted. */
import { scrypt } from "node:crypto";
import { promisify } from "node:util";
import type { Catalog } from "../catalog/catalog.ts";
import type { GatewayRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { GatewayId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { Disks } from "./disks.ts";
import type { MonitorTest } from "./gateway-settings.ts";
import { readSettings } from "./gateway-settings.ts";
import type { Gateways } from "./gateways.ts";
import type { VolumeHost } from "./ports.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Volumes } from "./volumes.ts";

export interface LifecycleOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly gateways: Gateways;
  readonly disks: Disks;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly random: Random;
  /** Rejects, with the reason, unless initiators can reach the portal. */
  readonly probePortal: () => Promise<void>;
  /** Rejects, with the reason, unless the bucket answers. */
  readonly probeBucket: () => Promise<void>;
  readonly onProblem: (message: string, error: unknown) => void;
}

const SALT_BYTES = 16;
const HASH_BYTES = 32;
const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #tests = new Map<GatewayId, Promise<void>>();

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /** Waits for checks that are under way. */
  async close(): Promise<void> {
    await Promise.all(this.#tests.values());
  }

  /** Ends I/O and uploads of the gateway's volumes, durably; it stays so after a restart. Nothing if it is down already. */
  shutdown(gateway: GatewayRow): Promise<void> {
    const { gateways, catalog, host } = this.#options;
    return gateways.exclusively(async () => {
      // Before the volumes: what a crash finds half done is finished by not opening them.
      await catalog.updateGateway(gateway.id, { state: "shutdown" });
      for (const row of await this.#volumesOf(gateway)) await host.suspend(row.id);
    });
  }

  /** I/O and uploads go on where they were. Nothing if the gateway runs. */
  start(gateway: GatewayRow): Promise<void> {
    const { gateways, catalog, host, volumes, snapshots, onProblem } = this.#options;
    return gateways.exclusively(async () => {
      if (gateway.state === "running") return;
      await catalog.updateGateway(gateway.id, { state: "running" });
      for (const row of await this.#volumesOf(gateway)) {
        try {
          await volumes.open(row);
          if (row.attachment === "detaching") await host.withdraw(row.id);
        } catch (error) {
          // Its status says so.
          onProblem(`${row.id} can't be opened`, error);
        }
      }
      await snapshots.reconcilePending();
    });
  }

  /**
   * Deletes the gateway and its volumes, whatever they are doing. Snapshots stay, but those that are pending end in
   * error. Its disks are free again; those of stored volumes keep their bytes. Volumes that were detached stay.
   */
  remove(gateway: GatewayRow): Promise<void> {
    const { gateways, catalog, host, volumes } = this.#options;
    return gateways.exclusively(async () => {
      for (const row of await this.#volumesOf(gateway)) await volumes.discard(row);
      await host.removeStorage(gateway.id);
      const detached = (await catalog.volumes()).some(({ gateway_id }) => gateway_id === gateway.id);
      if (!detached) {
        await catalog.removeGateway(gateway.id);
        return;
      }
      await catalog.removeDisks(gateway.id, "CACHE_STORAGE");
      await catalog.removeDisks(gateway.id, "UPLOAD_BUFFER");
      const name = `deleted ${gateway.id}`;
      await catalog.updateGateway(gateway.id, { state: "deleted", name, settings: "{}" });
    });
  }

  /** Begins a check of whether the gateway can work: its portal, the bucket, and its disks. */
  async startMonitorTest(gateway: GatewayRow): Promise<void> {
    if (this.#tests.has(gateway.id)) return;
    const startedAtMs = this.#options.clock.nowMs();
    await this.#record(gateway, { status: "PENDING", startedAtMs });
    const test = this.#check(gateway)
      .then((reason) =>
        this.#record(gateway, {
          status: reason === undefined ? "COMPLETE" : "FAILED",
          startedAtMs,
          ...(reason !== undefined && { reason }),
        }),
      )
      .catch((error: unknown) => this.#options.onProblem(`${gateway.id} can't be checked`, error))
      .finally(() => this.#tests.delete(gateway.id));
    this.#tests.set(gateway.id, test);
  }

  /** The last check; one that the end of the process broke off has failed. */
  monitorTest(gateway: GatewayRow): MonitorTest | undefined {
    const test = readSettings(gateway).monitorTest;
    if (test?.status !== "PENDING" || this.#tests.has(gateway.id)) return test;
    return { ...test, status: "FAILED", reason: "the gateway was restarted" };
  }

  /** Keeps the password's hash. */
  async setConsolePassword(gateway: GatewayRow, password: string): Promise<void> {
    const salt = this.#options.random.bytes(SALT_BYTES);
    const hash = await deriveKey(password, salt, HASH_BYTES);
    const consolePasswordHash = `scrypt$${salt.toString("base64")}$${hash.toString("base64")}`;
    await this.#options.gateways.update(gateway, { settings: { consolePasswordHash } });
  }

  async #check(gateway: GatewayRow): Promise<string | undefined> {
    const { probePortal, probeBucket, disks } = this.#options;
    const reasonOf = (what: string, probe: Promise<void>) =>
      probe.then(
        () => undefined,
        (error: unknown) => `${what}: ${error instanceof Error ? error.message : String(error)}`,
      );
    const own = (await disks.ofGateway(gateway.id)).filter(({ use }) => use !== undefined);
    const bad = own.find(({ status }) => status !== "present");
    if (bad !== undefined) return `the disk ${bad.diskId} is ${bad.status}`;
    return (await reasonOf("iSCSI portal", probePortal())) ?? (await reasonOf("bucket", probeBucket()));
  }

  async #record(gateway: GatewayRow, monitorTest: MonitorTest): Promise<void> {
    await this.#options.gateways.update(gateway, { settings: { monitorTest } });
  }

  async #volumesOf(gateway: GatewayRow) {
    return (await this.#options.catalog.volumes()).filter(
      (row) => row.gateway_id === gateway.id && row.state !== "deleting" && row.attachment !== "detached",
    );
  }
}
