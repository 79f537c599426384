/** UpdateRecoveryPoints, ListRecoveryPoints, CreateSnapshotFromRecoveryPoint: the moments of a volume in the bucket. */
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import { thinningText } from "../../gateway/thinning.ts";
import { recoveryPointEveryMs } from "../../gateway/volume-rows.ts";
import type { Operation } from "../operation.ts";
import { checkTags, type TagShape } from "../tags.ts";

const INTERVAL_SECONDS_MIN = 5;

interface Interval {
  readonly VolumeARN: string;
  /** 0: none. Absent: as usual for the kind of volume. */
  readonly IntervalInSeconds?: number | undefined;
}

/** UpdateRecoveryPoints: how often the volume gets a recovery point while something is dirty. */
export const updateRecoveryPoints: Operation<Services, Interval, Interval> = {
  name: "UpdateRecoveryPoints",
  async handle({ volumes }, { VolumeARN, IntervalInSeconds }) {
    if (
      IntervalInSeconds !== undefined &&
      IntervalInSeconds > 0 &&
      IntervalInSeconds < INTERVAL_SECONDS_MIN
    ) {
      throw new GatewayError(
        "InvalidParameters",
        `IntervalInSeconds: 0, or at least ${INTERVAL_SECONDS_MIN}.`,
      );
    }
    const row = await volumes.byArn(VolumeARN);
    await volumes.setRecoveryPoints(row, IntervalInSeconds === undefined ? null : IntervalInSeconds * 1000);
    return { VolumeARN: volumes.arnOf(row), IntervalInSeconds };
  },
};

interface Settings {
  readonly VolumeARN: string;
  /** Absent: as usual for the kind of volume, which is `UsualIntervalInSeconds`. */
  readonly IntervalInSeconds?: number;
  readonly UsualIntervalInSeconds: number;
  /** How they are thinned out as they grow older, in the form of the setting `keep-recovery-points`. */
  readonly Rule: string;
  /** The same by stages: up to an age, one in each step is kept; a step of 0 keeps all. */
  readonly Stages: readonly { readonly WithinSeconds: number; readonly EverySeconds: number }[];
}

/** DescribeRecoveryPoints: how often the volume gets one, and which of them are kept. */
export const describeRecoveryPoints: Operation<Services, { readonly VolumeARN: string }, Settings> = {
  name: "DescribeRecoveryPoints",
  async handle({ volumes, recoveryPoints }, { VolumeARN }) {
    const row = await volumes.byArn(VolumeARN);
    const stages = recoveryPoints.rule;
    return {
      VolumeARN: volumes.arnOf(row),
      ...(row.recovery_point_every_ms !== null && { IntervalInSeconds: row.recovery_point_every_ms / 1000 }),
      UsualIntervalInSeconds: recoveryPointEveryMs({ ...row, recovery_point_every_ms: null }) / 1000,
      Rule: thinningText(stages),
      Stages: stages.map(({ withinMs, everyMs }) => ({
        WithinSeconds: withinMs / 1000,
        EverySeconds: everyMs / 1000,
      })),
    };
  },
};

interface ListOutput {
  readonly VolumeARN: string;
  /** Newest first. */
  readonly RecoveryPoints: readonly {
    readonly Time: number;
    readonly VolumeSizeInBytes: number;
    readonly VolumeUsageInBytes: number;
  }[];
}

/** ListRecoveryPoints: every moment of the volume that can be restored, with a name or without. */
export const listRecoveryPoints: Operation<Services, { readonly VolumeARN: string }, ListOutput> = {
  name: "ListRecoveryPoints",
  async handle({ volumes, recoveryPoints }, { VolumeARN }) {
    const row = await volumes.byArn(VolumeARN);
    const points = await recoveryPoints.list(row.id);
    return {
      VolumeARN: volumes.arnOf(row),
      RecoveryPoints: points.map(({ cutAtMs, sizeBytes, fullBytes }) => ({
        Time: cutAtMs / 1000,
        VolumeSizeInBytes: sizeBytes,
        VolumeUsageInBytes: fullBytes,
      })),
    };
  },
};

interface NameInput {
  readonly VolumeARN: string;
  readonly SnapshotDescription: string;
  /** The newest moment that is not after it; without it the newest of all. */
  readonly Time?: number;
  readonly Tags?: readonly TagShape[];
}

interface NameOutput {
  readonly VolumeARN: string;
  readonly SnapshotId: string;
  readonly Time: number;
}

/** CreateSnapshotFromRecoveryPoint: gives a moment a name; the snapshot is complete at once. */
export const createSnapshotFromRecoveryPoint: Operation<Services, NameInput, NameOutput> = {
  name: "CreateSnapshotFromRecoveryPoint",
  async handle({ volumes, recoveryPoints }, { VolumeARN, SnapshotDescription, Time, Tags }) {
    const row = await volumes.byArn(VolumeARN);
    const atMs = Time === undefined ? undefined : Time * 1000;
    const snapshot = await recoveryPoints.name(row, atMs, SnapshotDescription, checkTags(Tags));
    return { VolumeARN: volumes.arnOf(row), SnapshotId: snapshot.id, Time: snapshot.started_at / 1000 };
  },
};
