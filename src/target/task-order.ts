/**
 * What the task attributes of commands ask for (SAM-5, 8.6 and 8.7): an ORDERED command is carried out when all that came
 * before it have ended, and none that came after it has begun; one for the HEAD OF QUEUE at once, before all that wait.
 *
 * Commands belong to generations: an ORDERED one to its own. A command waits while one of an older generation has not
 * ended. As long as all are of one generation, nothing is noted of any of them.
 *
 * Kept for each session: initiators can't tell in which order the commands of two of them have come.
 */
export const ATTRIBUTE = { untagged: 0, simple: 1, ordered: 2, headOfQueue: 3 } as const;

/** Of what is at the head of the queue: older than all the others. */
const HEAD = -1;

interface Waiting {
  readonly tag: number;
  readonly go: () => void;
}

export class TaskOrder {
  readonly #isUnfinished: (tag: number) => boolean;
  readonly #generations = new Map<number, number>();
  #waiting: Waiting[] = [];
  #newest = 0;

  /** `isUnfinished`: whether the command of that tag is here and has not ended. */
  constructor(isUnfinished: (tag: number) => boolean) {
    this.#isUnfinished = isUnfinished;
  }

  /** Whether no command has to wait for another. On the hot path. */
  get isOpen(): boolean {
    return this.#generations.size === 0;
  }

  /** A command has come. `before`: those that have not ended. To be called where one asks for an order, and until it is open. */
  arrived(tag: number, attribute: number, before: Iterable<number>): void {
    if (this.isOpen) for (const older of before) this.#generations.set(older, this.#newest);
    if (attribute === ATTRIBUTE.headOfQueue) {
      this.#generations.set(tag, HEAD);
      return;
    }
    if (attribute === ATTRIBUTE.ordered) this.#newest += 1;
    this.#generations.set(tag, this.#newest);
    if (attribute === ATTRIBUTE.ordered) this.#newest += 1;
  }

  /** Whether the command may not be carried out yet. */
  mustWait(tag: number): boolean {
    const own = this.#generations.get(tag) ?? HEAD;
    for (const [other, generation] of this.#generations) {
      if (generation < own && other !== tag && this.#isUnfinished(other)) return true;
    }
    return false;
  }

  /** Resolves when the command may go on, or has been ended. */
  turnOf(tag: number): Promise<void> {
    return new Promise((go) => this.#waiting.push({ tag, go }));
  }

  /** Commands may have ended. */
  ended(): void {
    if (this.isOpen) return;
    let oldest = this.#newest;
    for (const [tag, generation] of this.#generations) {
      if (this.#isUnfinished(tag)) oldest = Math.min(oldest, generation);
      else this.#generations.delete(tag);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) {
      if (this.mustWait(each.tag)) this.#waiting.push(each);
      else each.go();
    }
    if (oldest === this.#newest) this.#generations.clear();
  }
}
