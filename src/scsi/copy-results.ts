/** What became of the copies that initiators asked for (RECEIVE COPY STATUS, SPC-4, 6.21). */

export interface CopyResult {
  readonly failed: boolean;
  readonly segments: number;
  readonly bytes: number;
}

/** The oldest are forgotten: an initiator asks soon, or never. */
const RESULTS_MAX = 64;

export class CopyResults {
  readonly #results = new Map<string, CopyResult>();

  /** Keeps the result under the initiator's own list identifier. */
  keep(initiatorPort: string, listId: number, result: CopyResult): void {
    const key = keyOf(initiatorPort, listId);
    this.#results.delete(key);
    this.#results.set(key, result);
    if (this.#results.size <= RESULTS_MAX) return;
    const oldest = this.#results.keys().next();
    if (!oldest.done) this.#results.delete(oldest.value);
  }

  /** Answers the result once: it is forgotten with that. */
  take(initiatorPort: string, listId: number): CopyResult | undefined {
    const key = keyOf(initiatorPort, listId);
    const result = this.#results.get(key);
    this.#results.delete(key);
    return result;
  }
}

function keyOf(initiatorPort: string, listId: number): string {
  return `${initiatorPort} ${listId}`;
}
