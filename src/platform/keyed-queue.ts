import { SerialQueue } from "./serial-queue.ts";

/** Runs actions of one key one after the other; those of different keys side by side. */
export class KeyedQueue<Key> {
  readonly #queues = new Map<Key, { readonly queue: SerialQueue; waiting: number }>();

  async run<T>(key: Key, action: () => Promise<T>): Promise<T> {
    const entry = this.#queues.get(key) ?? { queue: new SerialQueue(), waiting: 0 };
    this.#queues.set(key, entry);
    entry.waiting += 1;
    try {
      return await entry.queue.run(action);
    } finally {
      entry.waiting -= 1;
      if (entry.waiting === 0) this.#queues.delete(key);
    }
  }
}
