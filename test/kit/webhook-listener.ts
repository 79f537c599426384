/** What a webhook talks to: an HTTP server that keeps what it was told. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface TakenRequest {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export class WebhookListener {
  /** All requests, in the order of their coming. */
  readonly taken: TakenRequest[] = [];
  /** How they are answered. */
  status = 200;
  /** Called behind each of them. */
  onTaken: () => void = () => {};
  url = "";
  readonly #server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      this.taken.push({ headers: request.headers, body });
      response.writeHead(this.status).end();
      this.onTaken();
    });
  });

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The bodies, decoded. */
  events<Event>(): Event[] {
    return this.taken.map(({ body }) => JSON.parse(body) as Event);
  }
}
