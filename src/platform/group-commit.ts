/**
 * Lets many callers share one expensive action, such as a sync.
 *
 * A call that comes while the action runs is served by the next run, never by the running one: what the caller did
 * before its call is always covered.
 */
export class GroupCommit {
  readonly #action: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(action: () => Promise<void>) {
    this.#action = action;
  }

  /** Resolves when a run that began after this call has succeeded; rejects as that run rejects. */
  run(): Promise<void> {
    // Between the end of a run and the beginning of the one that others wait for, that one is still to come.
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    const after = () => {
      this.#next = undefined;
      return this.#start();
    };
    this.#next = this.#running.then(after, after);
    return this.#next;
  }

  #start(): Promise<void> {
    const run = this.#action().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }
}
