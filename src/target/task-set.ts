/**
 * The commands of a session that are carried out beyond the hot path, or wait for an earlier session's to end: what can
 * be aborted, and has to have ended before anybody is told that nothing touches the device any more.
 */
import { strict as assert } from "node:assert";
import type { WriteTask } from "./write-task.ts";

interface RunningTask {
  aborted: boolean;
  /** Told to commands that go on for long: they end soon, or let go of the session. */
  readonly abort: AbortController | undefined;
  readonly done: Promise<void>;
}

interface HeldTask {
  readonly owner: WriteTask | undefined;
}

export class TaskSet {
  readonly #running = new Map<number, RunningTask>();
  readonly #held = new Map<number, HeldTask>();
  readonly #giveBack: (owner: WriteTask) => void;
  readonly #onAborted: () => void;
  readonly #onEnded: () => void;
  #isClosed = false;

  /** `giveBack`: the buffer of a write is not needed any more. `onAborted`: tasks that wait may look again. `onEnded`: one has. */
  constructor(giveBack: (owner: WriteTask) => void, onAborted: () => void, onEnded: () => void) {
    this.#giveBack = giveBack;
    this.#onAborted = onAborted;
    this.#onEnded = onEnded;
  }

  get size(): number {
    return this.#running.size + this.#held.size;
  }

  /** The tags of all of them. */
  get tags(): readonly number[] {
    return [...this.#running.keys(), ...this.#held.keys()];
  }

  /** Whether commands still touch the device. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  has(tag: number): boolean {
    return this.#running.has(tag) || this.#held.has(tag);
  }

  /** Whether the running task's answer is still waited for. */
  isWanted(tag: number): boolean {
    return !this.#isClosed && this.#running.get(tag)?.aborted === false;
  }

  /**
   * Runs `action` as a task that can be aborted, and gives the buffer of `owner` back when it has ended. Then, unless it
   * was aborted, `succeeded` or `failed` is called.
   */
  run(
    tag: number,
    owner: WriteTask | undefined,
    action: () => Promise<void>,
    succeeded: () => void,
    failed: (error: unknown) => void,
    abort?: AbortController,
  ): void {
    assert(!this.#running.has(tag));
    const finish = (answer: () => void) => {
      this.#running.delete(tag);
      if (owner !== undefined) this.#giveBack(owner);
      if (!task.aborted && !this.#isClosed) answer();
      this.#onEnded();
    };
    // Registered before it starts: an action may ask whether it was aborted.
    const start = Promise.resolve().then(action);
    const done = start.then(
      () => finish(succeeded),
      (error: unknown) => finish(() => failed(error)),
    );
    const task: RunningTask = { aborted: false, abort, done };
    this.#running.set(tag, task);
  }

  /** Lets a task wait for `barrier` before it goes on, unless it was aborted. */
  hold(tag: number, owner: WriteTask | undefined, barrier: Promise<void>, goOn: () => void): void {
    const held = { owner };
    this.#held.set(tag, held);
    void barrier.then(() => {
      // Whoever has ended it meanwhile has given its buffer back.
      if (this.#held.get(tag) !== held) return;
      this.#held.delete(tag);
      goOn();
    });
  }

  /** Ends one unanswered; answers whether there was one, when it touches the device no more. */
  async abort(tag: number): Promise<boolean> {
    const held = this.#held.get(tag);
    if (held !== undefined) {
      this.#held.delete(tag);
      if (held.owner !== undefined) this.#giveBack(held.owner);
      return true;
    }
    const running = this.#running.get(tag);
    if (running === undefined) return false;
    abortTask(running);
    this.#onAborted();
    await running.done;
    return true;
  }

  /** Ends all unanswered; resolves when none of them touches the device any more. */
  async abortAll(): Promise<void> {
    for (const { owner } of this.#held.values()) if (owner !== undefined) this.#giveBack(owner);
    this.#held.clear();
    const running = [...this.#running.values()];
    for (const task of running) abortTask(task);
    this.#onAborted();
    await Promise.all(running.map((task) => task.done));
  }

  /** The connection is gone: what is running ends unheard. */
  close(): void {
    this.#isClosed = true;
    void this.abortAll();
  }

  /** Resolves when no command touches the device any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map((task) => task.done));
  }
}

function abortTask(task: RunningTask): void {
  task.aborted = true;
  task.abort?.abort();
}
