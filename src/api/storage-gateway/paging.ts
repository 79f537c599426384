/** Marker and Limit, as all listing operations of the API have them: ordered by ARN, the marker is the last one seen. */
import { GatewayError } from "../../gateway/errors.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export function page<T>(
  all: readonly T[],
  keyOf: (item: T) => string,
  marker: string | undefined,
  limit: number | undefined,
): { items: T[]; marker: string | undefined } {
  const sorted = [...all].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const after = marker === undefined ? undefined : Buffer.from(marker, "base64url").toString("utf8");
  if (after !== undefined && Buffer.from(after, "utf8").toString("base64url") !== marker) {
    throw new GatewayError("InvalidParameters", "The Marker is not one of ours.");
  }
  const rest = after === undefined ? sorted : sorted.filter((item) => keyOf(item) > after);
  const items = rest.slice(0, Math.min(limit ?? LIMIT_DEFAULT, LIMIT_MAX));
  const last = items.at(-1);
  const more = items.length < rest.length && last !== undefined;
  return { items, marker: more ? Buffer.from(keyOf(last), "utf8").toString("base64url") : undefined };
}
