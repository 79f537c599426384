/** AddTagsToResource, RemoveTagsFromResource, ListTagsForResource: tags of gateways and volumes. */
import type {
  AddTagsToResourceInput,
  AddTagsToResourceOutput,
  ListTagsForResourceInput,
  ListTagsForResourceOutput,
  RemoveTagsFromResourceInput,
  RemoveTagsFromResourceOutput,
} from "@aws-sdk/client-storage-gateway";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { checkTags } from "../tags.ts";
import { page } from "./paging.ts";
import { tagShapes } from "./shapes.ts";

export const addTagsToResource: Operation<Services, AddTagsToResourceInput, AddTagsToResourceOutput> = {
  name: "AddTagsToResource",
  async handle({ tags }, { ResourceARN, Tags }) {
    await tags.add(ResourceARN ?? "", checkTags(Tags));
    return { ResourceARN };
  },
};

export const removeTagsFromResource: Operation<
  Services,
  RemoveTagsFromResourceInput,
  RemoveTagsFromResourceOutput
> = {
  name: "RemoveTagsFromResource",
  async handle({ tags }, { ResourceARN, TagKeys }) {
    await tags.remove(ResourceARN ?? "", TagKeys ?? []);
    return { ResourceARN };
  },
};

export const listTagsForResource: Operation<Services, ListTagsForResourceInput, ListTagsForResourceOutput> = {
  name: "ListTagsForResource",
  async handle({ tags }, { ResourceARN, Limit, Marker }) {
    const all = await tags.list(ResourceARN ?? "");
    const { items, marker } = page(all, ({ key }) => key, Marker, Limit);
    return { ResourceARN, Marker: marker, Tags: tagShapes(items) };
  },
};
