/** What snapshots take of the vault by themselves, and how they differ. */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import { BUSY_MS, CALM_MS } from "./queries.ts";

export interface SnapshotSize {
  readonly SnapshotId: string;
  readonly State: "measured" | "measuring" | "unknown";
  readonly UniqueSizeInBytes?: number;
  readonly IsAtLeast?: boolean;
  readonly HeldByVolumeIds?: readonly string[];
  readonly Reason?: string;
}

/** Bytes that only these snapshots hold. They are measured in the background; it is asked again until they are there. */
export function useSnapshotSizes(ids: readonly string[]): ReadonlyMap<string, SnapshotSize> {
  const { own } = useClients();
  const found = useQuery({
    queryKey: ["snapshot-sizes", ids],
    enabled: ids.length > 0,
    refetchInterval: ({ state }) =>
      state.data?.some(({ State }) => State === "measuring") ? BUSY_MS : 3 * CALM_MS,
    queryFn: async () =>
      (await own<{ Sizes: SnapshotSize[] }>("DescribeSnapshotSizes", { SnapshotIds: ids })).Sizes,
  });
  return new Map(found.data?.map((size) => [size.SnapshotId, size]));
}

export interface SnapshotDifference {
  readonly BlockSizeInBytes: number;
  readonly VolumeSizeInBytes: number;
  readonly ChangedBlocks: number;
  readonly ChangedSizeInBytes: number;
  readonly StoredSizeInBytes: number;
  readonly ChangedSizesInBytes: readonly number[];
  readonly IsAtLeast: boolean;
}

const PARTS = 100;

/** How the second differs from the first. */
export function useDifference(
  firstId: string | undefined,
  secondId: string,
): UseQueryResult<SnapshotDifference> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["snapshot-difference", firstId, secondId],
    enabled: firstId !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () =>
      own<SnapshotDifference>("DescribeSnapshotDifference", {
        FirstSnapshotId: firstId,
        SecondSnapshotId: secondId,
        Parts: PARTS,
      }),
  });
}
