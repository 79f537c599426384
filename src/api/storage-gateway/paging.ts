/** Marker and Limit, as all listing operations of the API have them: ordered by ARN, the marker is the last one seen. */
import { GatewayError } from "../../gateway/errors.ts";
import { placeAfter } from "../ordered.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export function page<T>(
  all: readonly T[],
  keyOf: (item: T) => string,
  marker: string | undefined,
  limit: number | undefined,
): { items: T[]; marker: string | undefined } {
  const sorted = [...all].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return pageInOrder(sorted, { keyOf, marker, limit });
}

/** A page of items that are by growing key already, of those that match: no more are looked at than it takes. */
export function pageInOrder<T>(
  sorted: readonly T[],
  {
    keyOf,
    matches = () => true,
    marker,
    limit = LIMIT_DEFAULT,
  }: {
    readonly keyOf: (item: T) => string;
    readonly matches?: (item: T) => boolean;
    readonly marker: string | undefined;
    readonly limit: number | undefined;
  },
): { items: T[]; marker: string | undefined } {
  const after = marker === undefined ? undefined : Buffer.from(marker, "base64url").toString("utf8");
  if (after !== undefined && Buffer.from(after, "utf8").toString("base64url") !== marker) {
    throw new GatewayError("InvalidParameters", "The Marker is not one of ours.");
  }
  const items: T[] = [];
  for (let at = after === undefined ? 0 : placeAfter(sorted, keyOf, after); at < sorted.length; at++) {
    const item = sorted[at] as T;
    if (!matches(item)) continue;
    const last = items.at(-1);
    if (items.length === Math.min(limit, LIMIT_MAX) && last !== undefined) {
      return { items, marker: Buffer.from(keyOf(last), "utf8").toString("base64url") };
    }
    items.push(item);
  }
  return { items, marker: undefined };
}
