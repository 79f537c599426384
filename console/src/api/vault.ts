/** The vault's upkeep: collections of garbage and verifications. */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import { BUSY_MS, CALM_MS } from "./queries.ts";

export type JobKind = "CollectGarbage" | "Verify";

export interface VaultJob {
  readonly Kind: JobKind;
  readonly State: "running" | "done" | "failed";
  readonly StartTime: number;
  readonly EndTime?: number;
  readonly Progress?: { readonly Phase: string; readonly Done: number; readonly Total: number };
  readonly Reason?: string;
  readonly Collection?: {
    readonly state: "done" | "waiting" | "looked";
    readonly roots: number;
    readonly packs: number;
    readonly packBytes: number;
    readonly deadBytes: number;
    readonly sparseBytes: number;
    readonly sparseLiveBytes: number;
    readonly deletedBytes: number;
    readonly deletedPacks: number;
    readonly waitingFor: readonly string[];
  };
  readonly Verification?: {
    readonly packs: number;
    readonly packsRead: number;
    readonly bytesRead: number;
    readonly recordsRead: number;
    readonly roots: number;
    readonly problems: readonly string[];
    readonly problemCount: number;
    readonly hits: readonly {
      readonly volumeId: string;
      readonly snapshotIds: readonly string[];
      readonly blocks: number;
    }[];
  };
  /** The last of its kind that was done for good, where this one was not. */
  readonly LastDone?: VaultJob;
}

export function useVaultJobs(): UseQueryResult<VaultJob[]> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["vault-jobs"],
    queryFn: async () => (await own<{ Jobs: VaultJob[] }>("DescribeVaultJobs", {})).Jobs,
    refetchInterval: ({ state }) =>
      state.data?.some(({ State }) => State === "running") ? BUSY_MS : CALM_MS,
  });
}

export interface VaultState {
  readonly VaultId: string;
  readonly Store: string;
  readonly Packs: number;
  readonly Chunks: number;
  readonly ChunkBytes: number;
  readonly StoredBytes: number;
  readonly SnapshotBytes: number;
  readonly Snapshots: number;
  readonly Keys: readonly { readonly Name: string; readonly Type: string; readonly CreationTime?: number }[];
}

/** How much there is in the vault. */
export function useVault(): UseQueryResult<VaultState> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["vault"],
    refetchInterval: CALM_MS,
    queryFn: () => own<VaultState>("DescribeVault", {}),
  });
}
