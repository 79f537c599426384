import type { DescribeSnapshotsRequest, DescribeSnapshotsResult, Snapshot } from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { parseSnapshotId } from "../../platform/ids.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { applyFilters } from "./filters.ts";
import { snapshotShape } from "./snapshot-shape.ts";

const RESULTS_MAX = 1000;
const RESULTS_MIN = 5;

/** DescribeSnapshots: by ids, owners and filters, in pages. An id that is not there fails the whole call. */
export const describeSnapshots: Operation<Services, DescribeSnapshotsRequest, DescribeSnapshotsResult> = {
  name: "DescribeSnapshots",
  async handle({ snapshots }, input, { accountId }) {
    if (input.DryRun === true) throw dryRun();
    const all = (await snapshots.list()).map((view) => snapshotShape(view, accountId));
    const named = chooseByIds(all, input.SnapshotIds);
    const owned = named.filter(() => isOwned(input.OwnerIds, accountId));
    const found = applyFilters(owned, input.Filters, valuesOf).sort((a, b) =>
      (a.SnapshotId ?? "") < (b.SnapshotId ?? "") ? -1 : 1,
    );
    return inPages(found, input);
  },
};

/** What a permitted DryRun is answered with. */
export function dryRun(): Ec2Error {
  return new Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
}

function chooseByIds(all: readonly Snapshot[], ids: readonly string[] | undefined): Snapshot[] {
  if (ids === undefined || ids.length === 0) return [...all];
  const byId = new Map(all.map((snapshot) => [snapshot.SnapshotId, snapshot]));
  return [...new Set(ids)].map((text) => {
    const id = checkedSnapshotId(text);
    const snapshot = byId.get(id);
    if (snapshot === undefined) throw notFound(text);
    return snapshot;
  });
}

/** The id that a request spells. Throws InvalidSnapshotID.Malformed; a short id is well formed and never ours. */
export function checkedSnapshotId(text: string | undefined): NonNullable<ReturnType<typeof parseSnapshotId>> {
  const id = text === undefined ? undefined : parseSnapshotId(text);
  if (id !== undefined) return id;
  if (text !== undefined && /^snap-[0-9a-fA-F]{8}$/.test(text)) throw notFound(text);
  throw new Ec2Error("InvalidSnapshotID.Malformed", `Invalid id: "${text ?? ""}" (expecting "snap-...")`);
}

export function notFound(id: string): Ec2Error {
  return new Ec2Error("InvalidSnapshot.NotFound", `The snapshot '${id}' does not exist.`);
}

function isOwned(owners: readonly string[] | undefined, accountId: string): boolean {
  return owners === undefined || owners.length === 0 || owners.includes("self") || owners.includes(accountId);
}

function valuesOf(snapshot: Snapshot, name: string): readonly string[] | undefined {
  if (name.startsWith("tag:")) {
    const key = name.slice("tag:".length);
    return (snapshot.Tags ?? []).filter((tag) => tag.Key === key).map((tag) => tag.Value ?? "");
  }
  switch (name) {
    case "description":
      return [snapshot.Description ?? ""];
    case "encrypted":
      return [String(snapshot.Encrypted === true)];
    case "owner-alias":
      return [];
    case "owner-id":
      return [snapshot.OwnerId ?? ""];
    case "progress":
      return [snapshot.Progress ?? ""];
    case "snapshot-id":
      return [snapshot.SnapshotId ?? ""];
    case "start-time":
      return [snapshot.StartTime?.toISOString() ?? ""];
    case "status":
      return [snapshot.State ?? ""];
    case "storage-tier":
      return [snapshot.StorageTier ?? ""];
    case "transfer-type":
      return ["standard"];
    case "tag-key":
      return (snapshot.Tags ?? []).map((tag) => tag.Key ?? "");
    case "volume-id":
      return [snapshot.VolumeId ?? ""];
    case "volume-size":
      return [String(snapshot.VolumeSize)];
    default:
      return undefined;
  }
}

function inPages(found: readonly Snapshot[], input: DescribeSnapshotsRequest): DescribeSnapshotsResult {
  const { MaxResults, NextToken, SnapshotIds } = input;
  if (MaxResults !== undefined && (SnapshotIds?.length ?? 0) > 0) {
    throw new Ec2Error(
      "InvalidParameterCombination",
      "The parameter snapshotSet cannot be used with the parameter maxResults.",
    );
  }
  if (MaxResults !== undefined && MaxResults < RESULTS_MIN) {
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value ( ${MaxResults} ) for parameter maxResults is invalid.`,
    );
  }
  const after = NextToken === undefined ? "" : Buffer.from(NextToken, "base64url").toString("utf8");
  if (NextToken !== undefined && parseSnapshotId(after) === undefined) {
    throw new Ec2Error("InvalidParameterValue", "The nextToken is invalid.");
  }
  const rest = found.filter((snapshot) => (snapshot.SnapshotId ?? "") > after);
  const page = MaxResults === undefined ? rest : rest.slice(0, Math.min(MaxResults, RESULTS_MAX));
  const last = page.at(-1)?.SnapshotId;
  const more = page.length < rest.length && last !== undefined;
  return { Snapshots: page, NextToken: more ? Buffer.from(last, "utf8").toString("base64url") : undefined };
}
