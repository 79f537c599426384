/**
 * SANITIZE (SBC-4, 4.11): everything the unit holds becomes zeros, or a pattern, and nothing else is done meanwhile.
 *
 * It goes by the device's own writes and unmaps, so that snapshots made before stay as they are. It is written down
 * before it begins, and goes on after a restart; no reset and no loss of a session ends it. One that has failed keeps
 * the unit closed until another one succeeds, or until an initiator that was allowed to gives up on it.
 */
import { type Clock, delay, nextTurn } from "../platform/clock.ts";
import { DeviceError } from "../platform/device-error.ts";
import type { BlockDevice } from "./block-device.ts";
import type { RangeLocks } from "./range-locks.ts";
import type { SanitizeOrder } from "./unit-state-file.ts";

const STEP_BYTES = 1024 * 1024;
/** An overwrite lasts at least so long: who asks for progress sees it, also on a unit that is written in a moment. */
const OVERWRITE_MS_MIN = 6_000;
const BUSY_MS = 1_000;
const BUSY_ATTEMPTS_MAX = 3_600;

export class Sanitizer {
  readonly #device: BlockDevice;
  readonly #locks: RangeLocks;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #order: SanitizeOrder | undefined;
  #progress: number | undefined;
  #hasFailed = false;

  /** `onChange` makes the order durable and is told of every beginning and end. */
  constructor(device: BlockDevice, locks: RangeLocks, clock: Clock, onChange: () => void) {
    this.#device = device;
    this.#locks = locks;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** What is being done, or has failed. */
  get order(): SanitizeOrder | undefined {
    return this.#order;
  }

  /** From 0 to 1 while one is under way. */
  get progress(): number | undefined {
    return this.#progress;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether the unit does nothing else now. */
  get isActive(): boolean {
    return this.#progress !== undefined || this.#hasFailed;
  }

  /**
   * Begins; the order is durable when this returns. The promise resolves when all is done, and rejects where it has
   * failed. Throws what the store throws, with nothing begun.
   */
  start(order: SanitizeOrder): Promise<void> {
    const before = { order: this.#order, hasFailed: this.#hasFailed };
    this.#order = order;
    this.#hasFailed = false;
    this.#progress = 0;
    try {
      this.#onChange();
    } catch (error) {
      this.#order = before.order;
      this.#hasFailed = before.hasFailed;
      this.#progress = undefined;
      throw error;
    }
    return this.#run(order);
  }

  /** Goes on with what a restart has interrupted, from the beginning. */
  resume(order: SanitizeOrder): void {
    this.#order = order;
    this.#progress = 0;
    // A failure is kept as the unit's state: there is no command to tell it to.
    void nextTurn().then(() => this.#run(order).catch(() => {}));
  }

  /** EXIT FAILURE MODE: the unit opens again, whatever it holds. */
  exitFailure(): void {
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    this.#order = undefined;
    this.#onChange();
  }

  async #run(order: SanitizeOrder): Promise<void> {
    try {
      const size = this.#device.sizeBytes;
      // Writes that were under way when it began come first.
      await this.#locks.exclusive(0, size, () => this.#erase(order, size));
      this.#order = undefined;
      this.#progress = undefined;
      this.#onChange();
    } catch (error) {
      // Also where only its end could not be written down: a restart would begin again, over what was written since.
      this.#order = order;
      this.#hasFailed = true;
      this.#progress = undefined;
      this.#onFailure();
      throw error;
    }
  }

  /** That it has failed needs no record: the order itself is still there. */
  #onFailure(): void {
    try {
      this.#onChange();
    } catch {
      // The store has failed, too; the state in memory holds, and after a restart the order is carried out again.
    }
  }

  async #erase({ pattern, passes, inverts }: SanitizeOrder, size: number): Promise<void> {
    const blockBytes = this.#device.logicalBlockBytes;
    const startedMs = this.#clock.monotonicMs();
    for (let pass = 0; pass < passes; pass++) {
      const block = pattern === undefined ? undefined : Buffer.alloc(blockBytes, pattern);
      if (block !== undefined && inverts && pass % 2 === 1)
        for (let i = 0; i < blockBytes; i++) block[i]! ^= 0xff;
      const content = block && Buffer.alloc(STEP_BYTES, block);
      for (let at = 0; at < size; at += STEP_BYTES) {
        await this.#eraseStep(at, Math.min(STEP_BYTES, size - at), content);
        this.#progress = (pass + Math.min(at + STEP_BYTES, size) / size) / passes;
        await nextTurn();
      }
      await this.#device.flush();
    }
    const left = OVERWRITE_MS_MIN - (this.#clock.monotonicMs() - startedMs);
    if (pattern !== undefined && left > 0) await delay(this.#clock, left);
  }

  /** A cache that is full for the moment holds it up; it does not end it. */
  async #eraseStep(offset: number, length: number, content: Buffer | undefined): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (content === undefined) await this.#device.unmap(offset, length);
        else if (!this.#device.tryWrite(offset, content, 0, length)) {
          await this.#device.write(offset, content, 0, length);
        }
        return;
      } catch (error) {
        if (!(error instanceof DeviceError) || error.kind !== "busy" || attempt >= BUSY_ATTEMPTS_MAX)
          throw error;
        await delay(this.#clock, BUSY_MS);
      }
    }
  }
}
