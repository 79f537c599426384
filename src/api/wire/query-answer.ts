/**
 * Answers of the EC2 Query protocol: members as XML elements, by the SDK's own schemas. What is known of a schema is worked
 * out once: lists are long, and are asked for often.
 */
import { NormalizedSchema } from "@smithy/core/schema";

type Encoder = (value: unknown) => string;
type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];

const encoders = new Map<SchemaRef, Encoder>();

/** The members of the value as elements, without one around them. */
export function membersOf(schema: SchemaRef, value: unknown): string {
  let encoder = encoders.get(schema);
  if (encoder === undefined) {
    encoder = encoderOf(NormalizedSchema.of(schema));
    encoders.set(schema, encoder);
  }
  return encoder(value);
}

/** Escapes what XML gives a meaning to, and puts something else in the place of what it can't hold. */
export function escapeXml(text: string): string {
  return PLAIN.test(text)
    ? text
    : text
        .replace(NO_XML, "\uFFFD")
        .replace(/[<>&"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const PLAIN = /^[\w .:/=+@*,;()-]*$/;
/** What no XML 1.0 document may hold, however it is written: one such character and no client reads the answer. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NO_XML = /[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]|\p{Cs}/gu;

function encoderOf(schema: NormalizedSchema): Encoder {
  if (schema.isStructSchema()) return structureEncoder(schema);
  if (schema.isListSchema()) return listEncoder(schema);
  if (schema.isTimestampSchema()) return (value) => (value as Date).toISOString();
  return (value) => escapeXml(String(value));
}

function structureEncoder(schema: NormalizedSchema): Encoder {
  let members: { readonly member: string; readonly open: string; readonly close: string; encode: Encoder }[];
  return (value) => {
    // Not before it is needed: a structure may hold itself.
    members ??= [...schema.structIterator()].map(([member, memberSchema]) => {
      const name = nameOf(memberSchema) ?? member;
      return { member, open: `<${name}>`, close: `</${name}>`, encode: encoderOf(memberSchema) };
    });
    let xml = "";
    for (const { member, open, close, encode } of members) {
      const each = (value as Record<string, unknown>)[member];
      if (each !== undefined && each !== null) xml += open + encode(each) + close;
    }
    return xml;
  };
}

function listEncoder(schema: NormalizedSchema): Encoder {
  const itemSchema = schema.getValueSchema();
  const name = nameOf(itemSchema) ?? "member";
  const encode = encoderOf(itemSchema);
  return (value) => {
    let xml = "";
    for (const item of value as readonly unknown[]) xml += `<${name}>${encode(item)}</${name}>`;
    return xml;
  };
}

function nameOf(schema: NormalizedSchema): string | undefined {
  return (schema.getMergedTraits() as { xmlName?: string }).xmlName;
}
