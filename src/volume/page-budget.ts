/**
 * How many pages of dirty maps are kept in memory, over all maps that share the budget (invariant 9: memory does not
 * grow with how much is dirty). A page that is dropped is read from its map's file when it is wanted again.
 */

/** Whoever keeps pages. */
export interface PageKeeper {
  /** Forgets the page of that index; its file has it. */
  dropPage(index: number): void;
}

/** A page that is in memory. */
export interface KeptPage {
  readonly keeper: PageKeeper;
  readonly index: number;
}

export class PageBudget {
  readonly #max: number;
  /** Least recently used first. */
  readonly #pages = new Set<KeptPage>();

  /** `max`: pages of 8 KiB. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Pages in memory. */
  get size(): number {
    return this.#pages.size;
  }

  /** The page is in use now: it comes in, or goes to the end of those to be dropped. */
  use(page: KeptPage): void {
    this.#pages.delete(page);
    this.#pages.add(page);
    if (this.#pages.size <= this.#max) return;
    const oldest = this.#pages.values().next();
    if (oldest.done) return;
    this.#pages.delete(oldest.value);
    oldest.value.keeper.dropPage(oldest.value.index);
  }

  /** The page is gone from its keeper. */
  forget(page: KeptPage): void {
    this.#pages.delete(page);
  }
}
