/** Where the iSCSI portal can be reached, and whether it can. */
import { createConnection } from "node:net";
import { networkInterfaces } from "node:os";

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
