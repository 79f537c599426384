/**
 * What one step has changed, or several rolled together: blocks in ascending order, and the entries that they have now.
 * Some 30 bytes a block, whatever is done with it; it never changes, so it can be shared.
 *
 * Its binary form, by ascending block: u32 LE block, then the entry (entry.ts).
 */
import { strict as assert } from "node:assert";
import { decodeEntry, type Entry, encodeEntry } from "./entry.ts";
import { VaultError } from "./vault-error.ts";

const BLOCK_NUMBER_BYTES = 4;
const NUMBERS_BYTES = 8;

/** A block and its entry; undefined: zeros. */
export type Change = readonly [block: number, entry: Entry | undefined];

export class Overlay {
  #size = 0;
  readonly #blocks: Uint32Array;
  /** Where each entry ends in `#entries`; one of zeros takes no bytes there. */
  readonly #ends: Uint32Array;
  readonly #entries: Buffer;

  private constructor(capacity: number, entryBytes: number) {
    this.#blocks = new Uint32Array(capacity);
    this.#ends = new Uint32Array(capacity);
    this.#entries = Buffer.alloc(entryBytes);
  }

  /** The overlay of these changes, which come by ascending block. */
  static of(changes: readonly Change[]): Overlay {
    let bytes = 0;
    for (const [, entry] of changes) bytes += entry?.length ?? 0;
    const overlay = new Overlay(changes.length, bytes);
    for (const [block, entry] of changes) overlay.#push(block, entry);
    return overlay;
  }

  /** Reads the binary form, for a volume of so many blocks. Throws a VaultError for anything else. */
  static decode(bytes: Buffer, blockCount: number): Overlay {
    const changes: Change[] = [];
    let last = -1;
    for (let at = 0; at < bytes.length; ) {
      if (at + BLOCK_NUMBER_BYTES > bytes.length)
        throw new VaultError("corrupt", "a step ends within an entry");
      const block = bytes.readUInt32LE(at);
      if (block <= last || block >= blockCount)
        throw new VaultError("corrupt", `a step has an entry of block ${block} where none can be`);
      last = block;
      const { entry, end } = decodeEntry(bytes, at + BLOCK_NUMBER_BYTES);
      changes.push([block, entry]);
      at = end;
    }
    return Overlay.of(changes);
  }

  /** How many blocks have changed. */
  get size(): number {
    return this.#size;
  }

  get memoryBytes(): number {
    return this.#blocks.length * NUMBERS_BYTES + this.#entries.length;
  }

  encode(): Buffer {
    const parts: Buffer[] = [];
    for (let i = 0; i < this.#size; i++) {
      const head = Buffer.alloc(BLOCK_NUMBER_BYTES);
      head.writeUInt32LE(this.blockAt(i), 0);
      parts.push(head, encodeEntry(this.entryAt(i)));
    }
    return Buffer.concat(parts);
  }

  /** The block of the entry at `index`; past the end: infinite. */
  blockAt(index: number): number {
    return index < this.#size ? (this.#blocks[index] ?? 0) : Number.POSITIVE_INFINITY;
  }

  /** The entry at `index`; undefined: zeros. It is shared and must not be changed. */
  entryAt(index: number): Entry | undefined {
    const start = this.#endOf(index - 1);
    const end = this.#endOf(index);
    return end === start ? undefined : this.#entries.subarray(start, end);
  }

  /** The index of the first entry whose block is `block` or a later one. */
  indexFrom(block: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.blockAt(middle) < block) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Both as one: where both have a block, `above` counts. One pass, no entry is decoded again. */
  under(above: Overlay): Overlay {
    if (above.#size === 0) return this;
    if (this.#size === 0) return above;
    const both = new Overlay(
      this.#size + above.#size,
      this.#endOf(this.#size - 1) + above.#endOf(above.#size - 1),
    );
    let mine = 0;
    for (let i = 0; i < above.#size; i++) {
      const block = above.blockAt(i);
      const next = this.indexFrom(block);
      both.#append(this, mine, next);
      both.#append(above, i, i + 1);
      mine = this.blockAt(next) === block ? next + 1 : next;
    }
    both.#append(this, mine, this.#size);
    return both.#size === both.#blocks.length ? both : both.#trimmed();
  }

  #endOf(index: number): number {
    return index < 0 ? 0 : (this.#ends[index] ?? 0);
  }

  #push(block: number, entry: Entry | undefined): void {
    const at = this.#size;
    assert(at === 0 || block > (this.#blocks[at - 1] ?? 0));
    const start = this.#endOf(at - 1);
    this.#size = at + 1;
    this.#blocks[at] = block;
    this.#ends[at] = start + (entry?.copy(this.#entries, start) ?? 0);
  }

  #append(from: Overlay, start: number, end: number): void {
    const at = this.#size;
    const to = this.#endOf(at - 1);
    const first = from.#endOf(start - 1);
    this.#size += end - start;
    this.#blocks.set(from.#blocks.subarray(start, end), at);
    for (let i = start; i < end; i++) this.#ends[at + i - start] = from.#endOf(i) - first + to;
    from.#entries.copy(this.#entries, to, first, from.#endOf(end - 1));
  }

  #trimmed(): Overlay {
    const trimmed = new Overlay(this.#size, this.#endOf(this.#size - 1));
    trimmed.#append(this, 0, this.#size);
    return trimmed;
  }
}

/** No changes at all. */
export const NO_CHANGES = Overlay.of([]);
