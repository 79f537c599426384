/** Forms of the EC2 Query protocol: `Filter.1.Name=…` as the members of shapes, by the SDK's own schemas. */
import { NormalizedSchema } from "@smithy/core/schema";
import { Ec2Error } from "../ec2-error.ts";

const FIELDS_MAX = 20_000;
const LIST_ITEMS_MAX = 1000;
const DEPTH_MAX = 24;
const SHOWN_CHARS = 64;

/** A name of a form with what is below it: looking something up takes no look at everything else. */
interface Field {
  text: string | undefined;
  readonly below: Map<string, Field>;
}

/** The structure that a form holds. Throws an Ec2Error for a value that is none of its member's type. */
export function parseForm(
  schema: Parameters<typeof NormalizedSchema.of>[0],
  form: URLSearchParams,
): Record<string, unknown> {
  const root: Field = { text: undefined, below: new Map() };
  let count = 0;
  for (const [name, text] of form) {
    count += 1;
    if (count > FIELDS_MAX)
      throw new Ec2Error("InvalidParameterValue", `A request has at most ${FIELDS_MAX} fields.`);
    const parts = name.split(".", DEPTH_MAX + 1);
    if (parts.length > DEPTH_MAX) continue;
    let field = root;
    for (const part of parts) {
      let next = field.below.get(part);
      if (next === undefined) {
        next = { text: undefined, below: new Map() };
        field.below.set(part, next);
      }
      field = next;
    }
    field.text ??= text;
  }
  return structure(NormalizedSchema.of(schema), root, "");
}

function structure(schema: NormalizedSchema, field: Field, path: string): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [member, memberSchema] of schema.structIterator()) {
    const name = formName(member, memberSchema);
    const below = field.below.get(name);
    if (below === undefined) continue;
    const found = parsed(memberSchema, below, path === "" ? name : `${path}.${name}`);
    if (found !== undefined) value[member] = found;
  }
  return value;
}

function parsed(schema: NormalizedSchema, field: Field, path: string): unknown {
  if (schema.isListSchema()) return list(schema, field, path);
  if (schema.isStructSchema()) return field.below.size === 0 ? undefined : structure(schema, field, path);
  const { text } = field;
  if (text === undefined) return undefined;
  if (schema.isBooleanSchema()) {
    if (!/^(true|false)$/i.test(text)) throw invalid(path, text);
    return text.toLowerCase() === "true";
  }
  if (schema.isNumericSchema()) {
    if (!/^-?\d{1,15}(\.\d+)?$/.test(text)) throw invalid(path, text);
    return Number(text);
  }
  if (schema.isTimestampSchema()) {
    const date = new Date(text);
    if (Number.isNaN(date.getTime())) throw invalid(path, text);
    return date;
  }
  return text;
}

/** The items 1, 2, 3 and so on, as far as they go without a gap. */
function list(schema: NormalizedSchema, field: Field, path: string): unknown[] | undefined {
  const items: unknown[] = [];
  for (let i = 1; i <= LIST_ITEMS_MAX; i++) {
    const below = field.below.get(String(i));
    if (below === undefined) break;
    const at = `${path}.${i}`;
    const item = parsed(schema.getValueSchema(), below, at);
    // A text where there has to be a structure, or the other way round.
    if (item === undefined) throw invalid(at, below.text ?? "");
    items.push(item);
  }
  return items.length > 0 ? items : undefined;
}

/** The member's name in a form: its query name, or its XML name with a capital first letter. */
function formName(member: string, schema: NormalizedSchema): string {
  const traits = schema.getMergedTraits() as { ec2QueryName?: string; xmlName?: string };
  const name = traits.ec2QueryName ?? traits.xmlName ?? member;
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function invalid(path: string, text: string): Ec2Error {
  return new Ec2Error("InvalidParameterValue", `Invalid value '${text.slice(0, SHOWN_CHARS)}' for ${path}.`);
}
