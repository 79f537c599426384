/**
 * Filters of the Describe operations: all of them must match, each by any of its values. In a value `*` stands for any
 * characters, `?` for one, and a backslash takes the meaning from what follows it.
 */
import type { Filter } from "@aws-sdk/client-ec2";
import { Ec2Error } from "../ec2-error.ts";

/** What a resource can be filtered by. */
export interface FilterTable<T> {
  readonly names: Readonly<Record<string, (item: T) => readonly string[]>>;
  /** For `tag:KEY` and `tag-key`. */
  readonly tagsOf?: (item: T) => readonly { readonly key: string; readonly value: string }[];
}

/** Ids are compared without case, as Storage Gateway spells them in upper case. What is shown here is in lower case. */
const OF_IDS = /^(volume|snapshot|resource|attachment\.instance)-id$/;
const FILTERS_MAX = 50;
const VALUES_MAX = 200;

/** The items that match. Throws an Ec2Error for a filter that the resource does not have, also where there is no item. */
export function applyFilters<T>(
  items: readonly T[],
  filters: readonly Filter[] | undefined,
  table: FilterTable<T>,
): T[] {
  return items.filter(filterOf(filters, table));
}

/** Whether an item matches. Throws an Ec2Error for a filter that the resource does not have. */
export function filterOf<T>(
  filters: readonly Filter[] | undefined,
  table: FilterTable<T>,
): (item: T) => boolean {
  if ((filters?.length ?? 0) > FILTERS_MAX)
    throw new Ec2Error("FilterLimitExceeded", "There are too many filters.");
  const tests = (filters ?? []).map(({ Name = "", Values = [] }) => {
    if (Values.length > VALUES_MAX)
      throw new Ec2Error("FilterLimitExceeded", "There are too many filter values.");
    const valuesOf = valuesFor(table, Name);
    if (valuesOf === undefined)
      throw new Ec2Error("InvalidParameterValue", `The filter '${Name}' is invalid`);
    const matchers = spelled(Name, Values).map(matcher);
    return (item: T) => valuesOf(item).some((value) => matchers.some((matches) => matches(value)));
  });
  return (item) => tests.every((test) => test(item));
}

/** The values of a filter where it is there and none of them is a pattern: items can be looked up by them. Each once. */
export function literalsOf(filters: readonly Filter[] | undefined, name: string): string[] | undefined {
  const values = filters?.find(({ Name }) => Name === name)?.Values;
  const literals = values && spelled(name, values).map(partsOf);
  if (literals?.every((parts) => parts.every((part) => typeof part === "string")) !== true) return undefined;
  return [...new Set(literals.map((parts) => parts.join("")))];
}

function spelled(name: string, values: readonly string[]): readonly string[] {
  return OF_IDS.test(name) ? values.map((value) => value.toLowerCase()) : values;
}

function valuesFor<T>(table: FilterTable<T>, name: string): ((item: T) => readonly string[]) | undefined {
  if (Object.hasOwn(table.names, name)) return table.names[name];
  const { tagsOf } = table;
  if (tagsOf === undefined) return undefined;
  if (name === "tag-key") return (item) => tagsOf(item).map(({ key }) => key);
  if (!name.startsWith("tag:")) return undefined;
  const key = name.slice("tag:".length);
  return (item) => tagsOf(item).flatMap((tag) => (tag.key === key ? [tag.value] : []));
}

const ANY = Symbol("*");
const ONE = Symbol("?");
type Part = typeof ANY | typeof ONE | string;

/** Whether a text is what the pattern says. In time of the product of both lengths at most, whatever the pattern. */
export function matcher(pattern: string): (text: string) => boolean {
  const parts = partsOf(pattern);
  if (parts.every((part) => typeof part === "string")) {
    const whole = parts.join("");
    return (text) => text === whole;
  }
  return (text) => matches(parts, [...text]);
}

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  const characters = [...pattern];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? "";
    const next = characters[i + 1];
    if (character === "\\" && next !== undefined) {
      parts.push(next);
      i += 1;
    } else parts.push(character === "*" ? ANY : character === "?" ? ONE : character);
  }
  return parts;
}

function matches(parts: readonly Part[], text: readonly string[]): boolean {
  let part = 0;
  let at = 0;
  // Where the last star was, and how much it has taken so far: only the last one ever has to take more.
  let star = -1;
  let taken = 0;
  while (at < text.length) {
    const wanted = parts[part];
    if (wanted === ANY) {
      star = part;
      taken = at;
      part += 1;
    } else if (wanted !== undefined && (wanted === ONE || wanted === text[at])) {
      part += 1;
      at += 1;
    } else if (star >= 0) {
      taken += 1;
      at = taken;
      part = star + 1;
    } else return false;
  }
  return parts.slice(part).every((rest) => rest === ANY);
}
