/**
 * Holds back those who write much before the system does it: it would stop the thread that they write on, and with it
 * everybody else's reads, for as long as the disks take.
 *
 * The brake goes on a little below the system's own mark, and off when the disks have caught up some way. While it is on
 * a volume may write a little at a time; what is more waits, and goes on when the brake goes off, or after a while in any
 * case: what other programs leave in memory is not for volumes to wait for.
 */
import type { Clock } from "../platform/clock.ts";
import type { DirtyPages } from "../platform/dirty-pages.ts";

/** Shares of the system's mark at which the brake goes on, and off again. */
const ON_SHARE = 0.85;
const OFF_SHARE = 0.8;
/** From this share on less is let pass. */
const HARD_SHARE = 0.97;
/** The brake is looked after this often while it is on, and a volume may write so much in between. */
const LOOK_MS = 25;
const ALLOWED_BYTES = 256 * 1024;
const ALLOWED_HARD_BYTES = 32 * 1024;
/** The longest that a write is held back. */
const HOLD_MS_MAX = 500;
/** While it is off: after so much was written, and after this part of the mark, if that is less. */
const LOOK_BYTES = 64 * 1024 * 1024;
const LOOK_PARTS = 64;

/** What one volume has written since the brake was last looked after. */
export interface BrakeShare {
  turn: number;
  bytes: number;
}

export class WriteBrake {
  readonly #clock: Clock;
  readonly #read: (() => Promise<DirtyPages | undefined>) | undefined;
  #isOn = false;
  #allowedBytes = ALLOWED_BYTES;
  #turn = 0;
  #isLooking = false;
  #unlookedBytes = 0;
  #lookAfterBytes = 0;
  #next: Promise<void> | undefined;
  #endTurn: () => void = () => {};

  /** `read` tells how things stand, and never rejects; without it the brake stays off. */
  constructor(clock: Clock, read: (() => Promise<DirtyPages | undefined>) | undefined) {
    this.#clock = clock;
    this.#read = read;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** To be told of every write: on the hot path. */
  wrote(bytes: number): void {
    this.#unlookedBytes += bytes;
    if (this.#unlookedBytes >= this.#lookAfterBytes && !this.#isLooking) this.#look();
  }

  /** Whether a write of so many bytes may go on now; counts it if it may. */
  mayPass(share: BrakeShare, bytes: number): boolean {
    if (!this.#isOn) return true;
    if (share.turn !== this.#turn) {
      share.turn = this.#turn;
      share.bytes = 0;
    }
    if (share.bytes + bytes > this.#allowedBytes) return false;
    share.bytes += bytes;
    return true;
  }

  /** Resolves when a write of so many bytes may go on; it has counted then. After half a second it may in any case. */
  async admitted(share: BrakeShare, bytes: number): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + HOLD_MS_MAX;
    while (!this.mayPass(share, bytes) && this.#clock.monotonicMs() < deadlineMs) await this.#nextTurn();
  }

  /** Resolves when the brake was looked after. */
  #nextTurn(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#endTurn = resolve;
    });
    return this.#next;
  }

  #look(): void {
    const read = this.#read;
    this.#unlookedBytes = 0;
    if (read === undefined) {
      this.#lookAfterBytes = Number.POSITIVE_INFINITY;
      return;
    }
    this.#isLooking = true;
    void read().then((pages) => {
      this.#isLooking = false;
      this.#seen(pages);
    });
  }

  #seen(pages: DirtyPages | undefined): void {
    const { dirtyBytes, markBytes } = pages ?? { dirtyBytes: 0, markBytes: Number.POSITIVE_INFINITY };
    this.#lookAfterBytes = Math.min(LOOK_BYTES, markBytes / LOOK_PARTS);
    const share = dirtyBytes / markBytes;
    this.#turn += 1;
    this.#allowedBytes = share >= HARD_SHARE ? ALLOWED_HARD_BYTES : ALLOWED_BYTES;
    this.#isOn = share >= (this.#isOn ? OFF_SHARE : ON_SHARE);
    if (this.#isOn) {
      this.#isLooking = true;
      this.#clock.after(LOOK_MS, () => this.#look());
    }
    this.#next = undefined;
    this.#endTurn();
  }
}
