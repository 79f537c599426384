/** Pages of the Describe operations: ordered by a key, a token names the last one before the page. */
import { Ec2Error } from "../ec2-error.ts";

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
  { MaxResults, NextToken }: PageRequest,
): { readonly page: T[]; readonly nextToken: string | undefined } {
  if (MaxResults !== undefined && MaxResults < RESULTS_MIN)
    throw new Ec2Error(
      "InvalidParameterValue",
      `Value ( ${MaxResults} ) for parameter maxResults is invalid. Expecting a value of at least ${RESULTS_MIN}.`,
    );
  const after = NextToken === undefined ? "" : keyIn(NextToken);
  const rest = items
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => key > after)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = MaxResults === undefined ? rest : rest.slice(0, Math.min(MaxResults, RESULTS_MAX));
  const last = page.at(-1)?.key;
  const isMore = page.length < rest.length && last !== undefined;
  return {
    page: page.map(({ item }) => item),
    nextToken: isMore ? Buffer.from(`after ${last}`, "utf8").toString("base64url") : undefined,
  };
}

function keyIn(token: string): string {
  const text = TOKEN.test(token) ? Buffer.from(token, "base64url").toString("utf8") : "";
  if (text.startsWith("after ")) return text.slice("after ".length);
  throw new Ec2Error("InvalidParameterValue", "The nextToken is invalid.");
}
