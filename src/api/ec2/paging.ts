/** Pages of the Describe operations: ordered by a key, a token names the last one before the page. */
import { Ec2Error } from "../ec2-error.ts";
import { placeAfter } from "../ordered.ts";

const RESULTS_MIN = 5;
const RESULTS_MAX = 1000;
const TOKEN = /^[A-Za-z0-9_-]{1,1024}$/;

export interface PageRequest {
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

/** One page of the items, by growing key, and the token of the next one, if there is any. */
export function inPages<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  request: PageRequest,
): { readonly page: T[]; readonly nextToken: string | undefined } {
  const inOrder = items.map((item) => ({ item, key: keyOf(item) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const { page, nextToken } = pageOf(inOrder, ({ key }) => key, request);
  return { page: page.map(({ item }) => item), nextToken };
}

/**
 * One page of items that are by growing key already, of those that match: no more of them are looked at than it takes.
 * Where they are a list, what comes before the page costs nothing.
 */
export function pageOf<T>(
  inOrder: readonly T[] | ((after: string) => Iterable<T>),
  keyOf: (item: T) => string,
  { MaxResults, NextToken }: PageRequest,
  matches: (item: T) => boolean = () => true,
): { readonly page: T[]; readonly nextToken: string | undefined } {
  if (MaxResults !== undefined && MaxResults < RESULTS_MIN)
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value ( ${MaxResults} ) for parameter maxResults is invalid. Expecting a value of at least ${RESULTS_MIN}.`,
    );
  const after = NextToken === undefined ? "" : keyIn(NextToken);
  const limit = MaxResults === undefined ? Number.POSITIVE_INFINITY : Math.min(MaxResults, RESULTS_MAX);
  const page: T[] = [];
  for (const item of typeof inOrder === "function" ? inOrder(after) : from(inOrder, keyOf, after)) {
    if (keyOf(item) <= after || !matches(item)) continue;
    const last = page.at(-1);
    if (page.length === limit && last !== undefined) {
      return { page, nextToken: Buffer.from(`after ${keyOf(last)}`, "utf8").toString("base64url") };
    }
    page.push(item);
  }
  return { page, nextToken: undefined };
}

/** The items of a list by growing key that come after one. */
function* from<T>(inOrder: readonly T[], keyOf: (item: T) => string, after: string): Generator<T> {
  for (let at = placeAfter(inOrder, keyOf, after); at < inOrder.length; at++) yield inOrder[at] as T;
}

function keyIn(token: string): string {
  const text = TOKEN.test(token) ? Buffer.from(token, "base64url").toString("utf8") : "";
  if (text.startsWith("after ")) return text.slice("after ".length);
  throw new Ec2Error("InvalidParameterValue", "The nextToken is invalid.");
}
