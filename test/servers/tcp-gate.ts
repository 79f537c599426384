/** A TCP proxy in front of a server that can be shut: then nothing goes through, and nobody is told. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  #isRefusing = false;
  /** Bytes a second and connection, towards the server and back; 0: as fast as it goes. */
  bytesPerSecond = 0;
  bytesPerSecondBack = 0;

  private constructor(host: string, port: number) {
    this.#server = createServer((near) => {
      if (this.#isRefusing) {
        near.destroy();
        return;
      }
      const far = connect(port, host);
      this.#join(near, far, () => this.bytesPerSecond);
      this.#join(far, near, () => this.bytesPerSecondBack);
    });
  }

  static async open(host: string, port: number): Promise<TcpGate> {
    const gate = new TcpGate(host, port);
    gate.#server.listen(0, "127.0.0.1");
    await once(gate.#server, "listening");
    return gate;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Holds everything back, like a line that is cut. */
  shut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Breaks all connections, and every one that is tried: like a server that has been stopped. */
  refuse(): void {
    this.#isRefusing = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets everything through again; what was held back is delivered late. */
  reopen(): void {
    this.#isOpen = true;
    this.#isRefusing = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(from: Socket, to: Socket, rate: () => number): void {
    this.#sockets.add(from);
    if (!this.#isOpen) from.pause();
    from.on("data", (bytes) => {
      if (!to.write(bytes)) from.pause();
      if (rate() === 0) return;
      from.pause();
      setTimeout(() => this.#resume(from), (1000 * bytes.length) / rate());
    });
    to.on("drain", () => this.#resume(from));
    // An end of one side is an end of both; errors show as that.
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }

  #resume(socket: Socket): void {
    if (this.#isOpen) socket.resume();
  }
}
