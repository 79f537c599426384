/** Counts the requests to the API, by operation. */
import { LATENCY_CLASSES, latencyClass } from "../platform/latency-histogram.ts";
import type { ApiCall } from "./api-call.ts";
import type { ApiFigures } from "./sample.ts";

/** More names than all services have together; what comes beyond counts as the unknown one. */
const OPERATIONS_MAX = 500;
const UNKNOWN = "unknown";
const US_PER_MS = 1000;

interface Counters {
  requests: number;
  clientErrors: number;
  serverErrors: number;
  totalUs: number;
  readonly latencies: Float64Array;
}

export class ApiMeter {
  readonly #counters = new Map<string, Counters>();

  /** Counts a call. Only operations that exist have a line of their own: see `ApiCall.operation`. */
  count({ service, operation, status, tookMs }: ApiCall): void {
    let key = `${service} ${operation === "" ? UNKNOWN : operation}`;
    if (!this.#counters.has(key) && this.#counters.size >= OPERATIONS_MAX) key = `${service} ${UNKNOWN}`;
    let counters = this.#counters.get(key);
    if (counters === undefined) {
      const latencies = new Float64Array(LATENCY_CLASSES);
      counters = { requests: 0, clientErrors: 0, serverErrors: 0, totalUs: 0, latencies };
      this.#counters.set(key, counters);
    }
    const tookUs = tookMs * US_PER_MS;
    counters.requests += 1;
    counters.totalUs += tookUs;
    const at = latencyClass(tookUs);
    counters.latencies[at] = (counters.latencies[at] ?? 0) + 1;
    if (status >= 500) counters.serverErrors += 1;
    else if (status >= 400) counters.clientErrors += 1;
  }

  get figures(): ApiFigures[] {
    return [...this.#counters].map(([key, { latencies, ...counters }]) => {
      const [service = "", operation = ""] = key.split(" ");
      return { service, operation, ...counters, latencies: Array.from(latencies) };
    });
  }
}
