/**
 * Conditions that somebody has to know of, found in the samples: each is raised once, and cleared once it is over, with a
 * distance between both so that it does not flutter.
 */
import type { EventType, GatewayEvent } from "./event.ts";
import { percent, type Sample } from "./sample.ts";

/** A condition that holds. */
export interface Alarm {
  readonly name: EventType;
  readonly severity: "warning" | "error";
  readonly sinceMs: number;
  readonly message: string;
  readonly resources: readonly string[];
}

/** What is found in one sample. */
interface Finding {
  readonly key: string;
  readonly raised: EventType;
  /** Told when it is over; without it nothing is. */
  readonly cleared?: EventType;
  readonly severity: "warning" | "error";
  readonly resources: readonly string[];
  /** `between`: neither bad enough to be raised nor good enough to be cleared. */
  readonly state: "bad" | "between" | "good";
  readonly message: string;
  readonly clearedMessage?: string;
}

const BUFFER_HIGH_PERCENT = 80;
const BUFFER_NORMAL_PERCENT = 60;
const UNREACHABLE_MS = 60_000;

export class Alarms {
  readonly #active = new Map<string, Alarm>();

  /** What holds now, the oldest first. */
  get active(): readonly Alarm[] {
    return [...this.#active.values()];
  }

  /** Looks at a sample; answers what has begun or ended with it. */
  look(sample: Sample): GatewayEvent[] {
    const events: GatewayEvent[] = [];
    const findings = findingsOf(sample);
    for (const finding of findings) {
      const { key, raised, cleared, severity, resources, message, clearedMessage } = finding;
      const was = this.#active.get(key);
      const { atMs } = sample;
      if (finding.state === "bad" && was === undefined) {
        this.#active.set(key, { name: raised, severity, sinceMs: atMs, message, resources });
        events.push({ type: raised, severity, atMs, message, resources });
      } else if (finding.state !== "good" && was !== undefined) {
        this.#active.set(key, { ...was, message });
      } else if (finding.state === "good" && was !== undefined) {
        this.#active.delete(key);
        if (cleared !== undefined)
          events.push({
            type: cleared,
            severity: "info",
            atMs,
            message: clearedMessage ?? message,
            resources,
          });
      }
    }
    // What an alarm is about may be gone.
    const found = new Set(findings.map(({ key }) => key));
    for (const key of this.#active.keys()) if (!found.has(key)) this.#active.delete(key);
    return events;
  }
}

function findingsOf(sample: Sample): Finding[] {
  const findings: Finding[] = [];
  const { store, vault } = sample.service;
  const isDown = store.state === "unreachable";
  findings.push({
    ...{ key: "store", raised: "StoreUnreachable", cleared: "StoreReachable", severity: "error" },
    resources: [],
    state: !isDown ? "good" : sample.atMs - store.sinceMs >= UNREACHABLE_MS ? "bad" : "between",
    message: `The bucket gives no answer${store.reason === undefined ? "" : `: ${store.reason}`}.`,
    clearedMessage: "The bucket answers again.",
  });
  for (const [id, gateway] of sample.gateways) {
    findings.push(
      level(
        [`buffer ${id}`, "UploadBufferHigh", "UploadBufferNormal"],
        `The upload buffer of ${gateway.name}`,
        percent(gateway.uploadBufferUsedBytes, gateway.uploadBufferAllocatedBytes),
        "in use; writers are slowed down as it fills up",
        id,
      ),
      level(
        [`cache ${id}`, "CacheDirtyHigh", "CacheDirtyNormal"],
        `The cache of ${gateway.name}`,
        percent(gateway.cacheDirtyBytes, gateway.cacheAllocatedBytes),
        "not in the bucket yet; writers are slowed down as it fills up",
        id,
      ),
    );
  }
  for (const [id, { healthy, reason }] of sample.volumes) {
    findings.push({
      ...{ key: `volume ${id}`, raised: "VolumeStopped", severity: "error", resources: [id] },
      state: healthy ? "good" : "bad",
      message: `The volume ${id} has stopped${reason === undefined ? "" : `: ${reason}`}.`,
    });
  }
  const damaged = vault.damagedObjects ?? 0;
  findings.push({
    ...{ key: "verification", raised: "VerificationFailed", cleared: "VerificationPassed" },
    ...{ severity: "error", resources: [] },
    state: damaged > 0 || vault.verificationFailed === true ? "bad" : "good",
    message:
      damaged > 0
        ? `The last verification of the vault has found ${damaged} problems.`
        : "The last verification of the vault could not run to its end.",
    clearedMessage: "The last verification of the vault has found nothing wrong.",
  });
  findings.push({
    ...{ key: "collection", raised: "CollectionFailed", severity: "warning", resources: [] },
    state: vault.collectionFailed === true ? "bad" : "good",
    message: "The last collection of garbage has failed.",
  });
  return findings;
}

function level(
  [key, raised, cleared]: readonly [string, EventType, EventType],
  what: string,
  share: number | undefined,
  how: string,
  resource: string,
): Finding {
  const value = share ?? 0;
  return {
    ...{ key, raised, cleared, severity: "warning", resources: [resource] },
    state: value >= BUFFER_HIGH_PERCENT ? "bad" : value < BUFFER_NORMAL_PERCENT ? "good" : "between",
    message: `${what} is ${Math.round(value)} % ${how}.`,
    clearedMessage: `${what} is ${Math.round(value)} % ${how.replace(/;.*/, "")} again.`,
  };
}
