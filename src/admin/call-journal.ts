/** Decides which calls are entered in the activity log. */
import type { Clock } from "../platform/clock.ts";
import type { ActivityLog } from "./activity-log.ts";
import type { ApiCall } from "./api-call.ts";

/** Parts of one thing that is entered by its beginning and end; thousands of these would drown the rest. */
const PARTS: ReadonlySet<string> = new Set(["PutSnapshotBlock"]);
/** Without a good signature anybody can make entries: of those only so many a minute, or they would push the others out. */
const STRANGERS_A_MINUTE = 30;
const MINUTE_MS = 60_000;

export class CallJournal {
  readonly #log: ActivityLog;
  readonly #clock: Clock;
  #minute = 0;
  #strangers = 0;

  constructor(log: ActivityLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Enters the call if it changed something, would have, or was refused. */
  take(call: ApiCall): void {
    const isDenied = call.error?.isDenied === true;
    if (call.caller === undefined) {
      if (isDenied && this.#mayEnterStranger()) this.#log.call(call);
      return;
    }
    if (isDenied || (call.isMutating && !PARTS.has(call.operation))) this.#log.call(call);
  }

  #mayEnterStranger(): boolean {
    const minute = Math.floor(this.#clock.monotonicMs() / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#strangers = 0;
    }
    this.#strangers += 1;
    return this.#strangers <= STRANGERS_A_MINUTE;
  }
}
