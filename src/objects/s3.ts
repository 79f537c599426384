/**
 * A bucket on any S3-compatible server.
 *
 * What differs between servers is kept out of the way: bodies are whole buffers with Content-Length and Content-MD5,
 * no checksum trailers, no multipart, and the only condition is `If-None-Match: *` on a key that nobody has used.
 */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import {
  type ByteRange,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from "./object-store.ts";

export interface S3StoreOptions {
  readonly bucket: string;
  /** Empty, or ending in `/`. */
  readonly prefix: string;
  readonly endpoint?: string;
  readonly region: string;
  /** The bucket in the path, not in the host name: what most servers but AWS want. */
  readonly pathStyle: boolean;
  /** Without them: the environment, the shared files, the machine's role. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** Of requests that move next to nothing: a line that is cut is found out with these. */
const SHORT_TIMEOUT_MS = 15_000;
const SHORT_BYTES_MAX = 64 * 1024;
/** The request was signed by a clock that differs too much from the server's. */
const CLOCK_ERRORS = new Set(["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"]);
const DELETE_KEYS_MAX = 1000;
const LIST_PAGES_MAX = 100_000;
const SOCKETS_MAX = 32;
/** No object of the vault is larger: a server that sends more is not believed. */
const OBJECT_BYTES_MAX = 256 * 1024 * 1024;

export class S3Store implements ObjectStore {
  readonly name: string;
  readonly #options: S3StoreOptions;
  readonly #handler: NodeHttpHandler;
  readonly #bucket: string;
  readonly #prefix: string;
  #client: S3Client;

  constructor(options: S3StoreOptions) {
    this.#options = options;
    this.#bucket = options.bucket;
    this.#prefix = options.prefix;
    this.name = `s3://${options.bucket}/${options.prefix}`;
    this.#handler = new NodeHttpHandler({
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    });
    this.#client = this.#makeClient();
  }

  #makeClient(): S3Client {
    const { region, pathStyle, endpoint, credentials } = this.#options;
    const client = new S3Client({
      region,
      forcePathStyle: pathStyle,
      // One attempt: trying again is `RetryingStore`'s work, with our own limits.
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: this.#handler,
      // Files are read anew by each client: see #failure.
      credentials: credentials ?? defaultProvider({ ignoreCache: true }),
      ...(endpoint !== undefined && { endpoint }),
    });
    // Some servers want it of deletions, and the SDK has given it up for checksums that those don't know.
    client.middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { body?: unknown; headers?: Record<string, string> };
        const { body, headers } = request;
        if (headers !== undefined && typeof body === "string" && headers["content-md5"] === undefined)
          headers["content-md5"] = createHash("md5").update(body).digest("base64");
        return next(args);
      },
      { step: "build", name: "contentMd5", priority: "low" },
    );
    return client;
  }

  /**
   * What the SDK throws, as ours. After a denial the credentials are looked up anew: they may have been exchanged while
   * the gateway runs, which the SDK, once it has them, would never notice.
   */
  #failure(error: unknown, what: string, isWrite: boolean): StoreError {
    const failure = asStoreError(error, what, isWrite);
    if (failure.kind === "denied" && this.#options.credentials === undefined)
      this.#client = this.#makeClient();
    return failure;
  }

  async put(key: string, body: Buffer, options: PutOptions = {}): Promise<"created" | "exists"> {
    try {
      await this.#client.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + key,
          Body: body,
          ContentLength: body.length,
          ContentMD5: createHash("md5").update(body).digest("base64"),
          ...(options.ifAbsent === true && { IfNoneMatch: "*" }),
        }),
        {
          abortSignal: AbortSignal.timeout(
            body.length <= SHORT_BYTES_MAX ? SHORT_TIMEOUT_MS : REQUEST_TIMEOUT_MS,
          ),
        },
      );
      return "created";
    } catch (error) {
      const status = statusOf(error);
      if (options.ifAbsent === true && status === 412) return "exists";
      throw this.#failure(error, `PUT ${key}`, true);
    }
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    if (range?.lengthBytes === 0) return Buffer.alloc(0);
    try {
      const last = range === undefined ? 0 : range.offsetBytes + range.lengthBytes - 1;
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + key,
          ...(range !== undefined && { Range: `bytes=${range.offsetBytes}-${last}` }),
        }),
        { abortSignal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) },
      );
      const body = answer.Body as Readable | undefined;
      const there = answer.ContentLength;
      if (body === undefined || there === undefined)
        throw new StoreError("unavailable", `GET ${key}: the answer does not say how long it is`);
      // What the server says the answer holds may be less than was asked for (the object ends before), and what came
      // may be less than that (the connection broke): only the second is worth another try.
      if (range !== undefined && there < range.lengthBytes) {
        body.destroy();
        throw new StoreError("invalid", `GET ${key}: the object ends before byte ${last}`);
      }
      return await collect(body, range?.lengthBytes ?? there, `GET ${key}`);
    } catch (error) {
      throw this.#failure(error, `GET ${key}`, false);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    try {
      const answer = await this.#client.send(
        new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key }),
        { abortSignal: AbortSignal.timeout(SHORT_TIMEOUT_MS) },
      );
      return { key, sizeBytes: answer.ContentLength ?? 0 };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw this.#failure(error, `HEAD ${key}`, false);
    }
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    let token: string | undefined;
    for (let page = 0; page < LIST_PAGES_MAX; page++) {
      const answer = await this.#listPage(prefix, token);
      for (const { Key, Size } of answer.Contents ?? []) {
        if (Key !== undefined) yield { key: Key.slice(this.#prefix.length), sizeBytes: Size ?? 0 };
      }
      token = answer.NextContinuationToken;
      if (answer.IsTruncated !== true) return;
      // A list that says there is more and does not say where is not a list to act upon.
      if (token === undefined) break;
    }
    throw new StoreError("invalid", `LIST ${prefix} did not come to its end`);
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += DELETE_KEYS_MAX) {
      await this.#deleteSome(keys.slice(at, at + DELETE_KEYS_MAX));
    }
  }

  async close(): Promise<void> {
    this.#handler.destroy();
  }

  async #listPage(prefix: string, token: string | undefined) {
    try {
      return await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
        { abortSignal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) },
      );
    } catch (error) {
      throw this.#failure(error, `LIST ${prefix}`, false);
    }
  }

  async #deleteSome(keys: readonly string[]): Promise<void> {
    try {
      const answer = await this.#client.send(
        new DeleteObjectsCommand({
          Bucket: this.#bucket,
          Delete: { Objects: keys.map((key) => ({ Key: this.#prefix + key })), Quiet: true },
        }),
        { abortSignal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) },
      );
      const failed = (answer.Errors ?? []).filter(({ Code }) => Code !== "NoSuchKey")[0];
      if (failed !== undefined) {
        throw new StoreError("unavailable", `DELETE ${failed.Key ?? ""}: ${failed.Code ?? "failed"}`);
      }
    } catch (error) {
      throw this.#failure(error, "DELETE", false);
    }
  }
}

