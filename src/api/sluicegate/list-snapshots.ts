/** ListSnapshots, DescribeVault: what EC2's answer about snapshots leaves out, and the vault they are in. */
import type { AdminServices } from "../../admin/admin-services.ts";
import { GatewayError } from "../../gateway/errors.ts";
import type { Services } from "../../gateway/services.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import type { Operation } from "../operation.ts";
import type { TagShape } from "../tags.ts";

interface Input {
  readonly SnapshotIds?: readonly string[];
  readonly VolumeIds?: readonly string[];
  readonly State?: "pending" | "completed" | "error";
  readonly Limit?: number;
  readonly Marker?: string;
}

interface SnapshotShape {
  readonly SnapshotId: string;
  readonly VolumeId: string;
  /** As it was when the snapshot was made. */
  readonly VolumeARN: string;
  readonly State: string;
  /** Why it has failed. */
  readonly Reason?: string;
  /** 0 to 100. */
  readonly Progress: number;
  readonly Description: string;
  /** Seconds since the Unix epoch: the moment that it is of. */
  readonly StartTime: number;
  readonly CompletionTime?: number;
  readonly VolumeSizeInBytes: number;
  /** Of all blocks that are not zeros, before compression. */
  readonly FullBytes: number;
  readonly Tags: readonly TagShape[];
}

interface Output {
  /** Newest first. */
  readonly Snapshots: readonly SnapshotShape[];
  readonly Marker?: string;
}

const LIMIT_DEFAULT = 1_000;

/** ListSnapshots: snapshots of this gateway, newest first, page by page. */
export const listSnapshots: Operation<Services, Input, Output> = {
  name: "ListSnapshots",
  async handle({ snapshots }, { SnapshotIds, VolumeIds, State, Limit = LIMIT_DEFAULT, Marker }) {
    const wanted = lowered(SnapshotIds);
    const volumes = lowered(VolumeIds);
    const all = (await snapshots.list())
      .filter(
        ({ row }) =>
          (wanted?.has(row.id) ?? true) &&
          (volumes?.has(row.volume_id) ?? true) &&
          (State === undefined || row.state === State),
      )
      .sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1));
    const after = Marker === undefined ? undefined : Buffer.from(Marker, "base64url").toString("utf8");
    if (after !== undefined && !/^\d{16} snap-/.test(after))
      throw new GatewayError("InvalidParameters", "The Marker is not one of ours.");
    const rest = after === undefined ? all : all.filter((view) => keyOf(view) < after);
    const page = rest.slice(0, Limit);
    const last = page.at(-1);
    return {
      Snapshots: page.map(shapeOf),
      ...(last !== undefined &&
        page.length < rest.length && { Marker: Buffer.from(keyOf(last)).toString("base64url") }),
    };
  },
};

function lowered(ids: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return ids === undefined ? undefined : new Set(ids.map((id) => id.toLowerCase()));
}

const TIME_DIGITS = 16;

function keyOf({ row }: SnapshotView): string {
  return `${String(row.started_at).padStart(TIME_DIGITS, "0")} ${row.id}`;
}

function shapeOf({ row, tags, progressPercent }: SnapshotView): SnapshotShape {
  return {
    SnapshotId: row.id,
    VolumeId: row.volume_id,
    VolumeARN: row.volume_arn,
    State: row.state,
    ...(row.reason !== null && { Reason: row.reason }),
    Progress: progressPercent,
    Description: row.description,
    StartTime: row.started_at / 1000,
    ...(row.completed_at !== null && { CompletionTime: row.completed_at / 1000 }),
    VolumeSizeInBytes: row.volume_size_bytes,
    FullBytes: row.full_bytes,
    Tags: tags.map(({ key, value }) => ({ Key: key, Value: value })),
  };
}

interface VaultOutput {
  readonly VaultId: string;
  /** `s3://bucket/prefix` or `file:///folder`. */
  readonly Store: string;
  readonly Packs: number;
  /** Records of blocks, deltas and pages in the packs. */
  readonly Chunks: number;
  readonly ChunkBytes: number;
  /** As they lie in the bucket: compressed and encrypted. */
  readonly StoredBytes: number;
  /** What all completed snapshots together would take, each by itself. */
  readonly SnapshotBytes: number;
  readonly Snapshots: number;
  readonly LastCollectionTime?: number;
  readonly LastVerificationTime?: number;
  /** Problems that the last verification has found. */
  readonly Problems?: number;
  /** What opens the vault. They are changed at the command line, where the secrets are. */
  readonly Keys: readonly { readonly Name: string; readonly Type: string; readonly CreationTime?: number }[];
}

/** DescribeVault: how much there is in the vault, as this gateway's index of it has it, and how its upkeep went. */
export const describeVault: Operation<Services & AdminServices, object, VaultOutput> = {
  name: "DescribeVault",
  async handle({ upkeep, snapshots, vaultFigures }) {
    const { vaultId, store, packs, chunks, plainBytes, storedBytes, keys } = await upkeep.describe();
    const { count, fullBytes } = await snapshots.completed();
    const { collectedAtMs, verifiedAtMs, damagedObjects } = vaultFigures();
    return {
      ...{ VaultId: vaultId, Store: store, Packs: packs, Chunks: chunks },
      ...{ ChunkBytes: plainBytes, StoredBytes: storedBytes, Snapshots: count },
      SnapshotBytes: fullBytes,
      Keys: keys.map(({ name, type, madeAtMs }) => ({
        ...{ Name: name, Type: type },
        ...(madeAtMs !== undefined && { CreationTime: madeAtMs / 1000 }),
      })),
      ...(collectedAtMs !== undefined && { LastCollectionTime: collectedAtMs / 1000 }),
      ...(verifiedAtMs !== undefined && { LastVerificationTime: verifiedAtMs / 1000 }),
      ...(damagedObjects !== undefined && { Problems: damagedObjects }),
    };
  },
};
