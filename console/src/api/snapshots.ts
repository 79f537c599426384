/** Snapshots: pages of the list from the gateway's own operation, everything else through EC2. */
import {
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DescribeSnapshotsCommand,
  type Snapshot as Ec2Snapshot,
} from "@aws-sdk/client-ec2";
import { CreateSnapshotCommand } from "@aws-sdk/client-storage-gateway";
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import type { Clients } from "./clients.ts";
import { BUSY_MS, CALM_MS, type Tag } from "./queries.ts";

export interface SnapshotView {
  readonly id: string;
  readonly volumeId: string;
  readonly description: string;
  readonly state: "pending" | "completed" | "error";
  /** Why it is in error. */
  readonly reason: string | undefined;
  readonly startedAt: Date;
  readonly completedAt: Date | undefined;
  /** 0 to 100. */
  readonly progress: number;
  readonly volumeSizeBytes: number;
  /** Bytes of all blocks that it holds; known when it is completed. */
  readonly fullBytes: number | undefined;
  readonly tags: readonly Tag[];
}

export type SnapshotSort = "StartTime" | "Description" | "VolumeId" | "State" | "VolumeSize" | "FullSize";

export interface SnapshotQuery {
  readonly text?: string;
  readonly states?: readonly string[];
  readonly volumeId?: string;
  readonly sortBy?: SnapshotSort;
  readonly ascending?: boolean;
  /** The page with this one in its middle, whatever the offset. */
  readonly around?: string;
  readonly offset: number;
  readonly limit: number;
}

interface ListAnswer {
  readonly TotalCount: number;
  readonly Snapshots: readonly {
    readonly SnapshotId: string;
    readonly VolumeId: string;
    readonly Description: string;
    readonly State: SnapshotView["state"];
    readonly StateMessage?: string;
    readonly StartTime: number;
    readonly CompletionTime?: number;
    readonly Progress: number;
    readonly VolumeSizeInBytes: number;
    readonly FullSnapshotSizeInBytes?: number;
    readonly Tags: readonly { readonly Key: string; readonly Value: string }[];
  }[];
}

export interface SnapshotPage {
  readonly total: number;
  readonly snapshots: readonly SnapshotView[];
}

export async function listSnapshots(clients: Clients, query: SnapshotQuery): Promise<SnapshotPage> {
  const answer = await clients.own<ListAnswer>("ListMatchingSnapshots", {
    ...(query.text !== undefined && query.text !== "" && { Text: query.text }),
    ...(query.states !== undefined && query.states.length > 0 && { States: query.states }),
    ...(query.volumeId !== undefined && { VolumeId: query.volumeId }),
    ...(query.sortBy !== undefined && { SortBy: query.sortBy }),
    ...(query.ascending === true && { Ascending: true }),
    ...(query.around !== undefined && { Around: query.around }),
    Offset: query.offset,
    Limit: query.limit,
  });
  return {
    total: answer.TotalCount,
    snapshots: answer.Snapshots.map((snapshot) => ({
      id: snapshot.SnapshotId,
      volumeId: snapshot.VolumeId,
      description: snapshot.Description,
      state: snapshot.State,
      reason: snapshot.StateMessage,
      startedAt: new Date(snapshot.StartTime * 1000),
      completedAt:
        snapshot.CompletionTime === undefined ? undefined : new Date(snapshot.CompletionTime * 1000),
      progress: snapshot.Progress,
      volumeSizeBytes: snapshot.VolumeSizeInBytes,
      fullBytes: snapshot.FullSnapshotSizeInBytes,
      tags: snapshot.Tags.map(({ Key, Value }) => ({ key: Key, value: Value })),
    })),
  };
}

export function useSnapshots(query: SnapshotQuery): UseQueryResult<SnapshotPage> {
  const clients = useClients();
  return useQuery({
    queryKey: ["snapshots", query],
    queryFn: () => listSnapshots(clients, query),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.data?.snapshots.some((each) => each.state === "pending") ? BUSY_MS : CALM_MS / 2,
  });
}

const GIB = 1024 ** 3;

/** One snapshot; null where there is none of that id. Without an id nothing is asked. */
export function useSnapshot(id: string): UseQueryResult<SnapshotView | null> {
  const clients = useClients();
  return useQuery({
    queryKey: ["snapshot", id],
    enabled: id !== "",
    refetchInterval: ({ state }) => (state.data?.state === "pending" ? BUSY_MS : CALM_MS / 2),
    queryFn: async () => {
      try {
        const answer = await clients.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
        const [found] = answer.Snapshots ?? [];
        return found === undefined ? null : viewOf(found);
      } catch (error) {
        if (error instanceof Error && /^InvalidSnapshot(ID)?\.(NotFound|Malformed)$/.test(error.name))
          return null;
        throw error;
      }
    },
  });
}

function viewOf(snapshot: Ec2Snapshot): SnapshotView {
  return {
    id: snapshot.SnapshotId ?? "",
    volumeId: snapshot.VolumeId ?? "",
    description: snapshot.Description ?? "",
    state: (snapshot.State ?? "error") as SnapshotView["state"],
    reason: snapshot.StateMessage,
    startedAt: snapshot.StartTime ?? new Date(0),
    completedAt: snapshot.CompletionTime,
    progress: Number.parseInt(snapshot.Progress ?? "0", 10),
    volumeSizeBytes: (snapshot.VolumeSize ?? 0) * GIB,
    fullBytes: snapshot.FullSnapshotSizeInBytes,
    tags: (snapshot.Tags ?? []).map(({ Key = "", Value = "" }) => ({ key: Key, value: Value })),
  };
}

export async function createSnapshot(
  { storageGateway }: Clients,
  volumeArn: string,
  description: string,
  tags: readonly Tag[],
): Promise<string> {
  const { SnapshotId = "" } = await storageGateway.send(
    new CreateSnapshotCommand({
      VolumeARN: volumeArn,
      SnapshotDescription: description,
      ...(tags.length > 0 && { Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })) }),
    }),
  );
  return SnapshotId;
}

export async function deleteSnapshot({ ec2 }: Clients, id: string): Promise<void> {
  await ec2.send(new DeleteSnapshotCommand({ SnapshotId: id }));
}

/** Makes a snapshot's tags those of `wanted`. */
export async function changeSnapshotTags(
  { ec2 }: Clients,
  id: string,
  before: readonly Tag[],
  wanted: readonly Tag[],
): Promise<void> {
  const gone = before.filter(({ key }) => !wanted.some((tag) => tag.key === key));
  const put = wanted.filter(
    ({ key, value }) => !before.some((tag) => tag.key === key && tag.value === value),
  );
  if (gone.length > 0) {
    await ec2.send(new DeleteTagsCommand({ Resources: [id], Tags: gone.map(({ key }) => ({ Key: key })) }));
  }
  if (put.length > 0) {
    const Tags = put.map(({ key, value }) => ({ Key: key, Value: value }));
    await ec2.send(new CreateTagsCommand({ Resources: [id], Tags }));
  }
}
