/** The gateway's own operations (`Sluicegate_20261101.*`): JSON, signed like AWS's, for what AWS has no words for. */
import { Sha256 } from "@aws-crypto/sha256-browser";
import { SignatureV4 } from "@smithy/signature-v4";

export interface Signer {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly clockOffsetMs: number;
}

/** What the gateway answers instead of doing what it was asked. */
export class ApiError extends Error {
  override readonly name: string;
  readonly status: number;

  constructor(name: string, message: string, status: number) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

const REQUEST_MS_MAX = 60_000;

/** Asks for one operation. Rejects with an ApiError, or with what `fetch` rejects with where nobody answers. */
export async function callOwn<Output>(signer: Signer, operation: string, input: object): Promise<Output> {
  const { protocol, hostname, host, port, origin } = location;
  const body = JSON.stringify(input);
  const { accessKeyId, secretAccessKey, sessionToken } = signer;
  const signature = new SignatureV4({
    service: "storagegateway",
    region: signer.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    sha256: Sha256,
  });
  const signed = await signature.sign(
    {
      method: "POST",
      protocol,
      hostname,
      ...(port !== "" && { port: Number(port) }),
      path: "/",
      headers: {
        host,
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": `Sluicegate_20261101.${operation}`,
      },
      body,
    },
    { signingDate: new Date(Date.now() + signer.clockOffsetMs) },
  );
  const { host: _host, ...headers } = signed.headers;
  const response = await fetch(`${origin}/`, {
    method: "POST",
    headers,
    body,
    signal: AbortSignal.timeout(REQUEST_MS_MAX),
  });
  const answer = (await response.json()) as Output & { __type?: string; message?: string };
  if (response.ok) return answer;
  const type = answer.__type?.split("#").at(-1) ?? "Error";
  throw new ApiError(type, answer.message ?? `The gateway answers ${response.status}.`, response.status);
}

/** How far the gateway's clock is ahead of this browser's, to the second. Rejects where nobody answers. */
export async function clockOffsetMs(): Promise<number> {
  const response = await fetch("/healthz", { cache: "no-store" });
  const theirs = Date.parse(response.headers.get("date") ?? "");
  const offset = theirs - Date.now();
  // A few seconds are the line, and the second that the header is rounded to.
  return Number.isNaN(offset) || Math.abs(offset) < 5_000 ? 0 : offset;
}
