/** Inputs made from a service model: one that is valid, and one for every way to violate one of its constraints. */
import { strict as assert } from "node:assert";
import { compilePattern, type ServiceModel } from "../../src/api/wire/validator.ts";

type Shape = ServiceModel["shapes"][string];

export interface Violation {
  /** The member and what is wrong with it. */
  readonly title: string;
  readonly input: unknown;
  /** The member is not there, is of another type, or breaks a constraint. */
  readonly kind: "missing" | "type" | "constraint";
  /** The member as services spell it in messages, and as the model does. */
  readonly path: string;
  readonly member: string;
  /** The type of its shape. */
  readonly shapeType: string;
  readonly constraint: string;
}

const ARN = "arn:aws:storagegateway:us-east-1:000000000000:gateway/sgw-00000000";
/** Texts that match patterns, at any length that the pattern allows: the part in the middle is repeated. */
const TEXTS: readonly (readonly [before: string, repeated: string, after: string])[] = [
  ...["us-east-1", "us-east-1a", "use1-az1", "00:00"].map((whole) => [whole, "", ""] as const),
  ["arn:aws:kms:us-east-1:000000000000:key/", "k", ""],
  ["arn:aws:iam::0:role/", "r", ""],
  ["arn:aws:dlm:us-east-1:0:policy/", "p", ""],
  ["cron(", "0", ")"],
  ["", "a", ""],
  [`${ARN}`, "0", "/volume/vol-00000000"],
  ["snap-", "0", ""],
  ["vol-", "0", ""],
  ["alias/", "k", ""],
  ["policy-", "0", ""],
  ["", "0", ""],
];
/** Patterns ask for no longer texts than this; their shapes may. */
const LENGTH_MAX = 120;
/** One of these is what a pattern does not match, if there is anything that it does not. */
const UNMATCHED = ["~", "\u0007", " ", ""];

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
  return wrongs(model, shape, "", "").map(({ put, ...rest }) => ({
    ...rest,
    member: /^\w*/.exec(rest.title)?.[0] ?? "",
    input: put(base),
  }));
}

interface Wrong extends Omit<Violation, "input" | "member"> {
  /** Puts the wrong value into its place of a whole input. */
  put(whole: unknown): unknown;
}

function wrongAt(
  title: string,
  path: string,
  what: Pick<Wrong, "kind" | "shapeType" | "constraint">,
  put: Wrong["put"],
): Wrong {
  return { title, path, ...what, put };
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
      return Object.fromEntries(entries(model, shape, Math.max(shape.min ?? 1, 1)));
    case "blob":
      return "";
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

/** Entries of a map, whose keys end differently. */
function entries(model: ServiceModel, shape: Shape, count: number): [string, unknown][] {
  const key = shortest(shape.key ?? "", shapeOf(model, shape.key ?? ""));
  return Array.from({ length: count }, (_, i) => [
    i === 0 ? key : `${key}${letters(i)}`,
    valid(model, shape.value ?? ""),
  ]);
}

/** A number written in letters: many patterns for keys have no digits. */
function letters(number: number): string {
  return [...String(number)].map((digit) => "abcdefghij"[Number(digit)]).join("");
}

function shortest(name: string, shape: Shape): string {
  const least = Math.max(shape.min ?? 1, 1);
  for (
    let length = least;
    length <= Math.max(least, Math.min(shape.max ?? LENGTH_MAX, LENGTH_MAX));
    length++
  ) {
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
    found.push(
      wrongAt(`${at}: ${what}`, path, { kind: "constraint", shapeType: shape.type, constraint }, () => value),
    );
  if (at !== "") {
    const other = shape.type === "string" ? 7 : "text";
    found.push(
      wrongAt(
        `${at}: another type`,
        path,
        { kind: "type", shapeType: shape.type, constraint: "" },
        () => other,
      ),
    );
  }
  const { min, max, pattern, enum: values } = shape;
  if (shape.type === "string") {
    const greater = (limit: number) => `Member must have length greater than or equal to ${limit}`;
    const less = (limit: number) => `Member must have length less than or equal to ${limit}`;
    if (min !== undefined && min > 0) add("too short", "a".repeat(min - 1), greater(min));
    if (max !== undefined) add("too long", text(shape, max + 1) ?? "a".repeat(max + 1), less(max));
    if (pattern !== undefined) {
      const wrong = UNMATCHED.map((one) => one.repeat(Math.max(min ?? 1, 1))).find(
        (one) => !compilePattern(pattern).test(one),
      );
      if (wrong !== undefined)
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
  if (shape.type === "map") {
    const size = (count: number) => Object.fromEntries(entries(model, shape, count));
    if (min !== undefined && min > 0)
      add("too few", size(min - 1), `Member must have length greater than or equal to ${min}`);
    if (max !== undefined)
      add("too many", size(max + 1), `Member must have length less than or equal to ${max}`);
    for (const wrong of wrongs(model, shape.key ?? "", `${path}.key`, `${at}.key`)) {
      // A key is a text, whatever is written for it.
      if (wrong.kind !== "type") found.push({ ...wrong, put: () => ({ [String(wrong.put(""))]: "a" }) });
    }
    const key = shortest(shape.key ?? "", shapeOf(model, shape.key ?? ""));
    for (const wrong of wrongs(model, shape.value ?? "", `${path}.${key}.member`, `${at}.${key}`))
      found.push({ ...wrong, put: () => ({ [key]: wrong.put("") }) });
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
      const { type } = shapeOf(model, name);
      const what = { kind: "missing", shapeType: type, constraint: "Member must not be null" } as const;
      const put = (whole: unknown) => ({ ...(whole as object), [member]: undefined });
      found.push(wrongAt(`${memberAt}: missing`, memberPath, what, put));
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
