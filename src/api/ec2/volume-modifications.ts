/** ModifyVolume, DescribeVolumesModifications. */
import type {
  DescribeVolumesModificationsRequest,
  DescribeVolumesModificationsResult,
  ModifyVolumeRequest,
  ModifyVolumeResult,
  VolumeModification,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import type { VolumeView } from "../../gateway/volumes.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { dryRun } from "./checks.ts";
import { type FilterTable, filterOf } from "./filters.ts";
import { pageOf } from "./paging.ts";
import { keptType, typeOf, type VolumeTypeShape } from "./volume-shape.ts";
import { foundVolume } from "./volumes.ts";

const GIB = 1024 ** 3;

/** What is kept of the last modification of a volume: as it is shown, with times in milliseconds. */
interface KeptModification extends Omit<VolumeModification, "VolumeId" | "StartTime" | "EndTime"> {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

/**
 * ModifyVolume: a volume becomes larger while it is in use, and is shown with another type. That is done when this answers.
 */
export const modifyVolume: Operation<Services, ModifyVolumeRequest, ModifyVolumeResult> = {
  name: "ModifyVolume",
  async handle({ volumes, clock }, input) {
    const row = await foundVolume(volumes, input.VolumeId);
    const before = row.size_bytes / GIB;
    const { Size = before, DryRun } = input;
    const type = modifiedType(typeOf(row), input);
    if (input.Size === undefined && type === undefined)
      throw new Ec2Error("MissingParameter", "The request must contain the parameter Size.");
    if (Size < before)
      throw new Ec2Error("InvalidParameterValue", "New size cannot be smaller than existing size");
    if (DryRun === true) throw dryRun();
    const startedAtMs = clock.nowMs();
    if (Size > before) await volumes.grow(row, Size * GIB);
    const was = typeOf(row);
    const is = type === undefined ? was : typeOf({ ...row, ec2_type: type });
    const made: KeptModification = {
      ModificationState: "completed",
      ...{ OriginalSize: before, TargetSize: Size },
      ...{ OriginalVolumeType: was.VolumeType ?? "standard", TargetVolumeType: is.VolumeType ?? "standard" },
      ...{ OriginalIops: was.Iops, TargetIops: is.Iops },
      ...{ OriginalThroughput: was.Throughput, TargetThroughput: is.Throughput },
      ...{ OriginalMultiAttachEnabled: false, TargetMultiAttachEnabled: false },
      Progress: 100,
      ...{ startedAtMs, endedAtMs: clock.nowMs() },
    };
    await volumes.setModified(row, {
      ...(type !== undefined && { ec2_type: type }),
      modification: JSON.stringify(made),
    });
    return { VolumeModification: shapeOf(row.id, made) };
  },
};

/** Figures go with the type: another type begins without those of the one before. */
function modifiedType(before: VolumeTypeShape, input: ModifyVolumeRequest): string | undefined {
  const isSame = input.VolumeType === undefined || input.VolumeType === before.VolumeType;
  return keptType(input) === undefined ? undefined : keptType({ ...(isSame && before), ...given(input) });
}

function given({ VolumeType, Iops, Throughput }: ModifyVolumeRequest): VolumeTypeShape {
  return {
    ...(VolumeType !== undefined && { VolumeType }),
    ...(Iops !== undefined && { Iops }),
    ...(Throughput !== undefined && { Throughput }),
  };
}

/**
 * DescribeVolumesModifications: the last modification of each volume, which is always completed, as ModifyVolume answers
 * when it is done. Volumes that were never modified are not among them; one that is named is refused then
 * (InvalidVolumeModification.NotFound).
 */
export const describeVolumesModifications: Operation<
  Services,
  DescribeVolumesModificationsRequest,
  DescribeVolumesModificationsResult
> = {
  name: "DescribeVolumesModifications",
  async handle({ volumes }, input) {
    const { VolumeIds = [], DryRun, Filters } = input;
    const rows =
      VolumeIds.length === 0
        ? (await volumes.list()).filter(({ state }) => state !== "deleting")
        : await Promise.all(VolumeIds.map((id) => foundVolume(volumes, id)));
    if (DryRun === true) throw dryRun();
    const passes = filterOf(Filters, FILTERS);
    const made = new Map(rows.flatMap((row) => modificationOf(row)).map((each) => [each.VolumeId, each]));
    const missing = VolumeIds.length === 0 ? undefined : rows.find(({ id }) => !made.has(id));
    if (missing !== undefined)
      throw new Ec2Error(
        "InvalidVolumeModification.NotFound",
        `Modification for volume '${missing.id}' does not exist.`,
      );
    const inOrder = [...made.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const { page, nextToken } = pageOf(inOrder, keyOf, input, passes);
    return { VolumesModifications: page, NextToken: nextToken };
  },
};

const keyOf = ({ VolumeId = "" }: VolumeModification): string => VolumeId;

function modificationOf({ id, modification }: VolumeView["row"]): VolumeModification[] {
  return modification === null ? [] : [shapeOf(id, JSON.parse(modification) as KeptModification)];
}

function shapeOf(VolumeId: string, kept: KeptModification): VolumeModification {
  const { startedAtMs, endedAtMs, ...shown } = kept;
  return { VolumeId, ...shown, StartTime: new Date(startedAtMs), EndTime: new Date(endedAtMs) };
}

const texts = (value: string | number | undefined): string[] => (value === undefined ? [] : [String(value)]);

const FILTERS: FilterTable<VolumeModification> = {
  names: {
    "modification-state": ({ ModificationState }) => texts(ModificationState),
    "original-iops": ({ OriginalIops }) => texts(OriginalIops),
    "original-size": ({ OriginalSize }) => texts(OriginalSize),
    "original-throughput": ({ OriginalThroughput }) => texts(OriginalThroughput),
    "original-volume-type": ({ OriginalVolumeType }) => texts(OriginalVolumeType),
    originalMultiAttachEnabled: () => ["false"],
    "start-time": ({ StartTime }) => texts(StartTime?.toISOString()),
    "target-iops": ({ TargetIops }) => texts(TargetIops),
    "target-size": ({ TargetSize }) => texts(TargetSize),
    "target-throughput": ({ TargetThroughput }) => texts(TargetThroughput),
    "target-volume-type": ({ TargetVolumeType }) => texts(TargetVolumeType),
    targetMultiAttachEnabled: () => ["false"],
    "volume-id": ({ VolumeId }) => texts(VolumeId),
  },
};
