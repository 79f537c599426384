/** Inputs made from a service model: one that is valid, and one for every way to violate one of its constraints. */
import { strict as assert } from "node:assert";
import { compilePattern, type ServiceModel } from "../../src/api/wire/validator.ts";

type Shape = ServiceModel["shapes"][string];

export interface Violation {
  /** The member and what is wrong with it. */
  readonly title: string;
  readonly input: unknown;
  readonly error: "ValidationException" | "SerializationException";
  /** Of the error's message. */
  readonly message: RegExp;
}

const ARN = "arn:aws:storagegateway:us-east-1:000000000000:gateway/sgw-00000000";
/** Texts that match patterns, at any length that the pattern allows: the part in the middle is repeated. */
const TEXTS: readonly (readonly [before: string, repeated: string, after: string])[] = [
  ["", "a", ""],
  [`${ARN}`, "0", "/volume/vol-00000000"],
  ["snap-", "0", ""],
  ["vol-", "0", ""],
  ["alias/", "k", ""],
  ["policy-", "0", ""],
];
/** Lengths to begin with, where the shortest that the model allows does not fit the pattern. */
const LENGTHS = [13, 90, 12];

/** An input with every member, each of them good. */
export function validInput(model: ServiceModel, operation: string): Record<string, unknown> {
  const shape = model.operations[operation];
  return shape === undefined || shape === null ? {} : (valid(model, shape) as Record<string, unknown>);
}

/** Every constraint of every member, violated once, with everything else good. */
export function violations(model: ServiceModel, operation: string): Violation[] {
  const shape = model.operations[operation];
  if (shape === undefined || shape === null) return [];
  const base = validInput(model, operation);
  return wrongs(model, shape, "", "").map(({ put, ...rest }) => ({ ...rest, input: put(base) }));
}

interface Wrong extends Omit<Violation, "input"> {
  /** Puts the wrong value into its place of a whole input. */
  put(whole: unknown): unknown;
}

function valid(model: ServiceModel, name: string): unknown {
  const shape = shapeOf(model, name);
  switch (shape.type) {
    case "structure":
      return Object.fromEntries(
        Object.entries(shape.members ?? {}).map(([member, each]) => [member, valid(model, each)]),
      );
    case "list":
      return Array.from({ length: Math.max(shape.min ?? 1, 1) }, () => valid(model, shape.member ?? ""));
    case "map":
      return {};
    case "boolean":
      return true;
    case "integer":
    case "long":
    case "double":
      return shape.min ?? 1;
    case "timestamp":
      return 1_700_000_000;
    default:
      return shape.enum?.[0] ?? shortest(name, shape);
  }
}

function shortest(name: string, shape: Shape): string {
  for (const length of [Math.max(shape.min ?? 1, 1), ...LENGTHS]) {
    const found = text(shape, length);
    if (found !== undefined) return found;
  }
  assert.fail(`no text of ${name} is known that matches ${shape.pattern}: add one`);
}

/** A text of that length that matches the shape's pattern; undefined where none is known. */
function text(shape: Shape, length: number): string | undefined {
  const { pattern } = shape;
  return TEXTS.map(([before, repeated, after]) => {
    const made = before + repeated.repeat(Math.max(0, length - before.length - after.length)) + after;
    return made.length === length ? made : "";
  }).find((made) => made !== "" && (pattern === undefined || compilePattern(pattern).test(made)));
}

function shapeOf(model: ServiceModel, name: string): Shape {
  const shape = model.shapes[name];
  assert(shape !== undefined, `no shape ${name}`);
  return shape;
}

/** The wrong values of a shape at `path`, as the service spells it, and `at`, as the caller does. */
function wrongs(model: ServiceModel, name: string, path: string, at: string): Wrong[] {
  const shape = shapeOf(model, name);
  const found: Wrong[] = [];
  const add = (what: string, value: unknown, constraint: string) =>
    found.push({
      title: `${at}: ${what}`,
      error: "ValidationException",
      message: new RegExp(`Value at '${quoted(path)}' failed to satisfy constraint: ${quoted(constraint)}`),
      put: () => value,
    });
  if (at !== "") {
    found.push({
      title: `${at}: another type`,
      error: "SerializationException",
      message: /./,
      put: () => (shape.type === "string" ? 7 : "text"),
    });
  }
  const { min, max, pattern, enum: values } = shape;
  if (shape.type === "string") {
    const greater = (limit: number) => `Member must have length greater than or equal to ${limit}`;
    const less = (limit: number) => `Member must have length less than or equal to ${limit}`;
    if (min !== undefined && min > 0) add("too short", "a".repeat(min - 1), greater(min));
    if (max !== undefined) add("too long", text(shape, max + 1) ?? "a".repeat(max + 1), less(max));
    if (pattern !== undefined) {
      const wrong = "\u0007".repeat(Math.max(min ?? 1, 1));
      add("another pattern", wrong, `Member must satisfy regular expression pattern: ${pattern}`);
    }
    if (values !== undefined) {
      add("not in the enumeration", "Other", `Member must satisfy enum value set: [${values.join(", ")}]`);
    }
  }
  if (["integer", "long", "double"].includes(shape.type)) {
    if (min !== undefined)
      add("too small", min - 1, `Member must have value greater than or equal to ${min}`);
    if (max !== undefined) add("too large", max + 1, `Member must have value less than or equal to ${max}`);
  }
  if (shape.type === "list") {
    const items = (count: number) => Array.from({ length: count }, () => valid(model, shape.member ?? ""));
    if (min !== undefined && min > 0) {
      add("too few", items(min - 1), `Member must have length greater than or equal to ${min}`);
    }
    if (max !== undefined)
      add("too many", items(max + 1), `Member must have length less than or equal to ${max}`);
    for (const wrong of wrongs(model, shape.member ?? "", `${path}.1.member`, `${at}[0]`)) {
      found.push({ ...wrong, put: (whole) => replaceFirst(whole, wrong.put) });
    }
  }
  if (shape.type === "structure") found.push(...wrongMembers(model, shape, path, at));
  return found;
}

function wrongMembers(model: ServiceModel, shape: Shape, path: string, at: string): Wrong[] {
  const found: Wrong[] = [];
  for (const [member, name] of Object.entries(shape.members ?? {})) {
    const lower = member.charAt(0).toLowerCase() + member.slice(1);
    const memberPath = path === "" ? lower : `${path}.${lower}`;
    const memberAt = at === "" ? member : `${at}.${member}`;
    if (shape.required?.includes(member)) {
      found.push({
        title: `${memberAt}: missing`,
        error: "ValidationException",
        message: new RegExp(`Value at '${quoted(memberPath)}' failed .*Member must not be null`),
        put: (whole) => ({ ...(whole as object), [member]: undefined }),
      });
    }
    for (const wrong of wrongs(model, name, memberPath, memberAt)) {
      found.push({
        ...wrong,
        put: (whole) => ({
          ...(whole as object),
          [member]: wrong.put((whole as Record<string, unknown>)[member]),
        }),
      });
    }
  }
  return found;
}

function replaceFirst(whole: unknown, put: (item: unknown) => unknown): unknown[] {
  const [first, ...rest] = whole as unknown[];
  return [put(first), ...rest];
}

function quoted(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}
