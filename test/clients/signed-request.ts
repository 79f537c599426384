/** Requests to the API as they are on the wire, signed by another implementation of SigV4 than the server's. */
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import type { BotoSettings } from "./boto.ts";

/** What the signer wants of a hash: SHA-256, or HMAC with a key. */
export class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(key?: Uint8Array | string) {
    this.#hash = key === undefined ? createHash("sha256") : createHmac("sha256", key);
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {}
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface RawRequest {
  readonly service?: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** When it claims to be signed; now without it. */
  readonly signingDate?: Date;
  /** Sent in place of the body that was signed. */
  readonly sentBody?: string;
}

/** Signs and sends. */
export async function send(settings: BotoSettings, request: RawRequest): Promise<RawAnswer> {
  const { service = "storagegateway", method = "POST", path = "/", body = "" } = request;
  const { accessKeyId, secretAccessKey, sessionToken } = settings;
  const signer = new SignatureV4({
    service,
    region: settings.region ?? "us-east-1",
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    sha256: Sha256 as never,
  });
  const url = new URL(path, settings.endpoint);
  const signed = await signer.sign(
    {
      method,
      protocol: "http:",
      hostname: url.hostname,
      port: Number(url.port),
      path: url.pathname,
      query: Object.fromEntries(
        [...url.searchParams.keys()].map((name) => [name, url.searchParams.getAll(name)]),
      ),
      headers: { host: url.host, ...request.headers },
      body,
    } as never,
    { signingDate: request.signingDate ?? new Date() },
  );
  const { host: _, ...headers } = (signed as unknown as { headers: Record<string, string> }).headers;
  const hasBody = method !== "GET" && method !== "HEAD";
  const response = await fetch(url, { method, headers, ...(hasBody && { body: request.sentBody ?? body }) });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

// biome-ignore lint/suspicious/noExplicitAny: the shapes are the service's; a test looks only at what it expects.
type Body = any;

/** Calls a JSON operation by its whole target, such as `StorageGateway_20130630.ListGateways`. */
export async function callJson(
  settings: BotoSettings,
  target: string,
  body: string | object,
  more: RawRequest = {},
): Promise<{ status: number; body: Body }> {
  const answer = await send(settings, {
    ...more,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": target },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.status, body: JSON.parse(answer.text) };
}

/** Calls an action of the EC2 Query API; the answer is XML. */
export function callQuery(
  settings: BotoSettings,
  Action: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  return send(settings, {
    service: "ec2",
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    body: new URLSearchParams({ Action, Version: "2016-11-15", ...parameters }).toString(),
  });
}
