/** Where the gateway listens: whether it could, where the iSCSI portal can be reached, and whether it can. */
import { createConnection, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { type Clock, delay } from "./platform/clock.ts";
import type { HostPort } from "./server-options.ts";

const CONNECT_MS_MAX = 5_000;

/** An address by which a listener on `host` can be reached: one of the machine's where it listens everywhere. */
export function reachableAddress(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outer = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  return outer?.address ?? "127.0.0.1";
}

/** Resolves when a TCP connection could be made; rejects where none could, within a few seconds. */
export function connect(host: string, port: number): Promise<void> {
  return new Promise((resolveConnected, reject) => {
    const socket = createConnection({ host, port, timeout: CONNECT_MS_MAX });
    const end = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolveConnected();
      else reject(error);
    };
    socket.once("connect", () => end());
    socket.once("timeout", () => end(new Error("no answer")));
    socket.once("error", end);
  });
}

/** Nothing can listen at an address that the options name; the message says why, and what to do. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: `Another program listens there: end it (see "ss -ltnp"), or choose another port.`,
  EADDRNOTAVAIL: 'No network interface has this address: see "ip addr".',
  EACCES: "Ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one, or give the service that right.",
};
/** One that was killed a moment ago may hold its ports until the system has cleared it away. */
const TRIES_MAX = 20;
const RETRY_MS = 100;

/** Why a server can't listen there, with what to do about it; undefined where it can. */
export function whyNotListen({
  host,
  port,
}: HostPort): Promise<{ readonly code: string; readonly advice: string } | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", ({ code = "", message }: NodeJS.ErrnoException) =>
      done({ code, advice: ADVICE[code] ?? message }),
    );
    server.listen(port, host, () => server.close(() => done(undefined)));
  });
}

/** Rejects with a ListenError where a server could not listen. `option` is the one that chooses the address. */
export async function checkListen(option: string, address: HostPort, clock: Clock): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const problem = await whyNotListen(address);
    if (problem === undefined) return;
    if (problem.code !== "EADDRINUSE" || attempt === TRIES_MAX) {
      const { host, port } = address;
      throw new ListenError(
        `can't listen on ${host}:${port} (--${option}): ${problem.code}. ${problem.advice}`,
      );
    }
    await delay(clock, RETRY_MS);
  }
}
