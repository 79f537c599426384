import type { DescribeSnapshotsRequest, DescribeSnapshotsResult } from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkedSnapshotId, dryRun, snapshotNotFound } from "./checks.ts";
import { type FilterTable, filterOf, literalsOf } from "./filters.ts";
import { pageOf } from "./paging.ts";
import { isRestorableBy } from "./snapshot-attributes.ts";
import { NO_VOLUME, shownVolumeId, sizeGib, snapshotShape } from "./snapshot-shape.ts";

/**
 * DescribeSnapshots: by ids, owners, who may restore them, and filters, in pages. An id that is not there fails the whole
 * call. All snapshots here are the account's own.
 */
export const describeSnapshots: Operation<Services, DescribeSnapshotsRequest, DescribeSnapshotsResult> = {
  name: "DescribeSnapshots",
  async handle({ snapshots }, input, { accountId }) {
    const { SnapshotIds = [], MaxResults, OwnerIds = [], RestorableByUserIds = [] } = input;
    if (MaxResults !== undefined && SnapshotIds.length > 0)
      throw new Ec2Error(
        "InvalidParameterCombination",
        "The parameter snapshotSet cannot be used with the parameter maxResults.",
      );
    const named = await candidates(snapshots, input);
    if (input.DryRun === true) throw dryRun();
    const isOwned =
      OwnerIds.length === 0 || OwnerIds.some((owner) => owner === "self" || owner === accountId);
    const passes = filterOf(input.Filters, filtersOf(accountId));
    const matches = (view: SnapshotView) =>
      isOwned &&
      (RestorableByUserIds.length === 0 ||
        RestorableByUserIds.some((user) => isRestorableBy(view.row, user, accountId))) &&
      passes(view);
    const { page, nextToken } = pageOf(named, ({ row }) => row.id, input, matches);
    return { Snapshots: page.map((view) => snapshotShape(view, accountId)), NextToken: nextToken };
  },
};

/** Those that can be meant at all, by their ids: where the request names some, or volumes, only these are looked at. */
async function candidates(
  snapshots: Services["snapshots"],
  { SnapshotIds = [], Filters }: DescribeSnapshotsRequest,
): Promise<readonly SnapshotView[]> {
  if (SnapshotIds.length > 0) return namedSnapshots(snapshots, SnapshotIds);
  const volumeIds = literalsOf(Filters, "volume-id");
  if (volumeIds === undefined || volumeIds.includes(NO_VOLUME)) return snapshots.list();
  return snapshots.listOfVolumes(volumeIds);
}

/** The snapshots of these ids, each once, by their ids; all of them where no id is named. */
export async function namedSnapshots(
  snapshots: Services["snapshots"],
  texts: readonly string[],
): Promise<readonly SnapshotView[]> {
  if (texts.length === 0) return snapshots.list();
  const ids = [...new Set(texts.map(checkedSnapshotId))];
  const views = await snapshots.listNamed(ids);
  const found = new Set(views.map(({ row }) => row.id));
  const missing = ids.find((id) => !found.has(id));
  if (missing !== undefined) throw snapshotNotFound(missing);
  return views.sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
}

function filtersOf(accountId: string): FilterTable<SnapshotView> {
  return {
    tagsOf: ({ tags }) => tags,
    names: {
      description: ({ row }) => [row.description],
      encrypted: () => ["true"],
      "owner-alias": () => [],
      "owner-id": () => [accountId],
      progress: ({ progressPercent }) => [`${progressPercent}%`],
      "snapshot-id": ({ row }) => [row.id],
      "start-time": ({ row }) => [new Date(row.started_at).toISOString()],
      status: ({ row }) => [row.state],
      "storage-tier": () => ["standard"],
      "transfer-type": () => [],
      "volume-id": ({ row }) => [shownVolumeId(row)],
      "volume-size": ({ row }) => [String(sizeGib(row))],
    },
  };
}
