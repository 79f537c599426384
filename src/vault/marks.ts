/** What the roots of a vault reach: which records of which packs are alive. */
import type { ChunkIndex } from "./chunk-index.ts";
import { baseName, deltaNames, type Entry } from "./entry.ts";
import type { Fetcher } from "./fetcher.ts";
import { FAN_OUT, type Page } from "./page.ts";
import { baseKeys } from "./root.ts";
import type { Roots } from "./roots.ts";
import { VaultError } from "./vault-error.ts";

const BITMAP_BYTES_MIN = 64;

export class Marks {
  readonly #packs = new Map<string, { bits: Uint8Array; liveBytes: number }>();
  #records = 0;

  /** Records that are alive. */
  get records(): number {
    return this.#records;
  }

  /** Marks a record; answers whether it was marked already. */
  add(packId: string, number: number, storedBytes: number): boolean {
    let pack = this.#packs.get(packId);
    if (pack === undefined) {
      pack = { bits: new Uint8Array(BITMAP_BYTES_MIN), liveBytes: 0 };
      this.#packs.set(packId, pack);
    }
    const at = number >> 3;
    if (at >= pack.bits.length) {
      const grown = new Uint8Array(Math.max(at + 1, pack.bits.length * 2));
      grown.set(pack.bits);
      pack.bits = grown;
    }
    const bit = 1 << (number & 7);
    if (((pack.bits[at] ?? 0) & bit) !== 0) return true;
    pack.bits[at] = (pack.bits[at] ?? 0) | bit;
    pack.liveBytes += storedBytes;
    this.#records += 1;
    return false;
  }

  hasPack(packId: string): boolean {
    return this.#packs.has(packId);
  }

  has(packId: string, number: number): boolean {
    return ((this.#packs.get(packId)?.bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }

  /** Stored bytes of the pack's records that are alive. */
  liveBytes(packId: string): number {
    return this.#packs.get(packId)?.liveBytes ?? 0;
  }
}

export interface MarkParts {
  readonly roots: Roots;
  readonly fetcher: Fetcher;
  readonly index: ChunkIndex;
  readonly pause: () => Promise<void>;
  /** Whether a root that was listed has been deleted since. */
  readonly isGone: (rootKey: string) => Promise<boolean>;
  readonly onRoot: (done: number, total: number) => void;
}

/**
 * Marks everything that the roots reach. Rejects where a root or a page can't be read, or a record is nowhere: then it
 * is not known what is alive, and nothing may be taken for dead.
 */
export async function mark(rootKeys: readonly string[], parts: MarkParts): Promise<Marks> {
  const marker = new Marker(parts);
  const known = new Set(rootKeys);
  for (const [i, key] of rootKeys.entries()) {
    parts.onRoot(i, rootKeys.length);
    try {
      await marker.root(key, known);
    } catch (error) {
      const isLost = error instanceof VaultError && error.kind === "notFound";
      if (!isLost || !(await parts.isGone(key))) throw error;
    }
    await parts.pause();
  }
  parts.onRoot(rootKeys.length, rootKeys.length);
  return marker.marks;
}

class Marker {
  readonly marks = new Marks();
  readonly #parts: MarkParts;

  constructor(parts: MarkParts) {
    this.#parts = parts;
  }

  async root(key: string, known: ReadonlySet<string>): Promise<void> {
    const { root } = await this.#parts.roots.view(key);
    if (root.kind === "step") {
      // What it stands on is marked as a root of its own.
      for (const base of baseKeys(root))
        if (!known.has(base))
          throw new VaultError("notFound", `${key} stands on ${base}, which is not listed`);
      for (let i = 0; i < root.entries.size; i++) await this.#entry(root.entries.entryAt(i));
      return;
    }
    if (root.top === null) return;
    const top = Buffer.from(root.top, "hex");
    if (await this.#record(top)) return;
    await this.#below([top], root.levels - 1);
  }

  /** Marks what is below the pages, which are marked themselves: all of one level at a time, up to a page's worth. */
  async #below(names: readonly Buffer[], level: number): Promise<void> {
    const pages = await this.#parts.fetcher.pages(names, level);
    for (const page of pages) {
      await this.#parts.pause();
      if (level === 0) await this.#leaf(page);
      else await this.#below(await this.#unmarked(page), level - 1);
    }
  }

  async #leaf(page: Page): Promise<void> {
    for (let i = 0; i < FAN_OUT; i++) await this.#entry(page.entry(i));
  }

  async #unmarked(page: Page): Promise<Buffer[]> {
    const names: Buffer[] = [];
    for (let i = 0; i < FAN_OUT; i++) {
      const name = page.name(i);
      if (name !== undefined && !(await this.#record(name))) names.push(name);
    }
    return names;
  }

  async #entry(entry: Entry | undefined): Promise<void> {
    if (entry === undefined) return;
    await this.#record(baseName(entry));
    for (const name of deltaNames(entry)) await this.#record(name);
  }

  /** Marks a record; answers whether it was marked already. */
  async #record(name: Buffer): Promise<boolean> {
    const { index, fetcher } = this.#parts;
    let location = index.find(name);
    if (location === undefined) {
      await fetcher.refresh();
      location = index.find(name);
      if (location === undefined)
        throw new VaultError("notFound", `record ${name.toString("hex")}, which a root needs, is in no pack`);
    }
    return this.marks.add(location.packId, location.number, location.storedBytes);
  }
}
