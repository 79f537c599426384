/** TagResource, UntagResource and ListTagsForResource: of policies. */
import { parsePolicyArn } from "../../gateway/arn.ts";
import { PolicyError } from "../../gateway/policies.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";
import { tagsOf } from "./policies.ts";

interface Resource {
  readonly ResourceArn: string;
}

export const tagResource: Operation<
  Services,
  Resource & { readonly Tags: Readonly<Record<string, string>> },
  object
> = {
  name: "TagResource",
  async handle({ policies, realm }, { ResourceArn, Tags }) {
    await policies.putTags(idOf(realm, ResourceArn), tagsOf(Tags));
    return {};
  },
};

export const untagResource: Operation<Services, Resource & { readonly TagKeys: readonly string[] }, object> =
  {
    name: "UntagResource",
    async handle({ policies, realm }, { ResourceArn, TagKeys }) {
      await policies.removeTags(idOf(realm, ResourceArn), TagKeys);
      return {};
    },
  };

export const listTagsForResource: Operation<Services, Resource, object> = {
  name: "ListTagsForResource",
  async handle({ policies, realm }, { ResourceArn }) {
    const { tags } = await policies.get(idOf(realm, ResourceArn));
    return { Tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])) };
  },
};

function idOf(realm: Services["realm"], arn: string): string {
  const id = parsePolicyArn(realm, arn);
  if (id === undefined) throw new PolicyError("notFound", `The resource ${arn} does not exist.`, [arn]);
  return id;
}
