import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below the ports that Linux gives to outgoing connections (32768 and more), and above those of well-known servers. */
const FIRST = 20_000;
const END = 32_000;
const TRIES = 100;

/**
 * A TCP port of 127.0.0.1 that nobody listened on a moment ago.
 *
 * None that a connection of some other test may have for its own end meanwhile: servers that are stopped and started
 * again find it free.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST, END);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free TCP port in ${TRIES} tries`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  return listening;
}
