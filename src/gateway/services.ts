/** The domain put together: what the API's handlers get. */
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { AccessKeys } from "./access-keys.ts";
import type { Realm } from "./arn.ts";
import { CatalogCopier } from "./catalog-copy.ts";
import { Disks } from "./disks.ts";
import { Gateways } from "./gateways.ts";
import type { CatalogStore, RecoveryPointStore, SnapshotStore, VaultKeeper, VolumeHost } from "./ports.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import { Snapshots } from "./snapshots.ts";
import { Tags } from "./tags.ts";
import type { ThinningRule } from "./thinning.ts";
import { VaultUpkeep } from "./vault-upkeep.ts";
import { Volumes } from "./volumes.ts";

export interface DomainOptions {
  readonly accessKeys: AccessKeys;
  readonly catalog: Catalog;
  readonly host: VolumeHost;
  readonly store: SnapshotStore & RecoveryPointStore & CatalogStore & VaultKeeper;
  /** Which recovery points are kept. */
  readonly thinning: ThinningRule;
  readonly clock: Clock;
  readonly random: Random;
  readonly dataDir: string;
  readonly devices: readonly string[];
  readonly realm: Realm;
  readonly portal: { readonly host: string; readonly port: number };
  readonly onProblem: (message: string, error: unknown) => void;
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
    onNameGone: (volumeId, rootKey) => recoveryPoints.dropUnnamed(volumeId, rootKey),
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
  };
}
