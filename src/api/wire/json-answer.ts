/**
 * Answers of AWS JSON 1.1: a value as text, by the SDK's own schemas. What is known of a schema is worked out once: lists
 * are long, and are asked for often. Members that the schema does not have are left out, and so is what has no value.
 */
import { NormalizedSchema } from "@smithy/core/schema";

type Encoder = (value: unknown) => string;
type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];

const encoders = new Map<SchemaRef, Encoder>();

/** The JSON text of the value; times are seconds since the Unix epoch. */
export function jsonOf(schema: SchemaRef, value: unknown): string {
  let encoder = encoders.get(schema);
  if (encoder === undefined) {
    encoder = encoderOf(NormalizedSchema.of(schema));
    encoders.set(schema, encoder);
  }
  return encoder(value);
}

function encoderOf(schema: NormalizedSchema): Encoder {
  if (schema.isStructSchema()) return structureEncoder(schema);
  if (schema.isListSchema()) {
    const encode = encoderOf(schema.getValueSchema());
    return (value) => `[${(value as readonly unknown[]).map(encode).join(",")}]`;
  }
  if (schema.isMapSchema()) {
    const encode = encoderOf(schema.getValueSchema());
    return (value) => {
      const entries = Object.entries(value as object).filter(([, each]) => each !== undefined);
      return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${encode(each)}`).join(",")}}`;
    };
  }
  if (schema.isTimestampSchema()) return (value) => String((value as Date).getTime() / MS_PER_S);
  return (value) => JSON.stringify(value);
}

const MS_PER_S = 1000;

function structureEncoder(schema: NormalizedSchema): Encoder {
  let members: { readonly name: string; readonly start: string; readonly encode: Encoder }[];
  return (value) => {
    // Not before it is needed: a structure may hold itself.
    members ??= [...schema.structIterator()].map(([name, memberSchema]) => ({
      name,
      start: `${JSON.stringify(name)}:`,
      encode: encoderOf(memberSchema),
    }));
    let json = "";
    for (const { name, start, encode } of members) {
      const each = (value as Record<string, unknown>)[name];
      if (each !== undefined && each !== null) json += (json === "" ? "" : ",") + start + encode(each);
    }
    return `{${json}}`;
  };
}
