/**
 * Tells another program what comes about: one POST of JSON for each event, signed with a shared secret, tried again for a
 * while where it is not taken. Events wait in memory, and only so many.
 */
import { createHmac } from "node:crypto";
import { type Clock, delay } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { EventType, GatewayEvent } from "./event.ts";

/** What comes about without anything being the matter, and is told only to who asks for it. */
const QUIET: ReadonlySet<EventType> = new Set(["GatewayStarted", "CollectionDone", "VerificationPassed"]);

export interface WebhookOptions {
  readonly url: string;
  /** Without it nothing is signed. */
  readonly secret?: string;
  /** Which events are told; without it all but those that are only good to know. */
  readonly events?: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly onProblem: (message: string, error: unknown) => void;
  /** How requests are sent. */
  readonly send?: typeof fetch;
}

const QUEUE_MAX = 256;
const ATTEMPT_MS_MAX = 10_000;
const PAUSES_MS = [1_000, 5_000, 30_000, 120_000, 600_000];

/** The header that holds `t=SECONDS,v1=HEX`: HMAC-SHA-256 of `SECONDS.BODY` with the secret. */
export const SIGNATURE_HEADER = "x-sluicegate-signature";
/** The same for every attempt, so that who gets an event twice can tell. */
export const DELIVERY_HEADER = "x-sluicegate-delivery";

export class Webhook {
  readonly #options: WebhookOptions;
  readonly #queue: GatewayEvent[] = [];
  readonly #closing = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** Puts the event in the queue, if it is one that is told. */
  tell(event: GatewayEvent): void {
    const { events, onProblem } = this.#options;
    const isWanted = events === undefined ? !QUIET.has(event.type) : events.includes(event.type);
    if (!isWanted || this.#closing.signal.aborted) return;
    if (this.#queue.length >= QUEUE_MAX) {
      const lost = this.#queue.shift();
      onProblem(`the webhook is behind: ${lost?.type} is not told`, undefined);
    }
    this.#queue.push(event);
    this.#sending ??= this.#run().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Ends at once; what still waits is not told. */
  close(): void {
    this.#closing.abort();
    this.#queue.length = 0;
  }

  async #run(): Promise<void> {
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      await this.#deliver(event);
    }
  }

  async #deliver(event: GatewayEvent): Promise<void> {
    const { clock, random, onProblem } = this.#options;
    const id = random.bytes(16).toString("hex");
    for (const pauseMs of [...PAUSES_MS, undefined]) {
      if (this.#closing.signal.aborted) return;
      try {
        await this.#attempt(event, id);
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (pauseMs === undefined) onProblem(`the webhook was not taken: ${event.type}`, error);
        else await delay(clock, pauseMs);
      }
    }
  }

  async #attempt(event: GatewayEvent, id: string): Promise<void> {
    const { url, secret, clock, send = fetch } = this.#options;
    const body = JSON.stringify({
      ...{ Type: event.type, Severity: event.severity, Time: event.atMs / 1000 },
      ...{ Message: event.message, Resources: event.resources },
    });
    const seconds = Math.floor(clock.nowMs() / 1000);
    const response = await send(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        [DELIVERY_HEADER]: id,
        ...(secret !== undefined && {
          [SIGNATURE_HEADER]: `t=${seconds},v1=${signatureOf(secret, seconds, body)}`,
        }),
      },
      body,
      redirect: "error",
      signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ATTEMPT_MS_MAX)]),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`${new URL(url).host} answers ${response.status}`);
  }
}

function signatureOf(secret: string, seconds: number, body: string): string {
  return createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
}
