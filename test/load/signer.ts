/**
 * Signs requests (SigV4, headers) as cheaply as it goes: a load is to wear out the gateway and not its clients, and the
 * SDK's own signer costs more than the gateway does. Good for requests without a query.
 */
import { createHash, createHmac } from "node:crypto";
import type { BotoSettings } from "../clients/boto.ts";

export interface Signable {
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class CheapSigner {
  readonly #settings: BotoSettings;
  readonly #keys = new Map<string, Buffer>();

  constructor(settings: BotoSettings) {
    this.#settings = settings;
  }

  /** The headers to send, signed at `nowMs`. */
  sign({ service, method, path, headers, body }: Signable, nowMs: number): Record<string, string> {
    const timestamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
    const date = timestamp.slice(0, 8);
    const scope = `${date}/us-east-1/${service}/aws4_request`;
    const all: Record<string, string> = {
      ...headers,
      host: new URL(this.#settings.endpoint).host,
      "x-amz-date": timestamp,
    };
    const names = Object.keys(all).sort();
    const signedHeaders = names.join(";");
    const lines = names.map((name) => `${name}:${all[name]}\n`).join("");
    const canonical = `${method}\n${path}\n\n${lines}\n${signedHeaders}\n${sha256(body)}`;
    const toSign = `AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`;
    const signature = hmac(this.#key(date, service), toSign).toString("hex");
    all.authorization = `AWS4-HMAC-SHA256 Credential=${this.#settings.accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
    return all;
  }

  #key(date: string, service: string): Buffer {
    let key = this.#keys.get(date + service);
    if (key === undefined) {
      const ofDate = hmac(`AWS4${this.#settings.secretAccessKey}`, date);
      key = hmac(hmac(hmac(ofDate, "us-east-1"), service), "aws4_request");
      this.#keys.set(date + service, key);
    }
    return key;
  }
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}
