/**
 * Which clean slot of a cache goes first, by S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
 * SOSP 2023): what comes in waits in a small queue, and only what is wanted again while it is there moves on to the
 * main one. A scan of a whole volume passes through the small queue and leaves the rest of the cache alone. What was
 * dropped from the small queue and comes back soon (the ghost table remembers it) goes to the main queue at once.
 *
 * A slot that becomes dirty, or free, stays in its queue as an entry that no longer counts, until it comes to the end.
 */

const NOT_QUEUED = 0;
const SMALL = 1;
const MAIN = 2;
const NONE = -1;
const USES_MAX = 3;
/** The small queue's share of all. */
const SMALL_SHARE = 10;
/** Reads of one block shortly after another are one use: this many slots must have come in between. */
const APART_MAX = 64;

interface Queue {
  head: number;
  tail: number;
  length: number;
}

export class CacheOrder {
  readonly #small: Queue = { head: NONE, tail: NONE, length: 0 };
  readonly #main: Queue = { head: NONE, tail: NONE, length: 0 };
  #queue = new Uint8Array(0);
  #clean = new Uint8Array(0);
  #uses = new Uint8Array(0);
  #usedAt = new Uint32Array(0);
  #next = new Int32Array(0);
  /** Marks of what was dropped, by place of its hash; newer ones replace older ones. */
  #ghosts = new Uint32Array(1);
  #entered = 0;
  #cleanCount = 0;
  #apart = 0;

  /** Slots that may be taken. */
  get cleanSlots(): number {
    return this.#cleanCount;
  }

  isClean(slot: number): boolean {
    return this.#clean[slot] === 1;
  }

  /** Makes room for so many slots. */
  grow(count: number): void {
    const grown = <T extends Uint8Array | Uint32Array | Int32Array>(into: T, from: T): T => {
      into.set(from);
      return into;
    };
    this.#queue = grown(new Uint8Array(count), this.#queue);
    this.#clean = grown(new Uint8Array(count), this.#clean);
    this.#uses = grown(new Uint8Array(count), this.#uses);
    this.#usedAt = grown(new Uint32Array(count), this.#usedAt);
    this.#next = grown(new Int32Array(count), this.#next);
    this.#ghosts = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, count))));
    this.#apart = Math.min(APART_MAX, count >> 4);
  }

  /** The slot holds something new. */
  entered(slot: number): void {
    this.#entered += 1;
    this.#uses[slot] = 0;
    this.#usedAt[slot] = this.#entered;
  }

  /** The slot was read or written. On the hot path. */
  used(slot: number): void {
    if ((this.#uses[slot] ?? 0) >= USES_MAX) return;
    if (this.#entered - (this.#usedAt[slot] ?? 0) < this.#apart) return;
    this.#uses[slot] = (this.#uses[slot] ?? 0) + 1;
    this.#usedAt[slot] = this.#entered;
  }

  /** The slot may be taken from now on. `key` tells what it holds from everything else. */
  add(slot: number, key: number): void {
    if (this.#clean[slot] === 1) return;
    this.#clean[slot] = 1;
    this.#cleanCount += 1;
    if (this.#queue[slot] !== NOT_QUEUED) return;
    const mark = markOf(key);
    const place = mark & (this.#ghosts.length - 1);
    const isKnown = this.#ghosts[place] === mark;
    if (isKnown) this.#ghosts[place] = 0;
    this.#push(slot, isKnown ? MAIN : SMALL);
  }

  /** The slot may not be taken any more. */
  remove(slot: number): void {
    if (this.#clean[slot] !== 1) return;
    this.#clean[slot] = 0;
    this.#cleanCount -= 1;
  }

  /** Takes the slot that is missed least; NONE where none may be taken. `keyOf` as given to `add`. */
  take(keyOf: (slot: number) => number): number {
    // Every step takes a use away from a slot, or the slot from its queue.
    while (this.#cleanCount > 0) {
      const all = this.#small.length + this.#main.length;
      const isSmall = this.#main.length === 0 || this.#small.length * SMALL_SHARE >= all;
      const slot = this.#pop(isSmall ? this.#small : this.#main);
      if (slot === NONE) continue;
      if (this.#clean[slot] !== 1) continue;
      const uses = this.#uses[slot] ?? 0;
      if (uses > 0) {
        this.#uses[slot] = isSmall ? 0 : uses - 1;
        this.#push(slot, MAIN);
        continue;
      }
      if (isSmall) {
        const mark = markOf(keyOf(slot));
        this.#ghosts[mark & (this.#ghosts.length - 1)] = mark;
      }
      this.remove(slot);
      return slot;
    }
    return NONE;
  }

  #push(slot: number, which: typeof SMALL | typeof MAIN): void {
    const queue = which === SMALL ? this.#small : this.#main;
    this.#queue[slot] = which;
    this.#next[slot] = NONE;
    if (queue.tail === NONE) queue.head = slot;
    else this.#next[queue.tail] = slot;
    queue.tail = slot;
    queue.length += 1;
  }

  #pop(queue: Queue): number {
    const slot = queue.head;
    if (slot === NONE) return NONE;
    queue.head = this.#next[slot] ?? NONE;
    if (queue.head === NONE) queue.tail = NONE;
    queue.length -= 1;
    this.#queue[slot] = NOT_QUEUED;
    return slot;
  }
}

/** 32 bits of a key, never 0. */
function markOf(key: number): number {
  const low = key % 0x1_0000_0000;
  const high = Math.floor(key / 0x1_0000_0000);
  let h = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0 || 1;
}