/** Exactly so many bytes of an answer, put where they belong as they come. */
async function collect(body: Readable, dueBytes: number, what: string): Promise<Buffer> {
  if (dueBytes > OBJECT_BYTES_MAX) {
    body.destroy();
    throw new StoreError("invalid", `${what}: ${dueBytes} bytes are more than any object of ours has`);
  }
  const bytes = Buffer.allocUnsafeSlow(dueBytes);
  let came = 0;
  // By events: an iterator would make promises for each of its many pieces.
  await new Promise<void>((resolve, reject) => {
    body.on("data", (chunk: Buffer) => {
      if (came + chunk.length <= dueBytes) chunk.copy(bytes, came);
      came += chunk.length;
      if (came > dueBytes) body.destroy();
    });
    body.on("error", reject);
    // The end of it, or of the connection: how much came tells which.
    body.on("close", resolve);
    body.on("end", resolve);
  });
  if (came !== dueBytes) throw new StoreError("unavailable", `${what}: ${came} of ${dueBytes} bytes came`);
  return bytes;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** What the SDK throws, as ours. A write without a clear answer may have happened. */
function asStoreError(error: unknown, what: string, isWrite: boolean): StoreError {
  if (error instanceof StoreError) return error;
  const message = `${what}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  const status = statusOf(error);
  if (status === 404) return new StoreError("notFound", message, { cause: error });
  // The SDK has learned from it how much the clocks differ, and signs the next request by the server's.
  if (error instanceof Error && CLOCK_ERRORS.has(error.name))
    return new StoreError("unavailable", message, { cause: error });
  if (error instanceof Error && error.name === "CredentialsProviderError") {
    const words = "the bucket's access key is not known: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    return new StoreError("denied", `${what}: ${words} (${error.message})`, { cause: error });
  }
  if (status === 401 || status === 403) return new StoreError("denied", message, { cause: error });
  if (status === 501) return new StoreError("unsupported", message, { cause: error });
  if (status === 409 || status === 429 || status === 503) {
    return new StoreError("unavailable", message, { cause: error });
  }
  if (status !== undefined && status >= 400 && status < 500 && status !== 408) {
    return new StoreError("invalid", message, { cause: error });
  }
  return new StoreError("unavailable", message, { cause: error, ambiguous: isWrite });
}
