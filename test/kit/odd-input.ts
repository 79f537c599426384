/**
 * Requests of random shape: now right, now odd, for services whose members stand in forms, paths and headers. What they
 * find is an answer that is an internal error, or none.
 */
import type { ServiceModel } from "../../src/api/wire/validator.ts";
import type { SeededRandom } from "./seeded-random.ts";

const ODD: readonly unknown[] = [
  ...[
    "",
    " ",
    "\u0000",
    "a".repeat(3000),
    "ß".repeat(200),
    "\u{1F4BE}",
    "\ud800",
    "%00",
    "<a>&'",
    "null",
    "{}",
  ],
  ...["-1", "0", "1", "1e9", "99999999999999999999", "NaN", "true", "2026-01-01T00:00:00Z", "self", "all"],
  ...[null, true, 0, -1, 1.5, 1e308, 2 ** 53, [], {}, [[]], [null], [{}]],
];
const MALFORMED = ["", "{", "[]", "null", '{"a":', "[".repeat(5000)];
const DEPTH_MAX = 6;

/** Chance of something odd in place of each value, in per cent. */
const ODD_PERCENT = 2;

/** A value for the shape. `known` are texts that name something, and stand in for most of the texts. */
export function oddValue(
  model: ServiceModel,
  name: string,
  random: SeededRandom,
  known: readonly string[],
  depth = 0,
): unknown {
  const shape = model.shapes[name];
  const below = (member: string) => oddValue(model, member, random, known, depth + 1);
  if (shape === undefined || depth > DEPTH_MAX || random.below(100) < ODD_PERCENT) return random.pick(ODD);
  switch (shape.type) {
    case "structure": {
      const members = Object.entries(shape.members ?? {}).filter(([member]) =>
        // Most operations do nothing where it is set.
        member === "DryRun"
          ? random.below(20) === 0
          : shape.required?.includes(member) || random.below(3) > 0,
      );
      return Object.fromEntries(members.map(([member, of]) => [member, below(of)]));
    }
    case "list":
      return Array.from({ length: random.below(50) === 0 ? 300 : random.below(3) }, () =>
        below(shape.member ?? ""),
      );
    case "map":
      return { k: below(shape.value ?? ""), [String(random.pick(ODD))]: below(shape.value ?? "") };
    case "boolean":
      return random.below(2) === 0;
    case "integer":
    case "long":
    case "double":
      return random.pick([shape.min ?? 0, shape.max ?? 10, 1, 2, 24, 100]);
    case "timestamp":
      return "2027-01-01T00:00:00Z";
    default:
      return shape.enum === undefined
        ? random.pick(random.below(5) === 0 ? (ODD as string[]) : known)
        : random.pick(shape.enum);
  }
}

/** A request to an operation of a REST service. */
export function oddRestRequest(
  model: ServiceModel,
  operation: string,
  random: SeededRandom,
  known: readonly string[],
): { method: string; path: string; headers: Record<string, string>; body: string } {
  const { method, uri } = model.rest?.[operation] ?? { method: "GET", uri: "/" };
  const name = model.operations[operation] ?? "";
  const value = oddValue(model, name, random, known);
  const input = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const { places = {}, members = {} } = model.shapes[name] ?? {};
  const headers: Record<string, string> = { "content-type": "application/json" };
  const body: Record<string, unknown> = {};
  const query: string[] = [];
  let path = uri;
  let payload: string | undefined;
  for (const member of Object.keys(members)) {
    const place = places[member];
    const each = input[member];
    const at = place?.name ?? member;
    if (place?.in === "uri") {
      const isText = typeof each === "string" || typeof each === "number";
      path = path.replace(`{${at}}`, isText && each !== "" ? encode(String(each)) : "x");
    } else if (place?.in === "payload") payload = "x".repeat(random.chance(0.3) ? 512 * 1024 : 3);
    else if (each === undefined) continue;
    else if (place?.in === "querystring") query.push(`${at}=${encode(String(each))}`);
    else if (place?.in === "header") headers[at] = encode(String(each)).slice(0, 200);
    else body[member] = each;
  }
  const hasNoBody = method === "GET" || method === "DELETE";
  const text = random.chance(0.05) ? random.pick(MALFORMED) : JSON.stringify(body);
  return {
    method,
    path: query.length === 0 ? path : `${path}?${query.join("&")}`,
    headers,
    body: payload ?? (hasNoBody ? "" : text),
  };
}

/** A form for an operation of EC2. */
export function oddForm(
  model: ServiceModel,
  operation: string,
  random: SeededRandom,
  known: readonly string[],
): string {
  const fields: [string, string][] = [["Action", operation]];
  const add = (name: string, value: unknown): void => {
    if (Array.isArray(value)) for (const [i, item] of value.entries()) add(`${name}.${i + 1}`, item);
    else if (typeof value === "object" && value !== null)
      for (const [member, each] of Object.entries(value))
        add(name === "" ? member : `${name}.${member}`, each);
    else {
      fields.push([name, String(value)]);
      // Lists have the name of one of their items in forms.
      if (/s\.\d/.test(name)) fields.push([name.replace(/s\.(?=\d)/g, "."), String(value)]);
    }
  };
  add("", oddValue(model, model.operations[operation] ?? "", random, known));
  return new URLSearchParams(fields.slice(0, 5000)).toString();
}

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
