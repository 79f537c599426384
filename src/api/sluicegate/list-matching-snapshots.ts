import type { Services } from "../../gateway/services.ts";
import { type SnapshotOrder, searchSnapshots } from "../../gateway/snapshot-search.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import type { Operation } from "../operation.ts";

interface Input {
  /** Words: each has to be in the description, an id or a tag. */
  readonly Text?: string;
  readonly States?: readonly string[];
  readonly VolumeId?: string;
  /** `StartTime` without it. */
  readonly SortBy?: SnapshotOrder;
  /** Newest, largest and so on first without it. */
  readonly Ascending?: boolean;
  readonly Offset?: number;
  /** In place of an offset: the page with this one in its middle. */
  readonly Around?: string;
  /** 50 without it. */
  readonly Limit?: number;
}

interface Output {
  /** On all pages. */
  readonly TotalCount: number;
  readonly Snapshots: readonly ReturnType<typeof shapeOf>[];
}

const LIMIT_DEFAULT = 50;

/** ListMatchingSnapshots: a page of the snapshots that match, in an order for people; EC2's DescribeSnapshots has none. */
export const listMatchingSnapshots: Operation<Services, Input, Output> = {
  name: "ListMatchingSnapshots",
  async handle({ snapshots }, input) {
    const { total, page } = searchSnapshots(await snapshots.list(), {
      ...(input.Text !== undefined && { text: input.Text }),
      ...(input.States !== undefined && input.States.length > 0 && { states: input.States }),
      ...(input.VolumeId !== undefined && { volumeId: input.VolumeId }),
      orderBy: input.SortBy ?? "StartTime",
      isAscending: input.Ascending === true,
      offset: input.Offset ?? 0,
      ...(input.Around !== undefined && { around: input.Around.toLowerCase() }),
      limit: input.Limit ?? LIMIT_DEFAULT,
    });
    return { TotalCount: total, Snapshots: page.map(shapeOf) };
  },
};

function shapeOf({ row, tags, progressPercent }: SnapshotView) {
  return {
    SnapshotId: row.id,
    VolumeId: row.volume_id,
    VolumeARN: row.volume_arn,
    Description: row.description,
    State: row.state,
    StartTime: row.started_at / 1000,
    Progress: progressPercent,
    VolumeSizeInBytes: row.volume_size_bytes,
    Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
    ...(row.reason !== null && { StateMessage: row.reason }),
    ...(row.completed_at !== null && { CompletionTime: row.completed_at / 1000 }),
    ...(row.state === "completed" && { FullSnapshotSizeInBytes: row.full_bytes }),
  };
}
