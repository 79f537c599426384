import type { DescribeSnapshotsRequest, DescribeSnapshotsResult } from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import type { SnapshotView } from "../../gateway/snapshots.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkedSnapshotId, dryRun, snapshotNotFound } from "./checks.ts";
import { applyFilters, type FilterTable } from "./filters.ts";
import { inPages } from "./paging.ts";
import { isRestorableBy } from "./snapshot-attributes.ts";
import { shownVolumeId, sizeGib, snapshotShape } from "./snapshot-shape.ts";

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
    const named = chooseByIds(await snapshots.list(), SnapshotIds);
    if (input.DryRun === true) throw dryRun();
    const isOwned =
      OwnerIds.length === 0 || OwnerIds.some((owner) => owner === "self" || owner === accountId);
    const allowed = named.filter(
      ({ row }) =>
        isOwned &&
        (RestorableByUserIds.length === 0 ||
          RestorableByUserIds.some((user) => isRestorableBy(row, user, accountId))),
    );
    const found = applyFilters(allowed, input.Filters, filtersOf(accountId));
    const { page, nextToken } = inPages(found, ({ row }) => row.id, input);
    return { Snapshots: page.map((view) => snapshotShape(view, accountId)), NextToken: nextToken };
  },
};

/** The snapshots of these ids, each once; all of them where no id is named. */
export function chooseByIds(all: readonly SnapshotView[], ids: readonly string[]): SnapshotView[] {
  if (ids.length === 0) return [...all];
  const byId = new Map(all.map((view) => [view.row.id, view]));
  return [...new Set(ids.map(checkedSnapshotId))].map((id) => {
    const view = byId.get(id);
    if (view === undefined) throw snapshotNotFound(id);
    return view;
  });
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
