/** What the threads are started with. */
import type { MessagePort } from "node:worker_threads";
import type { PortalRedirect } from "../target/discovery.ts";

export interface DataWorkerData {
  readonly volumesFolder: string;
  /** What iSCSI discovery shows instead of the portals listened at. */
  readonly advertisedPortals: readonly string[];
  readonly portalRedirects: readonly PortalRedirect[];
  /** To the backup worker. */
  readonly backup: MessagePort;
  /** Where the data worker tells how busy it is: see load-gauge.ts. */
  readonly load: SharedArrayBuffer;
}

export interface BackupWorkerData {
  readonly storeUrl: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly indexPath: string;
  readonly keyFile: Uint8Array;
  readonly ownerId: string;
  readonly vaultJsonCachePath: string;
  /** To the data worker. */
  readonly data: MessagePort;
  readonly load: SharedArrayBuffer;
}

/** A line for the log, from a thread that has none. */
export interface WorkerLogLine {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}
