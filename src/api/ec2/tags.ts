/** CreateTags, DeleteTags and DescribeTags: of snapshots and of volumes. */
import type {
  CreateTagsRequest,
  DeleteTagsRequest,
  DescribeTagsRequest,
  DescribeTagsResult,
  ResourceType,
  TagDescription,
} from "@aws-sdk/client-ec2";
import type { Services } from "../../gateway/services.ts";
import { Ec2Error } from "../ec2-error.ts";
import type { Operation } from "../operation.ts";
import { TAGS_MAX } from "../tags.ts";
import {
  checkedSnapshotId,
  checkedTags,
  checkedVolumeId,
  dryRun,
  snapshotNotFound,
  volumeNotFound,
} from "./checks.ts";
import { type FilterTable, filterOf, literalsOf } from "./filters.ts";
import { pageOf } from "./paging.ts";

const RESOURCES_MAX = 1000;

type TagPair = { readonly key: string; readonly value: string };

/** Something with tags: what it has, and how that is changed. */
interface Tagged {
  readonly tags: readonly TagPair[];
  change(put: readonly TagPair[], remove: readonly string[]): Promise<void>;
}

export const createTags: Operation<Services, CreateTagsRequest, object> = {
  name: "CreateTags",
  async handle(services, { Resources, Tags, DryRun }) {
    const tags = checkedTags(Tags);
    const resources = await find(services, Resources);
    for (const { tags: present } of resources) {
      if (new Set([...present, ...tags].map(({ key }) => key)).size > TAGS_MAX)
        throw new Ec2Error(
          "TagLimitExceeded",
          `The maximum number of Tags for a resource has been reached: ${TAGS_MAX}.`,
        );
    }
    if (DryRun === true) throw dryRun();
    for (const resource of resources) await resource.change(tags, []);
    return {};
  },
};

/** DeleteTags: a tag given with a value goes only if it has that value; without tags all go. */
export const deleteTags: Operation<Services, DeleteTagsRequest, object> = {
  name: "DeleteTags",
  async handle(services, { Resources, Tags, DryRun }) {
    const resources = await find(services, Resources);
    if (DryRun === true) throw dryRun();
    const goes = (tag: TagPair) =>
      Tags === undefined || Tags.some((one) => one.Key === tag.key && (one.Value ?? tag.value) === tag.value);
    for (const resource of resources) {
      const keys = resource.tags.filter(goes).map(({ key }) => key);
      if (keys.length > 0) await resource.change([], keys);
    }
    return {};
  },
};

export const describeTags: Operation<Services, DescribeTagsRequest, DescribeTagsResult> = {
  name: "DescribeTags",
  async handle({ snapshots, tags }, input) {
    if (input.DryRun === true) throw dryRun();
    const passes = filterOf(input.Filters, FILTERS);
    const resources = await taggedResources(snapshots, tags, literalsOf(input.Filters, "resource-id"));
    const inOrder = function* (after: string): Generator<TagDescription> {
      const afterId = after.slice(0, after.indexOf(" "));
      for (const { id, type, pairs } of resources) {
        if (id < afterId) continue;
        const byKey = pairs.length < 2 ? pairs : [...pairs].sort((a, b) => (a.key < b.key ? -1 : 1));
        for (const { key, value } of byKey)
          yield { Key: key, Value: value, ResourceId: id, ResourceType: type };
      }
    };
    const { page, nextToken } = pageOf(
      inOrder,
      ({ ResourceId, Key }) => `${ResourceId} ${Key}`,
      input,
      passes,
    );
    return { Tags: page, NextToken: nextToken };
  },
};

interface TaggedResource {
  readonly id: string;
  readonly type: ResourceType;
  readonly pairs: readonly TagPair[];
}

/** All that has tags, or what of `ids` has, by their ids. */
async function taggedResources(
  snapshots: Services["snapshots"],
  tags: Services["tags"],
  ids: readonly string[] | undefined,
): Promise<TaggedResource[]> {
  const [views, ofVolumes] = await Promise.all([
    ids === undefined ? snapshots.list() : snapshots.listNamed(ids),
    tags.ofVolumes(ids?.filter((id) => id.startsWith("vol-"))),
  ]);
  const found: TaggedResource[] = views.map(({ row, tags: pairs }) => ({
    id: row.id,
    type: "snapshot",
    pairs,
  }));
  for (const [id, pairs] of ofVolumes) found.push({ id, type: "volume", pairs });
  return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

const FILTERS: FilterTable<TagDescription> = {
  tagsOf: ({ Key = "", Value = "" }) => [{ key: Key, value: Value }],
  names: {
    key: ({ Key = "" }) => [Key],
    value: ({ Value = "" }) => [Value],
    "resource-id": ({ ResourceId = "" }) => [ResourceId],
    "resource-type": ({ ResourceType = "" }) => [ResourceType],
  },
};

async function find(services: Services, ids: readonly string[] | undefined): Promise<Tagged[]> {
  if ((ids?.length ?? 0) > RESOURCES_MAX)
    throw new Ec2Error("InvalidParameterValue", `At most ${RESOURCES_MAX} resources at a time.`);
  const found: Tagged[] = [];
  for (const text of new Set(ids)) {
    if (text.toLowerCase().startsWith("snap-")) found.push(await snapshotOf(services, text));
    else if (text.toLowerCase().startsWith("vol-")) found.push(await volumeOf(services, text));
    else throw new Ec2Error("InvalidID", `The ID '${text}' is not valid`);
  }
  return found;
}

async function snapshotOf({ snapshots }: Services, text: string): Promise<Tagged> {
  const id = checkedSnapshotId(text);
  const view = await snapshots.view(id);
  if (view === undefined) throw snapshotNotFound(text);
  return { tags: view.tags, change: (put, remove) => snapshots.changeTags(id, put, remove) };
}

async function volumeOf({ volumes, tags }: Services, text: string): Promise<Tagged> {
  const id = checkedVolumeId(text);
  const row = (await volumes.list()).find((volume) => volume.id === id && volume.state !== "deleting");
  if (row === undefined) throw volumeNotFound(text);
  const arn = volumes.arnOf(row);
  return {
    tags: await tags.list(arn),
    async change(put, remove) {
      await tags.add(arn, put);
      await tags.remove(arn, remove);
    },
  };
}
