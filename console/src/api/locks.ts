/** Locks: until a day, a snapshot can't be deleted. */
import {
  DescribeLockedSnapshotsCommand,
  LockSnapshotCommand,
  UnlockSnapshotCommand,
} from "@aws-sdk/client-ec2";
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import type { Clients } from "./clients.ts";
import { CALM_MS } from "./queries.ts";

export interface SnapshotLock {
  readonly mode: "governance" | "compliance";
  readonly until: Date | undefined;
  readonly isExpired: boolean;
}

/** The lock on a snapshot; null where there is none. */
export function useSnapshotLock(id: string): UseQueryResult<SnapshotLock | null> {
  const { ec2 } = useClients();
  return useQuery({
    queryKey: ["lock", id],
    refetchInterval: CALM_MS,
    queryFn: async () => {
      const answer = await ec2.send(new DescribeLockedSnapshotsCommand({ SnapshotIds: [id] }));
      const [lock] = answer.Snapshots ?? [];
      if (lock?.LockState === undefined) return null;
      return {
        mode: lock.LockState.startsWith("compliance") ? "compliance" : "governance",
        until: lock.LockExpiresOn,
        isExpired: lock.LockState === "expired",
      };
    },
  });
}

/** Locks a snapshot for so many days. */
export async function lockSnapshot(
  { ec2 }: Clients,
  id: string,
  mode: SnapshotLock["mode"],
  days: number,
): Promise<void> {
  await ec2.send(new LockSnapshotCommand({ SnapshotId: id, LockMode: mode, LockDuration: days }));
}

export async function unlockSnapshot({ ec2 }: Clients, id: string): Promise<void> {
  await ec2.send(new UnlockSnapshotCommand({ SnapshotId: id }));
}
