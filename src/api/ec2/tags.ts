/** CreateTags, DeleteTags and DescribeTags of snapshots. */
import type {
  CreateTagsRequest,
  DeleteTagsRequest,
  DescribeTagsRequest,
  DescribeTagsResult,
  TagDescription,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { checkedSnapshotId, dryRun } from "./describe-snapshots.ts";
import { applyFilters } from "./filters.ts";

const TAGS_MAX = 50;

export const createTags: Operation<Services, CreateTagsRequest, object> = {
  name: "CreateTags",
  async handle({ snapshots }, { Resources, Tags, DryRun }) {
    const ids = (Resources ?? []).map(checkedSnapshotId);
    const tags = checkTags(Tags);
    if (DryRun === true) throw dryRun();
    const views = new Map((await snapshots.list()).map((view) => [view.row.id, view]));
    for (const id of ids) {
      const keys = new Set([...(views.get(id)?.tags ?? []), ...tags].map(({ key }) => key));
      if (keys.size > TAGS_MAX)
        throw new Ec2Error("TagLimitExceeded", `A resource has at most ${TAGS_MAX} tags.`);
    }
    for (const id of ids) await snapshots.changeTags(id, tags, []);
    return {};
  },
};

/** DeleteTags: a tag given with a value goes only if it has that value; without tags all go. */
export const deleteTags: Operation<Services, DeleteTagsRequest, object> = {
  name: "DeleteTags",
  async handle({ snapshots }, { Resources, Tags, DryRun }) {
    const ids = (Resources ?? []).map(checkedSnapshotId);
    if (DryRun === true) throw dryRun();
    const views = new Map((await snapshots.list()).map((view) => [view.row.id, view]));
    for (const id of ids) {
      const present = views.get(id)?.tags ?? [];
      const goes = (tag: { key: string; value: string }) =>
        Tags === undefined ||
        Tags.some((one) => one.Key === tag.key && (one.Value ?? tag.value) === tag.value);
      await snapshots.changeTags(
        id,
        [],
        present.filter(goes).map(({ key }) => key),
      );
    }
    return {};
  },
};

export const describeTags: Operation<Services, DescribeTagsRequest, DescribeTagsResult> = {
  name: "DescribeTags",
  async handle({ snapshots }, { Filters, DryRun }) {
    if (DryRun === true) throw dryRun();
    const all = (await snapshots.list()).flatMap(({ row, tags }) =>
      tags.map(
        ({ key, value }): TagDescription => ({
          Key: key,
          Value: value,
          ResourceId: row.id,
          ResourceType: "snapshot",
        }),
      ),
    );
    return { Tags: applyFilters(all, Filters, valuesOf) };
  },
};

function valuesOf(tag: TagDescription, name: string): readonly string[] | undefined {
  if (name.startsWith("tag:")) return tag.Key === name.slice("tag:".length) ? [tag.Value ?? ""] : [];
  switch (name) {
    case "key":
      return [tag.Key ?? ""];
    case "value":
      return [tag.Value ?? ""];
    case "resource-id":
      return [tag.ResourceId ?? ""];
    case "resource-type":
      return [tag.ResourceType ?? ""];
    default:
      return undefined;
  }
}
