/**
 * Makes a new map out of an old one and changes that come in the order of their blocks. It holds one page of each
 * level; whatever is unchanged is shared with the old map.
 */
import { strict as assert } from "node:assert";
import type { Entry } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import type { PackWriter } from "./pack-writer.ts";
import { FAN_OUT, levelsFor, Page } from "./page.ts";
import type { Checkpoint } from "./root.ts";

interface OpenPage {
  /** The page's place among those of its level. */
  readonly place: number;
  readonly page: Page;
  changed: boolean;
}

export class TreeWriter {
  readonly levels: number;
  readonly #fetcher: Fetcher;
  readonly #packs: PackWriter;
  readonly #parent: Checkpoint | undefined;
  readonly #blockCount: number;
  readonly #open: (OpenPage | undefined)[];
  #nonZeroBlocks: number;
  #lastBlock = -1;

  constructor(fetcher: Fetcher, packs: PackWriter, parent: Checkpoint | undefined, blockCount: number) {
    this.#fetcher = fetcher;
    this.#packs = packs;
    this.#parent = parent;
    this.#blockCount = blockCount;
    // A smaller map over a larger one would keep blocks that no reader can reach, and count them.
    assert(parent === undefined || parent.sizeBytes / parent.blockBytes <= blockCount);
    this.levels = Math.max(levelsFor(blockCount), parent?.levels ?? 1);
    this.#open = new Array<OpenPage | undefined>(this.levels).fill(undefined);
    this.#nonZeroBlocks = parent?.nonZeroBlocks ?? 0;
  }

  /** Blocks that are not zero, with the changes so far. */
  get nonZeroBlocks(): number {
    return this.#nonZeroBlocks;
  }

  /** The entry that the block has in the old map. It is the next one to be set, or a later one. */
  async before(block: number): Promise<Entry | undefined> {
    assert(block > this.#lastBlock && block < this.#blockCount);
    const leaf = await this.#pageAt(0, Math.floor(block / FAN_OUT));
    return leaf.page.entry(block % FAN_OUT);
  }

  /** Sets the block's entry (undefined: zero). Blocks come in ascending order. */
  async set(block: number, entry: Entry | undefined): Promise<void> {
    assert(block > this.#lastBlock && block < this.#blockCount);
    this.#lastBlock = block;
    const leaf = await this.#pageAt(0, Math.floor(block / FAN_OUT));
    const index = block % FAN_OUT;
    const before = leaf.page.entry(index);
    if (before === entry || (before !== undefined && entry?.equals(before))) return;
    if (before === undefined) this.#nonZeroBlocks += 1;
    if (entry === undefined) this.#nonZeroBlocks -= 1;
    leaf.page.set(index, entry);
    leaf.changed = true;
  }

  /** Stores the pages that changed; answers the top page's name, undefined where everything is zero. */
  async finish(): Promise<Buffer | undefined> {
    const top = await this.#pageAt(this.levels - 1, 0);
    for (let level = 0; level < this.levels - 1; level++) await this.#close(level);
    if (top.page.isZero) return undefined;
    return this.#store(top.page);
  }

  /** Nobody changes the page from now on; whoever makes the next map need not fetch it. */
  async #store(page: Page): Promise<Buffer> {
    const name = await this.#packs.store("page", page.encode());
    this.#fetcher.keepPage(name, page);
    return name;
  }

  async #pageAt(level: number, place: number): Promise<OpenPage> {
    const open = this.#open[level];
    if (open?.place === place) return open;
    await this.#close(level);
    const opened = { place, page: await this.#load(level, place), changed: false };
    this.#open[level] = opened;
    return opened;
  }

  /** Gives a page that is done to its parent. */
  async #close(level: number): Promise<void> {
    const open = this.#open[level];
    this.#open[level] = undefined;
    if (open === undefined || !open.changed) return;
    const name = open.page.isZero ? undefined : await this.#store(open.page);
    const above = await this.#pageAt(level + 1, Math.floor(open.place / FAN_OUT));
    above.page.set(open.place % FAN_OUT, name);
    above.changed = true;
  }

  /** The page as the parent root has it, or an empty one. */
  async #load(level: number, place: number): Promise<Page> {
    const parent = this.#parent;
    const top = parent?.top === undefined || parent.top === null ? undefined : Buffer.from(parent.top, "hex");
    if (parent === undefined || top === undefined) return new Page(level);
    if (level >= parent.levels) {
      // The volume has grown beyond its old top page: that one becomes the first below the new ones.
      const page = new Page(level);
      if (place === 0 && level === parent.levels) page.set(0, top);
      if (place === 0 && level > parent.levels) page.set(0, await this.#lift(parent, top, level - 1));
      return page;
    }
    let name: Buffer | undefined = top;
    for (let at = parent.levels - 1; at > level && name !== undefined; at--) {
      const page: Page = await this.#fetcher.page(name, at);
      // The old top page stands at place 0: what lies beyond it is new.
      if (at === parent.levels - 1 && place >= FAN_OUT ** (at - level)) return new Page(level);
      name = page.name(Math.floor(place / FAN_OUT ** (at - 1 - level)) % FAN_OUT);
    }
    if (name === undefined || (level === parent.levels - 1 && place > 0)) return new Page(level);
    return (await this.#fetcher.page(name, level)).copy();
  }

  /** A page of `level` whose first descendant is the old top. */
  async #lift(parent: Checkpoint, top: Buffer, level: number): Promise<Buffer> {
    const page = new Page(level);
    page.set(0, level === parent.levels ? top : await this.#lift(parent, top, level - 1));
    return this.#store(page);
  }
}
