/**
 * Which blocks differ between two roots, in time proportional to what differs: equal pages have equal names, and what
 * is below them is not looked at.
 */
import { strict as assert } from "node:assert";
import { type Entry, isSameBlock } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import { FAN_OUT } from "./page.ts";
import type { Checkpoint } from "./root.ts";
import type { RootView } from "./roots.ts";

/** A block in which two roots differ, and its entry in each; undefined: zeros, or beyond the root's size. */
export interface Difference {
  readonly block: number;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/**
 * The blocks of [first, end) whose content differs, ascending. Without `before` those that are not zeros. Rejects with
 * a VaultError where a page can't be had. With "records" also those that hold the same, but are made of other records.
 */
export async function* differences(
  fetcher: Fetcher,
  before: RootView | undefined,
  after: RootView,
  first: number,
  end: number,
  what: "content" | "records" = "content",
): AsyncGenerator<Difference> {
  const isSame = what === "content" ? isSameBlock : isSameEntry;
  const changed = changedSince(before, after, first, end);
  let next = changed.next();
  const levels = Math.max(before?.checkpoint.levels ?? 1, after.checkpoint.levels);
  const tops = [topOf(before?.checkpoint), topOf(after.checkpoint)] as const;
  const walk = new Walk(fetcher, first, end, isSame);
  for await (const found of walk.below(tops, levels - 1, 0)) {
    // What steps have changed is told by them, and not by the maps below them.
    for (; !next.done && next.value < found.block; next = changed.next()) yield* own(next.value);
    if (!next.done && next.value === found.block) continue;
    yield found;
  }
  for (; !next.done; next = changed.next()) yield* own(next.value);

  async function* own(block: number): AsyncGenerator<Difference> {
    const was = before === undefined ? undefined : (await fetcher.entries(before, block, 1))[0];
    const is = (await fetcher.entries(after, block, 1))[0];
    if (!isSame(was, is)) yield { block, before: was, after: is };
  }
}

/** The blocks of [first, end) whose content differs, up to `max` of them; `end` is how far the search has come. */
export async function nextChanged(
  fetcher: Fetcher,
  before: RootView | undefined,
  after: RootView,
  first: number,
  end: number,
  max: number,
): Promise<{ readonly blocks: number[]; readonly end: number }> {
  const blocks: number[] = [];
  for await (const { block } of differences(fetcher, before, after, first, end)) {
    blocks.push(block);
    if (blocks.length >= max) return { blocks, end: block + 1 };
  }
  return { blocks, end };
}

/**
 * A map that is read as one of more levels than it has: the first part of a larger volume's. Above its own top page
 * there is nothing but it.
 */
class Lifted {
  readonly top: Buffer;
  readonly levels: number;

  constructor(top: Buffer, levels: number) {
    this.top = top;
    this.levels = levels;
  }
}

/** A subtree: the name of its page, or a map that is to be lifted to its level; undefined: all zeros. */
type Node = Buffer | Lifted | undefined;

class Walk {
  readonly #fetcher: Fetcher;
  readonly #first: number;
  readonly #end: number;
  readonly #isSame: typeof isSameBlock;

  constructor(fetcher: Fetcher, first: number, end: number, isSame: typeof isSameBlock) {
    this.#isSame = isSame;
    this.#fetcher = fetcher;
    this.#first = first;
    this.#end = end;
  }

  /** What differs below two nodes of `level` whose first block is `start`. */
  async *below(nodes: readonly [Node, Node], level: number, start: number): AsyncGenerator<Difference> {
    const [before, after] = nodes;
    if (isSameNode(before, after)) return;
    const span = FAN_OUT ** level;
    const [was, is] = [await this.#children(before, level), await this.#children(after, level)];
    const from = Math.max(0, Math.floor((this.#first - start) / span));
    for (let i = from; i < FAN_OUT && start + i * span < this.#end; i++) {
      const [a, b] = [was(i), is(i)];
      if (level > 0) yield* this.below([a, b], level - 1, start + i * span);
      else if (!this.#isSame(entryOf(a), entryOf(b)))
        yield { block: start + i, before: entryOf(a), after: entryOf(b) };
    }
  }

  async #children(node: Node, level: number): Promise<(index: number) => Node> {
    if (node === undefined) return () => undefined;
    if (node instanceof Lifted && node.levels <= level) {
      const below = node.levels === level ? node.top : node;
      return (index) => (index === 0 ? below : undefined);
    }
    const page = await this.#fetcher.page(node instanceof Lifted ? node.top : node, level);
    return (index) => page.entry(index);
  }
}

function isSameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b));
}

/** On level 0 nodes are entries. */
function entryOf(node: Node): Entry | undefined {
  assert(!(node instanceof Lifted));
  return node;
}

function isSameNode(a: Node, b: Node): boolean {
  if (a instanceof Buffer && b instanceof Buffer) return a.equals(b);
  if (a instanceof Lifted && b instanceof Lifted) return a.levels === b.levels && a.top.equals(b.top);
  return a === b;
}

function topOf(checkpoint: Checkpoint | undefined): Node {
  if (checkpoint === undefined || checkpoint.top === null) return undefined;
  return new Lifted(Buffer.from(checkpoint.top, "hex"), checkpoint.levels);
}

/** The blocks of [first, end) that the steps of either root have changed, ascending and once each. */
function* changedSince(
  before: RootView | undefined,
  after: RootView,
  first: number,
  end: number,
): Generator<number, undefined> {
  let a = before?.overlay.indexFrom(first) ?? 0;
  let b = after.overlay.indexFrom(first);
  for (;;) {
    const was = before?.overlay.blockAt(a) ?? Number.POSITIVE_INFINITY;
    const is = after.overlay.blockAt(b);
    const block = Math.min(was, is);
    if (block >= end) return undefined;
    if (was === block) a += 1;
    if (is === block) b += 1;
    yield block;
  }
}
