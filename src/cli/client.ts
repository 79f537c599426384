/** The API of a running gateway, as the other commands use it: found and signed by what is in its data folder. */
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignatureV4 } from "@smithy/signature-v4";
import { CREDENTIALS_FILE, parseCredentials } from "../gateway/credentials.ts";
import { ClientError, EXIT, UsageError } from "./failure.ts";

/** Where a running gateway writes the URL of its API. */
export const ENDPOINT_FILE = "endpoint";

const STORAGE_GATEWAY = "StorageGateway_20130630";
const OWN = "Sluicegate_20261101";

/** The URL of a gateway on another machine, or on one whose data folder is not at hand; its keys come as for AWS. */
export const ENDPOINT_VARIABLE = "SLUICEGATE_ENDPOINT";

interface Signing {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const REQUEST_MS_MAX = 120_000;

export class ApiClient {
  readonly endpoint: URL;
  readonly #region: string;
  readonly #credentials: Signing;

  constructor(endpoint: string, region: string, credentials: Signing) {
    this.endpoint = new URL(endpoint);
    this.#region = region;
    this.#credentials = credentials;
  }

  /**
   * A client for the gateway that runs on this data folder, or for the one that SLUICEGATE_ENDPOINT names. Throws a
   * ClientError where there is none.
   */
  static of(dataDir: string, region: string): ApiClient {
    const elsewhere = process.env[ENDPOINT_VARIABLE];
    if (elsewhere !== undefined && elsewhere !== "") {
      if (!URL.canParse(elsewhere)) throw new UsageError(`"${elsewhere}" is no URL of a gateway`);
      return new ApiClient(elsewhere, region, credentialsFromEnvironment(dataDir));
    }
    return new ApiClient(read(dataDir, ENDPOINT_FILE).trim(), region, keyOf(dataDir));
  }

  /** An operation of the Storage Gateway API. */
  call<Output>(operation: string, input: object): Promise<Output> {
    return this.#json(`${STORAGE_GATEWAY}.${operation}`, input);
  }

  /** An operation of this gateway's own. */
  callOwn<Output>(operation: string, input: object): Promise<Output> {
    return this.#json(`${OWN}.${operation}`, input);
  }

  /** An action of the EC2 Query API whose answer is not looked at. */
  async callEc2(action: string, parameters: Readonly<Record<string, string>>): Promise<void> {
    const body = new URLSearchParams({ Action: action, Version: "2016-11-15", ...parameters }).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
    const { isGood, status, text } = await this.#send("ec2", "POST", "/", headers, body);
    if (isGood) return;
    const message = /<Message>([^<]*)<\/Message>/.exec(text)?.[1];
    const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1];
    throw new ClientError(unescapeXml(message) ?? `the gateway answers ${status}`, { ...(code && { code }) });
  }

  /** A GET of the EBS direct API. */
  async getEbs<Output>(path: string, query: Readonly<Record<string, string>>): Promise<Output> {
    const { isGood, status, text } = await this.#send("ebs", "GET", path, {}, undefined, query);
    const answer = parseJson(text) as Output & { Message?: string };
    if (!isGood) throw new ClientError(answer.Message ?? `the gateway answers ${status}`);
    return answer;
  }

  async #json<Output>(target: string, input: object): Promise<Output> {
    const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
    const { isGood, status, text } = await this.#send(
      ...(["storagegateway", "POST", "/", headers, JSON.stringify(input)] as const),
    );
    const answer = parseJson(text) as Output & {
      message?: string;
      __type?: string;
      error?: { errorCode?: string };
    };
    if (isGood) return answer;
    const code = answer.error?.errorCode ?? answer.__type;
    throw new ClientError(answer.message ?? `the gateway answers ${status}`, { ...(code && { code }) });
  }

  async #send(
    service: string,
    method: "GET" | "POST",
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string | undefined,
    query: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly isGood: boolean; readonly status: number; readonly text: string }> {
    const signer = new SignatureV4({
      ...{ service, region: this.#region, credentials: this.#credentials, sha256: Sha256 },
    });
    const url = new URL(path, this.endpoint);
    url.search = new URLSearchParams(query).toString();
    const { hostname, port, host, protocol } = this.endpoint;
    const signed = await signer.sign({
      ...{ method, protocol, hostname, path, query: { ...query }, headers: { host, ...headers } },
      ...(port !== "" && { port: Number(port) }),
      ...(body !== undefined && { body }),
    });
    try {
      const response = await fetch(url, {
        ...{ method, headers: signed.headers, signal: AbortSignal.timeout(REQUEST_MS_MAX) },
        ...(body !== undefined && { body }),
      });
      return { isGood: response.ok, status: response.status, text: await response.text() };
    } catch (error) {
      throw new ClientError(`no gateway answers at ${this.endpoint.origin}: is it running?`, {
        cause: error,
        exitCode: EXIT.unreachable,
      });
    }
  }
}

function keyOf(dataDir: string): Signing {
  const keys = parseCredentials(read(dataDir, CREDENTIALS_FILE));
  const key = keys.find(({ role, expiresAtMs }) => role === "admin" && expiresAtMs === undefined);
  if (key === undefined) throw new ClientError(`${dataDir} holds no access key of an administrator`);
  return key;
}

/** Where AWS's own tools look first: the variables, then the shared file; without either the data folder. */
function credentialsFromEnvironment(dataDir: string): Signing {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
  if (AWS_ACCESS_KEY_ID !== undefined && AWS_SECRET_ACCESS_KEY !== undefined) {
    return {
      ...{ accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
      ...(AWS_SESSION_TOKEN !== undefined && { sessionToken: AWS_SESSION_TOKEN }),
    };
  }
  const file = process.env.AWS_SHARED_CREDENTIALS_FILE;
  if (file === undefined) return keyOf(dataDir);
  const profile = process.env.AWS_PROFILE ?? "default";
  const key = parseCredentials(readFileSync(file, "utf8")).find(({ name }) => name === profile);
  if (key === undefined) throw new ClientError(`${file} has no profile ${profile}`);
  return key;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ClientError("what answers there is no Sluicegate", {
      cause: error,
      exitCode: EXIT.unreachable,
    });
  }
}

function unescapeXml(text: string | undefined): string | undefined {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text?.replace(/&(lt|gt|quot|apos|amp|#39);/g, (_, name: string) => entities[name] ?? "'");
}

function read(dataDir: string, name: string): string {
  try {
    return readFileSync(join(dataDir, name), "utf8");
  } catch (error) {
    throw new ClientError(`no gateway runs on ${dataDir}: start it, or name its folder with --data`, {
      cause: error,
      exitCode: EXIT.unreachable,
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
