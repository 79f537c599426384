/** Filters of the Describe operations: all of them must match, each by any of its values; `*` and `?` are wild. */
import type { Filter } from "@aws-sdk/client-ec2";
import { Ec2Error } from "../ec2-error.ts";

/** The values that a resource has under a filter's name; undefined where the name is none. */
export type FilterValues<T> = (item: T, name: string) => readonly string[] | undefined;

const FILTERS_MAX = 50;
const VALUES_MAX = 200;

export function applyFilters<T>(
  items: readonly T[],
  filters: Filter[] | undefined,
  valuesOf: FilterValues<T>,
): T[] {
  let kept = [...items];
  if ((filters?.length ?? 0) > FILTERS_MAX)
    throw new Ec2Error("FilterLimitExceeded", "There are too many filters.");
  for (const { Name = "", Values = [] } of filters ?? []) {
    if (Values.length > VALUES_MAX)
      throw new Ec2Error("FilterLimitExceeded", "There are too many filter values.");
    const patterns = Values.map(wildcard);
    kept = kept.filter((item) => {
      const values = valuesOf(item, Name);
      if (values === undefined)
        throw new Ec2Error("InvalidParameterValue", `The filter '${Name}' is invalid`);
      return values.some((value) => patterns.some((pattern) => pattern.test(value)));
    });
    if (items.length === 0 && !isKnown(Name)) {
      throw new Ec2Error("InvalidParameterValue", `The filter '${Name}' is invalid`);
    }
  }
  return kept;
}

const KNOWN = new Set([
  "description",
  "encrypted",
  "owner-alias",
  "owner-id",
  "progress",
  "snapshot-id",
  "start-time",
  "status",
  "storage-tier",
  "transfer-type",
  "tag-key",
  "volume-id",
  "volume-size",
  "key",
  "value",
  "resource-id",
  "resource-type",
]);

function isKnown(name: string): boolean {
  return KNOWN.has(name) || name.startsWith("tag:");
}

/** A pattern without backtracking traps: runs of `*` are one. */
function wildcard(text: string): RegExp {
  const source = text
    .replace(/\*+/g, "*")
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`, "su");
}
