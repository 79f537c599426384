/** What the fleet is made of and told: volumes as they are defined, and the world around them. */
import type { Clock } from "../platform/clock.ts";
import type { DirtyPages } from "../platform/dirty-pages.ts";
import type { Disk } from "../platform/disk.ts";
import type { GatewayId, SnapshotId, VolumeId } from "../platform/ids.ts";
import type { Random } from "../platform/random.ts";
import type { UploadedEpoch } from "./epoch-log.ts";
import type { UploadOrder } from "./epoch-source.ts";
import type { RootReader } from "./root-reader.ts";
import type { PumpEvents } from "./upload-pump.ts";
import type { VolumeLimits } from "./volume-world.ts";

/** What makes a volume: enough to open it again. */
export interface FleetVolume {
  readonly volumeId: VolumeId;
  readonly gatewayId: GatewayId;
  readonly kind: "stored" | "cached";
  readonly sizeBytes: number;
  readonly diskPath?: string;
  readonly preserveExistingData: boolean;
  readonly parentRootKey?: string;
  /** False: it was made before, and is not made again where its own files are gone. */
  readonly isNew?: boolean;
  /** While something is dirty, a recovery point is cut this often; 0: never. */
  readonly recoveryPointEveryMs: number;
}

/** A volume to be cut. */
export interface WantedCut {
  readonly volumeId: VolumeId;
  readonly snapshotId?: SnapshotId;
}

export interface FleetEvents extends PumpEvents {
  /** The volume has stopped for good. */
  stopped(volumeId: VolumeId, reason: string): void;
}

export interface FleetOptions {
  /** Where each volume has a folder of its own. */
  readonly folder: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** The vault, over the line of one gateway, as it is read for one volume. */
  readonly rootsOf: (gatewayId: GatewayId, volumeId: VolumeId) => RootReader;
  readonly upload: (order: UploadOrder) => Promise<UploadedEpoch>;
  /** The volume's upload under way is not wanted any more; it may end at any time. */
  readonly cancelUpload: (volumeId: VolumeId) => void;
  /** How much of what was written no disk has yet; never rejects. Without it nobody is held back for that. */
  readonly readDirtyPages?: () => Promise<DirtyPages | undefined>;
  /** Those of the volumes that another gateway has become the writer of. Rejects where that can't be told now. */
  readonly lostVolumes?: (
    volumeIds: readonly VolumeId[],
  ) => Promise<readonly { readonly volumeId: VolumeId; readonly reason: string }[]>;
  readonly events: FleetEvents;
  readonly limits?: VolumeLimits;
}
