/** Task management functions (RFC 7143, 11.5 and 11.6; SAM-5, 7). */
import { AT, BHS_BYTES, lunOf } from "../iscsi/bhs.ts";
import type { LogicalUnit } from "../scsi/logical-unit.ts";

const FUNCTION = {
  abortTask: 1,
  abortTaskSet: 2,
  clearTaskSet: 4,
  lunReset: 5,
  warmReset: 6,
  coldReset: 7,
  reassign: 8,
};
const RESPONSE = {
  complete: 0,
  noTask: 1,
  noLun: 2,
  noReassignment: 4,
  notSupported: 5,
  rejected: 255,
};
/** Functions that wait for tasks to end; what goes beyond is refused. */
const MANAGING_MAX = 16;

/** A session as task management knows it. */
export interface ManagedSession {
  /** Ends all commands unanswered; resolves when none of them touches the device any more. */
  abortTasks(): Promise<void>;
  /** Ends one, likewise; answers whether there was one. */
  abortTask(tag: number): Promise<boolean>;
  /** The commands, if there are any, are about to end by another initiator's doing (SAM-5, 5.6). */
  attendCleared(): void;
}

export class TaskManagement {
  readonly #own: ManagedSession;
  readonly #all: () => Iterable<ManagedSession>;
  readonly #unit: LogicalUnit;
  #managing = 0;

  /** `all`: the sessions of the target, this one among them. */
  constructor(own: ManagedSession, all: () => Iterable<ManagedSession>, unit: LogicalUnit) {
    this.#own = own;
    this.#all = all;
    this.#unit = unit;
  }

  /**
   * Carries the request out, and answers its response when nothing of the tasks touches the device any more.
   * `respond` may end the sessions afterwards: `isColdReset` says that all of the target's have to.
   */
  request(bhs: Buffer, respond: (header: Buffer, response: number, isColdReset: boolean) => void): void {
    const header = Buffer.from(bhs.subarray(0, BHS_BYTES));
    if (this.#managing >= MANAGING_MAX) {
      respond(header, RESPONSE.rejected, false);
      return;
    }
    this.#managing += 1;
    const done = this.#manage(header).then(
      (response) => response,
      () => RESPONSE.rejected,
    );
    void done.then((response) => {
      this.#managing -= 1;
      const isColdReset = functionOf(header) === FUNCTION.coldReset && response === RESPONSE.complete;
      respond(header, response, isColdReset);
    });
  }

  async #manage(bhs: Buffer): Promise<number> {
    const wanted = functionOf(bhs);
    const forTarget = wanted === FUNCTION.warmReset || wanted === FUNCTION.coldReset;
    if (!forTarget && lunOf(bhs) !== 0) return RESPONSE.noLun;
    if (wanted === FUNCTION.abortTask) {
      const found = await this.#own.abortTask(bhs.readUInt32BE(AT.referencedTaskTag));
      return found ? RESPONSE.complete : RESPONSE.noTask;
    }
    if (wanted === FUNCTION.abortTaskSet) {
      await this.#own.abortTasks();
      return RESPONSE.complete;
    }
    if (forTarget || wanted === FUNCTION.lunReset || wanted === FUNCTION.clearTaskSet) {
      const sessions = [...this.#all()];
      const isReset = wanted !== FUNCTION.clearTaskSet;
      if (!isReset) for (const session of sessions) if (session !== this.#own) session.attendCleared();
      await Promise.all(sessions.map((session) => session.abortTasks()));
      if (isReset) this.#unit.reset();
      return RESPONSE.complete;
    }
    return wanted === FUNCTION.reassign ? RESPONSE.noReassignment : RESPONSE.notSupported;
  }
}

function functionOf(bhs: Buffer): number {
  return bhs.readUInt8(1) & 0x7f;
}
