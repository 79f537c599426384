/** The API of a running gateway, as the other commands use it: found and signed by what is in its data folder. */
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignatureV4 } from "@smithy/signature-v4";
import { CREDENTIALS_FILE, parseCredentials } from "../gateway/credentials.ts";

/** The gateway can't be reached, or it refuses what it is asked. */
export class ClientError extends Error {
  override readonly name = "ClientError";
}

/** Where a running gateway writes the URL of its API. */
export const ENDPOINT_FILE = "endpoint";

const STORAGE_GATEWAY = "StorageGateway_20130630";
const OWN = "Sluicegate_20261101";

export class ApiClient {
  readonly #endpoint: URL;
  readonly #signer: SignatureV4;

  constructor(
    endpoint: string,
    region: string,
    credentials: { accessKeyId: string; secretAccessKey: string },
  ) {
    this.#endpoint = new URL(endpoint);
    this.#signer = new SignatureV4({ service: "storagegateway", region, credentials, sha256: Sha256 });
  }

  /** A client for the gateway that runs on this data folder. Throws a ClientError where none does. */
  static of(dataDir: string, region: string): ApiClient {
    const keys = parseCredentials(read(dataDir, CREDENTIALS_FILE));
    const key = keys.find(({ role, expiresAtMs }) => role === "admin" && expiresAtMs === undefined);
    if (key === undefined) throw new ClientError(`${dataDir} holds no access key of an administrator`);
    return new ApiClient(read(dataDir, ENDPOINT_FILE).trim(), region, key);
  }

  /** An operation of the Storage Gateway API. */
  call<Output>(operation: string, input: object): Promise<Output> {
    return this.#send(`${STORAGE_GATEWAY}.${operation}`, input);
  }

  /** An operation of this gateway's own. */
  callOwn<Output>(operation: string, input: object): Promise<Output> {
    return this.#send(`${OWN}.${operation}`, input);
  }

  async #send<Output>(target: string, input: object): Promise<Output> {
    const body = JSON.stringify(input);
    const { hostname, port, host, protocol } = this.#endpoint;
    const signed = await this.#signer.sign({
      method: "POST",
      protocol,
      hostname,
      port: Number(port),
      path: "/",
      headers: { host, "content-type": "application/x-amz-json-1.1", "x-amz-target": target },
      body,
    });
    let response: Response;
    try {
      response = await fetch(this.#endpoint, { method: "POST", headers: signed.headers, body });
    } catch (error) {
      throw new ClientError(`no gateway answers at ${this.#endpoint.origin}`, { cause: error });
    }
    const answer = (await response.json()) as Output & { message?: string };
    if (!response.ok) throw new ClientError(answer.message ?? `the gateway answers ${response.status}`);
    return answer;
  }
}

function read(dataDir: string, name: string): string {
  try {
    return readFileSync(join(dataDir, name), "utf8");
  } catch (error) {
    throw new ClientError(`no gateway runs on ${dataDir}: start it, or name its folder with --data`, {
      cause: error,
    });
  }
}

/** Node's SHA-256 in the shape that the signer wants. */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    throw new Error("the signer makes a new one for each use");
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === "string") return Buffer.from(data, "utf8");
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}
