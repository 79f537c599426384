/**
 * What the domain needs of the data plane. The data worker and the backup worker stand behind these interfaces;
 * tests hand in simple stand-ins.
 */

import type { DiskId, GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import type { VaultDescription } from "./vault-description.ts";

export type VolumeKind = "stored" | "cached";

/** A local disk as the data plane needs it. */
export interface DiskLocation {
  readonly diskId: DiskId;
  readonly path: string;
  readonly sizeBytes: number;
}

/** The disks a gateway has put to use; grows while it runs, never shrinks. */
export interface GatewayStorage {
  readonly cacheDisks: readonly DiskLocation[];
  readonly uploadBufferDisks: readonly DiskLocation[];
}

/** Bytes in use of a gateway's cache and upload buffer. */
export interface StorageUsage {
  readonly cacheAllocatedBytes: number;
  readonly cacheUsedBytes: number;
  readonly cacheDirtyBytes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly uploadBufferAllocatedBytes: number;
  readonly uploadBufferUsedBytes: number;
}

/**
 * What an initiator proves itself with (CHAP, RFC 7143, 12.1), and what the target proves itself to it with. Secrets are
 * never logged and never part of an error.
 */
export interface ChapCredential {
  /** Whole iSCSI name of the initiator; compared without regard to case. */
  readonly initiatorName: string;
  readonly secretToAuthenticateInitiator: string;
  /** Mutual CHAP: what the target answers the initiator's challenge with. */
  readonly secretToAuthenticateTarget?: string;
}

/** All that makes a volume, as kept in the catalog: enough to open it again after any restart. */
export interface VolumeDefinition {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: VolumeKind;
  readonly sizeBytes: number;
  /** Whole iSCSI name. */
  readonly targetName: string;
  /** The disk of a stored volume; absent for a cached one. */
  readonly disk?: DiskLocation;
  /** A stored volume keeps what its disk holds, as its first content. */
  readonly preserveExistingData: boolean;
  /** Whether it has still to be made: one that was is not made again where its own files are gone. */
  readonly isNew?: boolean;
  /** The object key of the root whose content the volume starts with; absent for an empty volume. */
  readonly parentRootKey?: string;
  /** Initiators may only read it. */
  readonly isReadOnly?: boolean;
  /** While something is dirty, a recovery point is cut this often, in milliseconds; 0: never. */
  readonly recoveryPointEveryMs: number;
  /** Who may log in to the target; absent or empty: every initiator, without a proof. */
  readonly chap?: readonly ChapCredential[];
}

/** A volume to be cut, and the name of the snapshot that this makes; without one it is a recovery point. */
export interface WantedCut {
  readonly volumeId: VolumeId;
  readonly snapshotId?: SnapshotId;
}

/** The states of a volume that this gateway tells (api: VolumeStatus). */
export type VolumeStatus =
  | "CREATING"
  | "AVAILABLE"
  | "RESTORING"
  | "IRRECOVERABLE"
  | "UPLOAD BUFFER NOT CONFIGURED";

/** A volume as it is at this moment. */
export interface VolumeReport {
  readonly volumeId: VolumeId;
  readonly status: VolumeStatus;
  /** Why the status is IRRECOVERABLE; for logs and the console. */
  readonly reason?: string;
  /** 0 to 1 while RESTORING or BOOTSTRAPPING. */
  readonly progress?: number;
  /** Bytes of blocks that were ever written. */
  readonly usedBytes: number;
  readonly initiators: readonly { readonly initiatorName: string; readonly address: string }[];
  /** The newest moment of the volume that is in the bucket. */
  readonly recoveryPoint?: {
    readonly rootKey: string;
    readonly cutAtMs: number;
    readonly fullBytes: number;
  };
}

/** How a cut came out: the instant the snapshot is of. */
export interface Cut {
  readonly epoch: number;
  readonly cutAtMs: number;
}

/** How far a cut's way into the bucket has come. `total` may still grow while the dirty blocks are being counted. */
export interface UploadProgress {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly doneBlocks: number;
  readonly totalBlocks: number;
}

/** A cut that has reached the bucket: its root and everything that the root reaches are durable there. */
export interface UploadedCut {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly rootKey: string;
  /** Bytes put into the bucket for it. */
  readonly uploadedBytes: number;
  /** Bytes of all blocks that the root reaches, zero blocks left out, before compression. */
  readonly fullBytes: number;
}

/** A cut that will never reach the bucket. */
export interface FailedCut {
  readonly volumeId: VolumeId;
  readonly epoch: number;
  readonly reason: string;
}

/** What the data plane tells by itself. Handlers must not throw. */
export interface VolumeHostEvents {
  uploadProgress(progress: UploadProgress): void;
  cutUploaded(cut: UploadedCut): void;
  cutFailed(cut: FailedCut): void;
}

/** What becomes of a cut whose upload this process did not see the end of. */
export type CutState =
  | { readonly state: "pending" }
  | ({ readonly state: "uploaded" } & UploadedCut)
  | { readonly state: "failed"; readonly reason: string }
  | { readonly state: "unknown" }
  /** The volume is not open: nobody can tell. */
  | { readonly state: "closed" };

/** The data worker, as the domain sees it. */
export interface VolumeHost {
  /** Tells which disks a gateway's volumes may use; called before its volumes are opened, and again when disks are added. */
  setStorage(gatewayId: GatewayId, storage: GatewayStorage): Promise<void>;
  /** Makes a new volume ready to serve, or opens an existing one as it was left, and offers its target. */
  open(volume: VolumeDefinition): Promise<VolumeReport>;
  /** Ends the volume's sessions and offers its target no more; its uploads go on. No error where it is not open. */
  withdraw(volumeId: VolumeId): Promise<void>;
  /**
   * Ends the volume's sessions, makes everything durable and lets go of it; `open` finds it as it was. No error where
   * it is not open.
   */
  suspend(volumeId: VolumeId): Promise<void>;
  /** Lets go of all disks of a gateway that has no volumes any more, and makes them fit for another use. */
  removeStorage(gatewayId: GatewayId): Promise<void>;
  /**
   * Closes the volume's sessions and forgets its local state. A stored volume's disk has what its guest saw last; for
   * one that may not be open the definition is needed for that.
   */
  remove(volumeId: VolumeId, definition?: VolumeDefinition): Promise<void>;
  /**
   * Closes the open epochs of the volumes at one instant: the snapshots are of it. When it resolves, the cuts survive
   * a crash, and their uploads go on by themselves. Rejects with a GatewayError (VolumeNotReady) when one of the
   * volumes can't be cut now; no snapshot is made then. Answers in the order of the request.
   */
  cut(wanted: readonly WantedCut[]): Promise<readonly Cut[]>;
  /** Makes the volume larger while it is in use; initiators are told. Rejects with VolumeNotReady where it can't. */
  grow(volumeId: VolumeId, sizeBytes: number): Promise<void>;
  /** How often the volume gets a recovery point while something is dirty; 0: never. */
  setRecoveryPoints(volumeId: VolumeId, everyMs: number): Promise<void>;
  /**
   * Replaces the credentials of the volume's target. With any, it admits no one else; with none, everyone. Sessions of
   * initiators that are not admitted any more, or not by what they had proved, are ended. No error for a volume that is
   * not open: `open` takes its credentials along.
   */
  setChap(volumeId: VolumeId, credentials: readonly ChapCredential[]): Promise<void>;
  /** The names of initiators that are logged in to the volume's target now, each once. */
  initiators(volumeId: VolumeId): Promise<readonly string[]>;
  /**
   * Takes the cache disks of a gateway out of use, whatever they hold. Its cached volumes (all of which are given) go
   * back to what the bucket has of them. Answers what was lost of each.
   */
  resetCache(
    gatewayId: GatewayId,
    volumes: readonly VolumeDefinition[],
  ): Promise<readonly { readonly volumeId: VolumeId; readonly lostBytes: number }[]>;
  /** For snapshots that are pending when the process starts: what has become of the cut. */
  cutState(volumeId: VolumeId, epoch: number): Promise<CutState>;
  report(volumeId: VolumeId): Promise<VolumeReport>;
  /** Those of several volumes, in the same order. */
  reports(volumeIds: readonly VolumeId[]): Promise<readonly VolumeReport[]>;
  usage(gatewayId: GatewayId): Promise<StorageUsage>;
}

/** What a gateway may send and fetch; without a limit where none is given. */
export interface BandwidthLimits {
  readonly uploadBytesPerSecond?: number;
  readonly downloadBytesPerSecond?: number;
}

/** The lines of gateways to the bucket. */
export interface BandwidthControl {
  /** The limits of the gateway from now on, also for what is under way. */
  setBandwidth(gatewayId: GatewayId, limits: BandwidthLimits): Promise<void>;
}

/** A snapshot as it is kept in the bucket: all that any API shows of it, so that the bucket alone is enough. */
export interface SnapshotRecord {
  readonly snapshotId: SnapshotId;
  readonly volumeId: VolumeId;
  /** The volume's ARN at the time of the snapshot. */
  readonly volumeArn: string;
  readonly rootKey: string;
  readonly description: string;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly volumeSizeBytes: number;
  readonly startedAtMs: number;
  readonly completedAtMs: number;
  readonly fullBytes: number;
  readonly marks?: SnapshotMarks;
}

/** What not every snapshot has. */
export interface SnapshotMarks {
  /** The volume that its content began with, through restores and copies, where it is another one. */
  readonly lineageId?: VolumeId;
  readonly lock?: {
    readonly mode: "governance" | "compliance";
    readonly days: number;
    readonly lockedAtMs: number;
    readonly untilMs: number;
    readonly coolOffUntilMs?: number;
  };
  /** Accounts that may make volumes of it. */
  readonly sharedWith?: readonly string[];
  readonly policy?: { readonly id: string; readonly schedule: string };
}

/** Which blocks of a root, or of two of them, are asked for; a unit is so many bytes. */
export interface DirectListing {
  /** Without it: the blocks that are not all zeros. With it: those in which `afterKey` is not the same. */
  readonly beforeKey?: string;
  readonly afterKey: string;
  readonly unitBytes: number;
  /** Counted in units, as all indexes here. */
  readonly first: number;
  readonly max: number;
}

/** Up to so many blocks, ascending; `next` is where the list goes on, if it does. It may be shorter than wanted. */
export interface DirectList {
  readonly blocks: readonly {
    readonly index: number;
    readonly inBefore: boolean;
    readonly inAfter: boolean;
  }[];
  readonly next?: number;
}

/** A snapshot to be made of blocks that are spooled in a folder. */
export interface SpoolOrder {
  readonly volumeId: VolumeId;
  readonly folder: string;
  readonly sizeBytes: number;
  readonly cutAtMs: number;
  /** The root whose content the snapshot has where no block was sent. */
  readonly parentRootKey?: string;
}

/** Snapshots as rows of blocks, and back. */
export interface DirectStore {
  listDirectBlocks(listing: DirectListing): Promise<DirectList>;
  /** The bytes, as of the root; beyond its end there are zeros. */
  readDirectBlock(rootKey: string, offsetBytes: number, lengthBytes: number): Promise<Buffer>;
  /** Makes a root of a spool. Safe to repeat. Rejects with an error whose `kind` is "unavailable" where that may help. */
  uploadSpool(order: SpoolOrder): Promise<{ readonly rootKey: string; readonly fullBytes: number }>;
}

/** What a root has that neither the moment before it nor the one after it has at the same place. */
export interface RootFootprint {
  readonly blocks: number;
  /** As it lies in the bucket. */
  readonly storedBytes: number;
  /** False where it was too much to look at all of it: then there is more. */
  readonly isWhole: boolean;
}

/** How two roots differ. */
export interface RootDifference {
  readonly blockBytes: number;
  readonly sizeBytes: number;
  readonly changedBlocks: number;
  /** Bytes in the bucket that only the second has at these places. */
  readonly storedBytes: number;
  /** Changed blocks in each of so many equal parts. */
  readonly parts: readonly number[];
  readonly isWhole: boolean;
}

/** Roots measured by their maps. */
export interface RootMeasures {
  uniqueOf(
    rootKey: string,
    beforeKey: string | undefined,
    afterKey: string | undefined,
  ): Promise<RootFootprint>;
  differenceOf(beforeKey: string, afterKey: string, parts: number): Promise<RootDifference>;
}

/** The part of the vault that the domain uses by itself. */
export interface SnapshotStore {
  /** Writes the record durably; replaces the one of the same id. */
  putSnapshot(record: SnapshotRecord): Promise<void>;
  /** Takes the name away; what only it reached is freed by garbage collection. No error if there is none. */
  deleteSnapshot(snapshotId: SnapshotId): Promise<void>;
  /** The records of all snapshots but these. One that can't be read is told to the log and left out. */
  listSnapshots(except: readonly SnapshotId[]): Promise<readonly SnapshotRecord[]>;
  /** The record as it is in the bucket now; undefined where there is none. */
  snapshot(snapshotId: SnapshotId): Promise<SnapshotRecord | undefined>;
  /** Whether the snapshot is in the bucket now. */
  hasSnapshot(snapshotId: SnapshotId): Promise<boolean>;
}

/** Who may write the roots of volumes. */
export interface VolumeLeases {
  /**
   * The volume begins anew here, with a root of its own as its parent: what it writes from now on is told from what it
   * wrote before by a lease generation of its own. Rejects where another gateway owns it.
   */
  renewLease(volumeId: VolumeId): Promise<void>;
}

/** The copy of the catalog that is kept in the bucket. */
export interface CatalogStore {
  /** Keeps this in place of what was there. */
  putCatalog(catalog: unknown): Promise<void>;
}

/** How far a long job of the vault has come. */
export interface JobProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

/** What a collection has found and done. */
export interface CollectionReport {
  readonly state: "done" | "waiting" | "looked";
  readonly roots: number;
  readonly packs: number;
  readonly packBytes: number;
  readonly deadPacks: number;
  readonly deadBytes: number;
  readonly sparsePacks: number;
  readonly sparseBytes: number;
  readonly sparseLiveBytes: number;
  readonly unreadablePacks: number;
  readonly deletedPacks: number;
  readonly deletedBytes: number;
  readonly sparedPacks: number;
  readonly waitingFor: readonly string[];
}

/** What a verification has found. */
export interface VerificationReport {
  readonly packs: number;
  readonly packsRead: number;
  readonly bytesRead: number;
  readonly recordsRead: number;
  readonly roots: number;
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly hits: readonly {
    readonly rootKey: string;
    readonly volumeId: VolumeId;
    readonly snapshotIds: readonly string[];
    readonly ranges: readonly (readonly [first: number, last: number])[];
    readonly blocks: number;
  }[];
}

/** The vault's own upkeep. */
export interface VaultKeeper {
  /** Deletes what no root needs, or only says what that would be. Writers of `forget` are gone for good. */
  collect(
    isDryRun: boolean,
    onProgress: (progress: JobProgress) => void,
    forget: readonly string[],
  ): Promise<CollectionReport>;
  verify(samplePercent: number, onProgress: (progress: JobProgress) => void): Promise<VerificationReport>;
  /** Answers what collections of other gateways wait for. */
  settle(): Promise<void>;
  /** How much there is, as the local index has it. */
  describeVault(): Promise<VaultDescription>;
}

/** One root of a volume, as it stands in the bucket. */
export interface StoredRoot {
  readonly rootKey: string;
  readonly generation: number;
  readonly epoch: number;
  /** A checkpoint can be read by itself; a step only with the checkpoint and the steps that it names. */
  readonly kind: "checkpoint" | "step";
  readonly cutAtMs: number;
  readonly sizeBytes: number;
  /** Bytes of all blocks that the root reaches, zero blocks left out, before compression. */
  readonly fullBytes: number;
  /** Of a step: what it stands on. */
  readonly checkpointKey?: string;
  /** The steps between the checkpoint and this one, oldest first. */
  readonly chainKeys?: readonly string[];
}

/** The roots of volumes: every one of them is a moment that can be restored. */
export interface RecoveryPointStore {
  /** The volume's roots, oldest first. One that can't be read is told to the log and left out. */
  listRoots(volumeId: VolumeId): Promise<readonly StoredRoot[]>;
  /**
   * Deletes roots. Rejects, with nothing deleted, where another root of the volume stands on one of them. What only
   * they reached is freed by garbage collection.
   */
  deleteRoots(volumeId: VolumeId, rootKeys: readonly string[]): Promise<void>;
  /** Roots that a snapshot, or a volume of any gateway, needs, as far as the bucket knows. */
  listPins(): Promise<readonly string[]>;
  /** Volumes with roots whose only writer is this gateway, or was. */
  listOwnVolumes(): Promise<readonly VolumeId[]>;
}
