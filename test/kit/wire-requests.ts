/** An operation's input as a request of its protocol, whatever the input is: the wrong things too. */
import { NormalizedSchema } from "@smithy/core/schema";
import type { ServiceModel } from "../../src/api/wire/validator.ts";
import type { RawRequest } from "../clients/signed-request.ts";

/** Later than this there are no dates. */
const SECONDS_MAX = 8e12;

type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];

/** A form of the EC2 Query protocol, with the names that the SDK's schemas have. */
export async function queryRequest(action: string, input: unknown): Promise<RawRequest> {
  const ec2 = (await import("@aws-sdk/client-ec2")) as unknown as Record<string, unknown[]>;
  const inputSchema = ec2[`${action}$`]?.at(-2);
  const resolved = (typeof inputSchema === "function" ? inputSchema() : inputSchema) as SchemaRef;
  const form = new URLSearchParams({ Action: action, Version: "2016-11-15" });
  write(form, NormalizedSchema.of(resolved), "", input);
  return {
    service: "ec2",
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    body: form.toString(),
  };
}

function write(form: URLSearchParams, schema: NormalizedSchema, name: string, value: unknown): void {
  if (value === undefined) return;
  if (schema.isListSchema() && Array.isArray(value)) {
    for (const [i, item] of value.entries()) write(form, schema.getValueSchema(), `${name}.${i + 1}`, item);
  } else if (schema.isStructSchema() && typeof value === "object" && value !== null) {
    for (const [member, memberSchema] of schema.structIterator()) {
      const traits = memberSchema.getMergedTraits() as { ec2QueryName?: string; xmlName?: string };
      const own = traits.ec2QueryName ?? traits.xmlName ?? member;
      const field = own.charAt(0).toUpperCase() + own.slice(1);
      write(form, memberSchema, name === "" ? field : `${name}.${field}`, memberOf(value, member));
    }
  } else if (schema.isTimestampSchema() && typeof value === "number" && Math.abs(value) < SECONDS_MAX)
    form.append(name, new Date(value * 1000).toISOString());
  else form.append(name, asText(value));
}

/** REST with JSON; undefined where a path can't say the input: a part of it that is missing, or empty. */
export function restRequest(
  { service, model }: { readonly service: string; readonly model: ServiceModel },
  operation: string,
  input: unknown,
): RawRequest | undefined {
  const rest = model.rest?.[operation];
  const shape = model.shapes[model.operations[operation] ?? ""];
  let path = rest?.uri ?? "/";
  const query = new URLSearchParams();
  const headers: Record<string, string> = { "content-type": "application/json" };
  const members: Record<string, unknown> = {};
  let payload: string | undefined;
  for (const member of Object.keys(shape?.members ?? {})) {
    const value = memberOf(input, member);
    const place = shape?.places?.[member];
    const name = place?.name ?? "";
    if (place?.in === "uri") {
      const text = value === undefined ? "" : asText(value);
      if (text === "" || text === "." || text === "..") return undefined;
      path = path.replace(`{${name}}`, () => encodeURIComponent(text.toWellFormed()));
    } else if (value === undefined) continue;
    else if (place === undefined) members[member] = value;
    else if (place.in === "querystring") {
      for (const one of Array.isArray(value) ? value : [value]) query.append(name, asText(one));
    } else if (place.in === "header") headers[name] = asText(value).replaceAll(/[^\t\x20-\x7e]/g, "?");
    else payload = asText(value);
  }
  const hasBody = rest?.method !== "GET" && rest?.method !== "DELETE";
  return {
    service,
    method: rest?.method ?? "POST",
    path: query.size === 0 ? path : `${path}?${query.toString().replaceAll("+", "%20")}`,
    headers,
    ...(hasBody && { body: payload ?? JSON.stringify(members) }),
  };
}

function memberOf(value: unknown, member: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, member)) return undefined;
  return (value as Record<string, unknown>)[member];
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
