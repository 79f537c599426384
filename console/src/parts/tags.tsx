import AttributeEditor from "@cloudscape-design/components/attribute-editor";
import Input from "@cloudscape-design/components/input";
import type { ReactNode } from "react";
import type { Tag } from "../api/queries.ts";

const TAGS_MAX = 50;
const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 256;
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

function keyProblem(tag: Tag, all: readonly Tag[]): string | undefined {
  if (tag.key === "") return tag.value === "" ? undefined : "A tag needs a key.";
  if (tag.key.length > KEY_LENGTH_MAX) return `At most ${KEY_LENGTH_MAX} characters.`;
  if (/^aws:/i.test(tag.key)) return "Keys that begin with aws: are reserved.";
  if (!CHARACTERS.test(tag.key)) return "Letters, digits, spaces and + - = . _ : / @ only.";
  if (all.filter(({ key }) => key === tag.key).length > 1) return "This key is there twice.";
  return undefined;
}

function valueProblem(tag: Tag): string | undefined {
  if (tag.value.length > VALUE_LENGTH_MAX) return `At most ${VALUE_LENGTH_MAX} characters.`;
  return CHARACTERS.test(tag.value) ? undefined : "Letters, digits, spaces and + - = . _ : / @ only.";
}

/** Whether the tags can be sent. Rows that were left empty don't count. */
export function areGood(tags: readonly Tag[]): boolean {
  return tags.every((tag) => keyProblem(tag, tags) === undefined && valueProblem(tag) === undefined);
}

/** The tags without the rows that were left empty. */
export function filledIn(tags: readonly Tag[]): Tag[] {
  return tags.filter(({ key }) => key !== "");
}

export function TagFields({
  tags,
  onChange,
}: {
  tags: readonly Tag[];
  onChange: (tags: Tag[]) => void;
}): ReactNode {
  const set = (index: number, change: Partial<Tag>) =>
    onChange(tags.map((tag, i) => (i === index ? { ...tag, ...change } : tag)));
  return (
    <AttributeEditor
      items={[...tags]}
      empty="No tags."
      addButtonText="Add a tag"
      removeButtonText="Remove"
      removeButtonAriaLabel={({ key }) => `Remove the tag ${key}`}
      disableAddButton={tags.length >= TAGS_MAX}
      onAddButtonClick={() => onChange([...tags, { key: "", value: "" }])}
      onRemoveButtonClick={({ detail }) => onChange(tags.filter((_, i) => i !== detail.itemIndex))}
      definition={[
        {
          label: "Key",
          control: (tag, i) => (
            <Input value={tag.key} onChange={({ detail }) => set(i, { key: detail.value })} />
          ),
          errorText: (tag) => keyProblem(tag, tags),
        },
        {
          label: "Value",
          control: (tag, i) => (
            <Input value={tag.value} onChange={({ detail }) => set(i, { value: detail.value })} />
          ),
          errorText: (tag) => valueProblem(tag),
        },
      ]}
    />
  );
}
