/** Work in the background that rests the more, the more others have to do. */
import { type Clock, delay, nextTurn } from "./clock.ts";

/** A rest shorter than this is not worth its timer. */
const REST_MS_MIN = 2;
const REST_MS_MAX = 50;
/** Where others are at work all the time, work takes a third of it. */
const REST_FOR_WORK = 2;

export class Courtesy {
  readonly #clock: Clock;
  readonly #load: () => number;
  #workingSinceMs = 0;
  #rest: Promise<void> | undefined;

  /** `load`: what part of their time those who come first are at work, 0 to 1. */
  constructor(clock: Clock, load: () => number) {
    this.#clock = clock;
    this.#load = load;
  }

  /**
   * To be called between pieces of work, by all jobs of a thread. Where others are busy all the time, it rests twice as
   * long as it has worked; all jobs rest together.
   */
  turn(): Promise<void> {
    if (this.#rest !== undefined) return this.#rest;
    const workedMs = this.#clock.monotonicMs() - this.#workingSinceMs;
    const restMs = Math.min(workedMs * this.#load() * REST_FOR_WORK, REST_MS_MAX);
    if (restMs < REST_MS_MIN) return nextTurn();
    this.#rest = delay(this.#clock, restMs).then(() => {
      this.#workingSinceMs = this.#clock.monotonicMs();
      this.#rest = undefined;
    });
    return this.#rest;
  }
}
