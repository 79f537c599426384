/** DescribeSnapshotSizes, DescribeSnapshotDifference: what snapshots take of the vault, and how they differ. */
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { SnapshotSize } from "../../gateway/snapshot-sizes.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { parseSnapshotId } from "../../platform/ids.ts";
import type { Operation } from "../operation.ts";

interface SizesOutput {
  /** In the order of the request. */
  readonly Sizes: readonly {
    readonly SnapshotId: string;
    /** `measuring`: ask again. `unknown`: why is in `Reason`. */
    readonly State: SnapshotSize["state"];
    /**
     * Bytes in the bucket of what neither the snapshot before it nor the one after it (or the volume itself) has at the
     * same place: about what its deletion gives back.
     */
    readonly UniqueSizeInBytes?: number;
    /** It was too much to look at all of it: there is more. */
    readonly IsAtLeast?: boolean;
    readonly MeasuredTime?: number;
    /** Volumes that stand on it, and keep all of it. */
    readonly HeldByVolumeIds?: readonly string[];
    readonly Reason?: string;
  }[];
}

/** DescribeSnapshotSizes: bytes that each has for itself. Measured in the background: what is not there yet comes later. */
export const describeSnapshotSizes: Operation<
  Services,
  { readonly SnapshotIds: readonly string[] },
  SizesOutput
> = {
  name: "DescribeSnapshotSizes",
  async handle({ snapshots, snapshotSizes }, { SnapshotIds }) {
    const rows: SnapshotView["row"][] = [];
    for (const text of SnapshotIds) rows.push(await found(snapshots, text));
    const sizes = await snapshotSizes.sizes(rows);
    return { Sizes: sizes.map((size, i) => ({ SnapshotId: rows[i]?.id ?? "", ...shapeOf(size) })) };
  },
};

function shapeOf(size: SnapshotSize): Omit<SizesOutput["Sizes"][number], "SnapshotId"> {
  switch (size.state) {
    case "measuring":
      return { State: size.state };
    case "unknown":
      return { State: size.state, Reason: size.reason };
    case "measured":
      return {
        State: size.state,
        UniqueSizeInBytes: size.uniqueBytes,
        IsAtLeast: !size.isWhole,
        MeasuredTime: size.measuredAtMs / 1000,
        HeldByVolumeIds: size.heldBy,
      };
  }
}

interface DifferenceInput {
  readonly FirstSnapshotId: string;
  readonly SecondSnapshotId: string;
  /** 100 without it. */
  readonly Parts?: number;
}

interface DifferenceOutput {
  readonly FirstSnapshotId: string;
  readonly SecondSnapshotId: string;
  readonly BlockSizeInBytes: number;
  /** Of the larger one. */
  readonly VolumeSizeInBytes: number;
  readonly ChangedBlocks: number;
  readonly ChangedSizeInBytes: number;
  /** Bytes in the bucket that only the second has at these places. */
  readonly StoredSizeInBytes: number;
  /** Bytes that differ in each of `Parts` equal parts of the volume, from its beginning to its end. */
  readonly ChangedSizesInBytes: readonly number[];
  /** It was too much to look at all of it: there is more. */
  readonly IsAtLeast: boolean;
}

const PARTS_DEFAULT = 100;

/** DescribeSnapshotDifference: how much of a second snapshot is not as in a first one, and where. Of any two. */
export const describeSnapshotDifference: Operation<Services, DifferenceInput, DifferenceOutput> = {
  name: "DescribeSnapshotDifference",
  async handle({ snapshots, snapshotSizes }, { FirstSnapshotId, SecondSnapshotId, Parts = PARTS_DEFAULT }) {
    const first = await found(snapshots, FirstSnapshotId);
    const second = await found(snapshots, SecondSnapshotId);
    const { blockBytes, sizeBytes, changedBlocks, storedBytes, parts, isWhole } =
      await snapshotSizes.difference(first, second, Parts);
    return {
      FirstSnapshotId: first.id,
      SecondSnapshotId: second.id,
      BlockSizeInBytes: blockBytes,
      VolumeSizeInBytes: sizeBytes,
      ChangedBlocks: changedBlocks,
      ChangedSizeInBytes: changedBlocks * blockBytes,
      StoredSizeInBytes: storedBytes,
      ChangedSizesInBytes: parts.map((blocks) => blocks * blockBytes),
      IsAtLeast: !isWhole,
    };
  },
};

async function found(snapshots: Services["snapshots"], text: string): Promise<SnapshotView["row"]> {
  const id = parseSnapshotId(text);
  const row = id === undefined ? undefined : await snapshots.find(id);
  if (row === undefined) throw new GatewayError("SnapshotNotFound", text);
  return row;
}
