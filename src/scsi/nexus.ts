/** An I_T nexus as the logical unit knows it: who is there, and what it has not been told yet. */
import { strict as assert } from "node:assert";
import type { SenseCode } from "./sense.ts";

/** More conditions than this at a time lose the oldest: an initiator that asks for nothing keeps no memory. */
const ATTENTIONS_MAX = 16;

export class Nexus {
  /** The initiator's iSCSI name. */
  readonly initiatorName: string;
  /** The initiator port's name, `NAME,i,0xISID` (RFC 7143, 4.2.7.2): reservations are held by it. */
  readonly initiatorPort: string;
  readonly #abortTasks: () => Promise<void>;
  #attentions: SenseCode[] = [];

  /** `abortTasks` ends the nexus's commands, and resolves when none of them touches the device any more. */
  constructor(initiatorName: string, isid: Buffer, abortTasks: () => Promise<void>) {
    assert(isid.length === 6);
    this.initiatorName = initiatorName;
    // Names are the same whatever their case (RFC 3722).
    this.initiatorPort = `${initiatorName.toLowerCase()},i,0x${isid.toString("hex")}`;
    this.#abortTasks = abortTasks;
  }

  /** Whether a unit attention condition waits to be told (SAM-5, 5.14). */
  get hasAttention(): boolean {
    return this.#attentions.length > 0;
  }

  /** Whether this condition waits to be told. */
  isWaiting(condition: SenseCode): boolean {
    return this.#attentions.includes(condition);
  }

  /** Establishes a unit attention condition; one that waits already is not told twice. */
  attend(condition: SenseCode): void {
    if (this.#attentions.includes(condition)) return;
    this.#attentions.push(condition);
    if (this.#attentions.length > ATTENTIONS_MAX) this.#attentions.shift();
  }

  /** The oldest condition, which is told with this. */
  takeAttention(): SenseCode | undefined {
    return this.#attentions.shift();
  }

  abortTasks(): Promise<void> {
    return this.#abortTasks();
  }
}
