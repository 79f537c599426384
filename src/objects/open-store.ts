import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { ConditionalStore } from "./conditional.ts";
import { DirectoryStore } from "./directory.ts";
import { HedgingStore } from "./hedging.ts";
import { MeasuredStore } from "./measured.ts";
import type { ObjectStore } from "./object-store.ts";
import { RetryingStore } from "./retrying.ts";

export interface OpenStoreOptions {
  /** For another S3 server than AWS's own; the bucket then goes into the path. */
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of the part of the store that counts: each attempt is a request to it. */
  readonly onMeasured?: (measured: MeasuredStore) => void;
  /** Told what whoever runs the gateway should know of the store. */
  readonly onProblem?: (message: string) => void;
}

/** The store's URL can't be used. */
export class StoreUrlError extends Error {
  override readonly name = "StoreUrlError";
}

/** Opens `file:///dir` or `s3://bucket/prefix`. Nothing is asked of an S3 server yet. */
export async function openStore(url: string, options: OpenStoreOptions): Promise<ObjectStore> {
  const parsed = parseStoreUrl(url);
  const measured = (store: ObjectStore): MeasuredStore => {
    const wrapped = new MeasuredStore(store, options.clock);
    options.onMeasured?.(wrapped);
    return wrapped;
  };
  if (parsed.scheme === "file") return measured(await DirectoryStore.open(parsed.path));
  // Loaded only where it is used: the SDK takes a while.
  const { S3Store } = await import("./s3.ts");
  const store = new S3Store({
    bucket: parsed.bucket,
    prefix: parsed.prefix,
    region: options.s3Region ?? process.env.AWS_REGION ?? "us-east-1",
    pathStyle: options.s3Endpoint !== undefined,
    ...(options.s3Endpoint !== undefined && { endpoint: options.s3Endpoint }),
  });
  const { clock, random, onProblem = () => {} } = options;
  const retrying = new RetryingStore(new HedgingStore(measured(store), clock), clock, random);
  return new ConditionalStore(retrying, random, onProblem);
}

export type StoreUrl =
  | { readonly scheme: "file"; readonly path: string }
  | { readonly scheme: "s3"; readonly bucket: string; readonly prefix: string };

/** Takes a store's URL apart. Throws a StoreUrlError that says what is wrong with it. */
export function parseStoreUrl(url: string): StoreUrl {
  const file = /^file:\/\/(\/.*)$/.exec(url);
  if (file?.[1] !== undefined) return { scheme: "file", path: decodeURI(file[1]) };
  const s3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url);
  if (s3?.[1] === undefined) {
    throw new StoreUrlError(`"${url}" is no store: it has to be file:///folder or s3://bucket/prefix`);
  }
  const prefix = (s3[2] ?? "").split("/").filter((part) => part !== "");
  return { scheme: "s3", bucket: s3[1], prefix: prefix.length === 0 ? "" : `${prefix.join("/")}/` };
}
