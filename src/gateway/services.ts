/** The domain put together: what the API's handlers get. */

import { join } from "node:path";
import type { Catalog } from "../catalog/catalog.ts";
import type { SnapshotRow } from "../catalog/schema.ts";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { SnapshotId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { AccessKeys } from "./access-keys.ts";
import type { Realm } from "./arn.ts";
import { Attachments } from "./attachments.ts";
import { Bandwidth } from "./bandwidth.ts";
import { CatalogCopier } from "./catalog-copy.ts";
import { Chap } from "./chap.ts";
import { DirectReads } from "./direct-reads.ts";
import { DirectTokens } from "./direct-tokens.ts";
import { DirectUploads } from "./direct-uploads.ts";
import { Disks } from "./disks.ts";
import { Gateways } from "./gateways.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Policies } from "./policies.ts";
import { PolicyRunner } from "./policy-runner.ts";
import type {
  BandwidthControl,
  CatalogStore,
  DirectStore,
  RecoveryPointStore,
  RootMeasures,
  SnapshotStore,
  VaultKeeper,
  VolumeHost,
  VolumeLeases,
} from "./ports.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import { Schedules } from "./schedules.ts";
import { SnapshotLocks } from "./snapshot-locks.ts";
import { SnapshotSizes } from "./snapshot-sizes.ts";
import { Snapshots } from "./snapshots.ts";
import { Tags } from "./tags.ts";
import type { ThinningRule } from "./thinning.ts";
import { upkeepFile } from "./upkeep-memory.ts";
import { type VaultJob, VaultUpkeep } from "./vault-upkeep.ts";
import { Volumes } from "./volumes.ts";

export interface DomainOptions {
  readonly accessKeys: AccessKeys;
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly store: SnapshotStore &
    DirectStore &
    RootMeasures &
    RecoveryPointStore &
    CatalogStore &
    VaultKeeper &
    VolumeLeases &
    BandwidthControl;
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
  readonly portal: Portal;
  readonly software: Software;
  /** Rejects, with the reason, unless initiators can reach the portal. */
  readonly probePortal: () => Promise<void>;
  readonly onProblem: (message: string, error: unknown) => void;
  /** Told of every snapshot that is completed or has failed. Must not throw. */
  readonly onSnapshotEnded?: (snapshot: SnapshotRow) => void;
  /** Told of every job of the vault that has ended. Must not throw. */
  readonly onJobEnded?: (job: VaultJob) => void;
}

/** Where initiators reach the volumes. */
export interface Portal {
  /** Where it listens: perhaps everywhere. */
  readonly host: string;
  readonly port: number;
  /** One address by which it can be reached. */
  readonly address: string;
}

/** The program that runs. */
export interface Software {
  readonly version: string;
  /** When this version ran here for the first time. */
  readonly updatedAtMs: number;
}

export interface Services {
  readonly clock: Clock;
  readonly realm: Realm;
  readonly accessKeys: AccessKeys;
  readonly portal: Portal;
  readonly software: Software;
  readonly gateways: Gateways;
  readonly disks: Disks;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly snapshotLocks: SnapshotLocks;
  readonly snapshotSizes: SnapshotSizes;
  readonly recoveryPoints: RecoveryPoints;
  readonly directReads: DirectReads;
  readonly directUploads: DirectUploads;
  readonly tags: Tags;
  readonly copier: CatalogCopier;
  readonly upkeep: VaultUpkeep;
  readonly attachments: Attachments;
  readonly bandwidth: Bandwidth;
  readonly chap: Chap;
  readonly lifecycle: Lifecycle;
  readonly schedules: Schedules;
  readonly policies: Policies;
  readonly policyRunner: PolicyRunner;
}

/** The bucket is asked for it to see whether it answers. */
const NO_SNAPSHOT = "snap-00000000000000000" as SnapshotId;

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
    memory: upkeepFile(options.disk, options.dataDir),
    onProblem: options.onProblem,
    ...(options.onJobEnded !== undefined && { onJobEnded: options.onJobEnded }),
  });
  const tags = new Tags({ catalog: options.catalog, gateways, volumes });
  const attachments = new Attachments({ ...options, leases: options.store, gateways, disks, volumes });
  const lifecycle = new Lifecycle({
    ...options,
    gateways,
    disks,
    volumes,
    snapshots,
    probeBucket: async () => {
      await options.store.hasSnapshot(NO_SNAPSHOT);
    },
  });
  const { realm, portal, software, accessKeys } = options;
  const policies = new Policies(options);
  const snapshotLocks = new SnapshotLocks(snapshots, options.clock);
  return {
    clock: options.clock,
    snapshotLocks,
    snapshotSizes: new SnapshotSizes({ ...options, snapshots, measures: options.store }),
    realm,
    portal,
    software,
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
    attachments,
    bandwidth: new Bandwidth({ ...options, control: options.store }),
    chap: new Chap(options),
    lifecycle,
    schedules: new Schedules({ ...options, snapshots }),
    policies,
    policyRunner: new PolicyRunner({ ...options, policies, snapshots, tags }),
  };
}
