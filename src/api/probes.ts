/**
 * `/healthz`, `/readyz` and `/metrics`: what watches the gateway from outside asks these without a signature.
 *
 * The first two say one word and are open to whoever reaches the API. `/metrics` names volumes and what they do: it is
 * open to this machine, and to others only with the token of `DATA/metrics-token` as a bearer.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";

export interface Probes {
  /** Whether the process does its work: where it does not, it is best ended and started again. */
  readonly isAlive: () => Promise<boolean>;
  /** Whether initiators and API clients are served, and in a few words how. */
  readonly readiness: () => Promise<{ readonly isReady: boolean; readonly words: string }>;
  /** Everything that is measured, for Prometheus. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly metricsToken: string;
  /** What went wrong while one of them was answered. */
  readonly onProblem: (message: string, error: unknown) => void;
}

const TEXT = "text/plain; charset=utf-8";

export function routeProbes(server: FastifyInstance, probes: Probes): void {
  server.get("/healthz", async (_request, reply) => {
    const isAlive = await probes.isAlive();
    return reply
      .code(isAlive ? 200 : 503)
      .type(TEXT)
      .send(isAlive ? "ok\n" : "failing\n");
  });
  server.get("/readyz", async (_request, reply) => {
    const { isReady, words } = await probes.readiness();
    return reply
      .code(isReady ? 200 : 503)
      .type(TEXT)
      .send(`${words}\n`);
  });
  server.get("/metrics", async (request, reply) => {
    if (!isFromHere(request) && !hasToken(request, probes.metricsToken))
      return reply
        .code(401)
        .header("www-authenticate", 'Bearer realm="sluicegate metrics"')
        .type(TEXT)
        .send("From another machine /metrics needs the token that is in DATA/metrics-token, as a bearer.\n");
    try {
      const { contentType, text } = await probes.metrics();
      return reply.type(contentType).send(text);
    } catch (error) {
      probes.onProblem("/metrics can't be answered", error);
      return reply.code(503).type(TEXT).send("A part of the gateway gives no answer.\n");
    }
  });
}

/** Over loopback, and not handed on by a proxy that is on this machine. */
function isFromHere(request: FastifyRequest): boolean {
  const { headers, ip } = request;
  const isHandedOn = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].some((name) => name in headers);
  if (isHandedOn) return false;
  const address = ip.startsWith("::ffff:") ? ip.slice("::ffff:".length) : ip;
  return isIP(address) === 4 ? address.startsWith("127.") : address === "::1";
}

function hasToken(request: FastifyRequest, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (given === undefined) return false;
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
