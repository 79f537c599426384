/**
 * An HTTP proxy in front of a real S3 server that does to requests what networks and busy servers do: answers "later",
 * keeps back the answer to what was done, delivers half of an answer, breaks connections off.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * - `slowDown`: 503, nothing is done.
 * - `lostAnswer`: the server does what is asked, and the connection breaks before the answer.
 * - `halfAnswer`: half of the answer's body comes, then the connection breaks.
 * - `refused`: the connection breaks before anything is done.
 * - `skewed`: 403, as for a request that was signed by a clock that is too far off.
 * - `expired`: 403, as for credentials that are not good any more.
 */
export type HttpFault = "slowDown" | "lostAnswer" | "halfAnswer" | "refused" | "skewed" | "expired";

const S3_ERRORS = {
  slowDown: [503, "SlowDown", "Please reduce your request rate."],
  skewed: [403, "RequestTimeTooSkewed", "The difference between the clocks is too large."],
  expired: [403, "ExpiredToken", "The provided token has expired."],
} as const;

export class FaultProxy {
  readonly #server: Server;
  readonly #target: URL;
  /** Asked for every request; undefined lets it through. */
  fault: (method: string, path: string) => HttpFault | undefined = () => undefined;
  /** Requests so far, those that went wrong among them. */
  requests = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => {
      this.requests += 1;
      void this.#handle(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  static async open(endpoint: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(endpoint));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const fault = this.fault(incoming.method ?? "", incoming.url ?? "");
    const body = await bytesOf(incoming);
    if (fault === "refused") {
      incoming.socket.destroy();
      return;
    }
    if (fault === "slowDown" || fault === "skewed" || fault === "expired") {
      const [status, code, message] = S3_ERRORS[fault];
      const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
      outgoing
        .writeHead(status, { "content-type": "application/xml", "content-length": xml.length })
        .end(xml);
      return;
    }
    // The host that was signed goes through unchanged.
    const { hostname, port } = this.#target;
    const { method, url: path, headers } = incoming;
    const onward = request({ hostname, port, method, path, headers, agent: false });
    onward.end(body);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    const content = await bytesOf(answer);
    if (fault === "lostAnswer") {
      incoming.socket.destroy();
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
    if (fault !== "halfAnswer") {
      outgoing.end(content);
      return;
    }
    outgoing.write(content.subarray(0, content.length / 2), () => incoming.socket.destroy());
  }
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
