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
import { checkTags } from "../tags.ts";
import { checkedSnapshotId, checkedVolumeId, dryRun, snapshotNotFound, volumeNotFound } from "./checks.ts";
import { applyFilters, type FilterTable } from "./filters.ts";
import { inPages } from "./paging.ts";

const TAGS_MAX = 50;
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
    const tags = checkTags(Tags, "any");
    const resources = await find(services, Resources);
    for (const { tags: present } of resources) {
      if (new Set([...present, ...tags].map(({ key }) => key)).size > TAGS_MAX)
        throw new Ec2Error("TagLimitExceeded", `A resource has at most ${TAGS_MAX} tags.`);
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
    const all: TagDescription[] = [];
    const add = (id: string, type: ResourceType, pairs: readonly TagPair[]) => {
      for (const { key, value } of pairs)
        all.push({ Key: key, Value: value, ResourceId: id, ResourceType: type });
    };
    for (const { row, tags: pairs } of await snapshots.list()) add(row.id, "snapshot", pairs);
    for (const [id, pairs] of await tags.ofVolumes()) add(id, "volume", pairs);
    const found = applyFilters(all, input.Filters, FILTERS);
    const { page, nextToken } = inPages(found, ({ ResourceId, Key }) => `${ResourceId} ${Key}`, input);
    return { Tags: page, NextToken: nextToken };
  },
};

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
