/** Bad input made from a service model by a seed: mostly of the right shape, with something odd in it. */
import type { ServiceModel } from "../../src/api/wire/validator.ts";
import { validInput } from "./model-cases.ts";
import type { SeededRandom } from "./seeded-random.ts";

const ODD: readonly unknown[] = [
  ...[null, true, 0, -1, 1.5, 1e308, 2 ** 53, -(2 ** 63)],
  ...["", " ", "\u0000", "a".repeat(3000), "ß".repeat(200), "\u{1F4BE}", "../../etc/passwd", "%00", "'; --"],
  ...["__proto__", "constructor", "NaN", "\ud800"],
  ...[[], {}, [[]], [null], [{}], { __proto__x: 1 }, Array.from({ length: 300 }, () => "x")],
];
const MALFORMED = ["", "{", "[]", "null", '{"a":', '{"GatewayARN":"\\u"}', "\u0000", "[".repeat(5000)];

/** A body for the operation: JSON, or nearly. `arns` are real ones, which stand in for some of the texts. */
export function fuzzedInput(
  model: ServiceModel,
  operation: string,
  random: SeededRandom,
  arns: readonly string[],
): string {
  if (random.chance(0.03)) return random.pick(MALFORMED);
  const text = JSON.stringify(mutate(validInput(model, operation), random, arns));
  if (!random.chance(0.03)) return text;
  const at = random.below(text.length);
  return text.slice(0, at) + random.pick(["", "\u0001", '"', "}", ","]) + text.slice(at + 1);
}

/** The same as a value, for protocols that are not JSON. `ids` stand in for some of the ids. */
export function fuzzed(
  model: ServiceModel,
  operation: string,
  random: SeededRandom,
  ids: readonly string[],
): unknown {
  return mutate(validInput(model, operation), random, ids);
}

function mutate(value: unknown, random: SeededRandom, arns: readonly string[]): unknown {
  if (random.chance(0.08)) return random.pick(ODD);
  if (Array.isArray(value)) {
    const items = value.map((item) => mutate(item, random, arns));
    return random.chance(0.1) ? [...items, ...items] : items;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value)
      .filter(() => !random.chance(0.15))
      .map(([name, member]) => [
        name,
        isArn(name) ? arn(member, random, arns) : mutate(member, random, arns),
      ]);
    if (random.chance(0.05)) members.push(["Unknown", random.pick(ODD)]);
    return Object.fromEntries(members);
  }
  if (typeof value === "number" && random.chance(0.5)) return random.below(200);
  return value;
}

function isArn(name: string): boolean {
  return /(ARN|Id)s?$/.test(name);
}

function arn(member: unknown, random: SeededRandom, arns: readonly string[]): unknown {
  if (random.chance(0.1)) return random.pick(ODD);
  if (Array.isArray(member)) return [random.pick(arns)];
  return random.chance(0.9)
    ? random.pick(arns)
    : `${random.pick(arns)}${random.pick(["/", "x", "/volume/vol-1"])}`;
}
