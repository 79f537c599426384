/** The domain put together: what the API's handlers get. */

import { join } from "node:path";
import type { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { Random } from "../platform/random.ts";
import type { AccessKeys } from "./access-keys.ts";
import type { Realm } from "./arn.ts";
import { CatalogCopier } from "./catalog-copy.ts";
import { DirectReads } from "./direct-reads.ts";
import { DirectTokens } from "./direct-tokens.ts";
import { DirectUploads } from "./direct-uploads.ts";
import { Disks } from "./disks.ts";
import { Gateways } from "./gateways.ts";
import type {
  CatalogStore,
  DirectStore,
  RecoveryPointStore,
  SnapshotStore,
  VaultKeeper,
  VolumeHost,
} from "./ports.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import { Snapshots } from "./snapshots.ts";
import { Tags } from "./tags.ts";
import type { ThinningRule } from "./thinning.ts";
import { type VaultJob, VaultUpkeep } from "./vault-upkeep.ts";
import { Volumes } from "./volumes.ts";

export interface DomainOptions {
  readonly accessKeys: AccessKeys;
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly store: SnapshotStore & DirectStore & RecoveryPointStore & CatalogStore & VaultKeeper;
  /** Which recovery points are kept. */
  readonly thinning: ThinningRule;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly dataDir: string;
  /** Bytes free on the disk of the data folder. */
  readonly freeBytes: () => number;
  /** At least 32 random bytes that stay the same: what the gateway seals its tokens with. */
  readonly secret: Buffer;
  readonly devices: readonly string[];
  readonly realm: Realm;
  readonly portal: { readonly host: string; readonly port: number };
  readonly onProblem: (message: string, error: unknown) => void;
  /** Told of every snapshot that is completed or has failed. Must not throw. */
  readonly onSnapshotEnded?: (snapshot: SnapshotRow) => void;
  /** Told of every job of the vault that has ended. Must not throw. */
  readonly onJobEnded?: (job: VaultJob) => void;
}

export interface Services {
  readonly realm: Realm;
  readonly accessKeys: AccessKeys;
  /** Where initiators reach the volumes. */
  readonly portal: { readonly host: string; readonly port: number };
  readonly gateways: Gateways;
  readonly disks: Disks;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly recoveryPoints: RecoveryPoints;
  readonly directReads: DirectReads;
  readonly directUploads: DirectUploads;
  readonly tags: Tags;
  readonly copier: CatalogCopier;
  readonly upkeep: VaultUpkeep;
}

/** Builds the services; nothing is opened yet. */
export function createServices(options: DomainOptions): Services {
  const disks = new Disks(options.catalog, options.dataDir, options.devices);
  const gateways = new Gateways({ ...options, disks });
  const copier = new CatalogCopier(options);
  const volumes = new Volumes({ ...options, gateways, disks, pin: () => copier.now() });
  const snapshots: Snapshots = new Snapshots({
    ...options,
    volumes,
    onDirectGone: (id) => directUploads.drop(id),
    onNameGone: (volumeId, rootKey) => recoveryPoints.dropUnnamed(volumeId, rootKey),
  });
  const directReads = new DirectReads({ ...options, tokens: new DirectTokens(options.secret) });
  const directUploads = new DirectUploads({
    ...options,
    snapshots,
    folder: join(options.dataDir, "direct-snapshots"),
  });
  const recoveryPoints: RecoveryPoints = new RecoveryPoints({
    ...options,
    snapshots,
    roots: options.store,
    rule: options.thinning,
  });
  const upkeep = new VaultUpkeep({
    vault: options.store,
    clock: options.clock,
    beforeCollecting: () => recoveryPoints.thinGone(),
    onProblem: options.onProblem,
    ...(options.onJobEnded !== undefined && { onJobEnded: options.onJobEnded }),
  });
  const tags = new Tags({ catalog: options.catalog, gateways, volumes });
  const { realm, portal, accessKeys } = options;
  return {
    realm,
    portal,
    accessKeys,
    gateways,
    disks,
    volumes,
    snapshots,
    recoveryPoints,
    tags,
    copier,
    upkeep,
    directReads,
    directUploads,
  };
}
