/** What options are held to that only parts below the command line know of. */
import { EVENT_TYPES } from "./admin/event.ts";
import { parseStoreUrl, StoreUrlError } from "./objects/open-store.ts";

/** Why the URL names no store; undefined where it names one. An empty one stands for `DATA/vault`. */
export function whyNotStore(url: string): string | undefined {
  if (url === "") return undefined;
  try {
    parseStoreUrl(url);
    return undefined;
  } catch (error) {
    if (error instanceof StoreUrlError || error instanceof URIError) return error.message;
    throw error;
  }
}

/** Why these are no events; undefined where they all are. */
export function whyNotEvents(names: readonly string[]): string | undefined {
  const strange = names.find((name) => !(EVENT_TYPES as readonly string[]).includes(name));
  return strange === undefined
    ? undefined
    : `there is no event "${strange}"; there are ${EVENT_TYPES.join(", ")}`;
}
