/** Finds the blocks of a root that are not zeros, without looking at what is. */
import type { Fetcher } from "./fetcher.ts";
import { FAN_OUT, type Page } from "./page.ts";
import type { Checkpoint } from "./root.ts";
import type { RootView } from "./roots.ts";

/** What a search has found so far. */
export interface NonZeroBlocks {
  /** Ascending. */
  readonly blocks: number[];
  /** The search has come this far: there are no others before this block. */
  readonly end: number;
}

/**
 * The blocks of [first, end) that are not all zeros; it stops behind the first `max` of them. Pages that are all zeros
 * are not there, and whatever is below them is passed over in one step.
 */
export async function nextNonZero(
  fetcher: Fetcher,
  { checkpoint, overlay }: RootView,
  first: number,
  end: number,
  max: number,
): Promise<NonZeroBlocks> {
  const blocks: number[] = [];
  let at = first;
  let changed = overlay.indexFrom(first);
  while (at < end && blocks.length < max) {
    const leaf = await nextLeaf(fetcher, checkpoint, at, end);
    // It may begin before `at`.
    const leafFirst = Math.min(leaf?.first ?? end, end);
    // Between the leaves only what has changed since the checkpoint can be there.
    for (; overlay.blockAt(changed) < leafFirst && blocks.length < max; changed++) {
      if (overlay.entryAt(changed) !== undefined) blocks.push(overlay.blockAt(changed));
      at = overlay.blockAt(changed) + 1;
    }
    if (blocks.length >= max) break;
    at = Math.max(at, leafFirst);
    for (const leafEnd = Math.min(leafFirst + FAN_OUT, end); at < leafEnd && blocks.length < max; at++) {
      const hasChanged = overlay.blockAt(changed) === at;
      const name = hasChanged ? overlay.entryAt(changed) : leaf?.page.name(at % FAN_OUT);
      if (hasChanged) changed += 1;
      if (name !== undefined) blocks.push(at);
    }
  }
  return { blocks, end: Math.min(at, end) };
}

/** The first level-0 page that holds an entry of [first, end), and the block of the page's own first entry. */
async function nextLeaf(
  fetcher: Fetcher,
  { top, levels }: Checkpoint,
  first: number,
  end: number,
): Promise<{ page: Page; first: number } | undefined> {
  if (top === null) return undefined;
  for (let at = first; at < end; ) {
    let name: Buffer | undefined = Buffer.from(top, "hex");
    for (let level = levels - 1; name !== undefined; level--) {
      const page: Page = await fetcher.page(name, level);
      if (level === 0) return { page, first: at - (at % FAN_OUT) };
      const spanBlocks = FAN_OUT ** level;
      const start = Math.floor(at / spanBlocks) % FAN_OUT;
      let index = start;
      while (index < FAN_OUT && page.name(index) === undefined) index += 1;
      // Where nothing follows in this page, the search goes on behind it, from the top.
      if (index > start) at = (Math.floor(at / spanBlocks) - start + index) * spanBlocks;
      name = index < FAN_OUT ? page.name(index) : undefined;
      if (level === levels - 1 && name === undefined) return undefined;
    }
  }
  return undefined;
}
