/**
 * What one step has changed, or several rolled together: blocks in ascending order, and the names that their chunks
 * have now. Some 25 bytes a block, whatever is done with it; it never changes, so it can be shared.
 *
 * Its binary form, by ascending block:
 *
 * ```
 * u32 LE block · u8 kind (0 zeros, 1 full) · for a full one the name of its chunk, 20 bytes
 * ```
 */
import { strict as assert } from "node:assert";
import { NAME_BYTES } from "./key-ring.ts";
import { ENTRY_KIND } from "./page.ts";
import { VaultError } from "./vault-error.ts";

const ENTRY_HEAD_BYTES = 5;
const BYTES_IN_MEMORY = 4 + 1 + NAME_BYTES;

/** A block and the name of its chunk; undefined: zeros. */
export type Entry = readonly [block: number, name: Buffer | undefined];

export class Overlay {
  #size = 0;
  readonly #blocks: Uint32Array;
  readonly #kinds: Uint8Array;
  readonly #names: Buffer;

  private constructor(capacity: number) {
    this.#blocks = new Uint32Array(capacity);
    this.#kinds = new Uint8Array(capacity);
    this.#names = Buffer.alloc(capacity * NAME_BYTES);
  }

  /** The overlay of these entries, which come by ascending block. */
  static of(entries: readonly Entry[]): Overlay {
    const overlay = new Overlay(entries.length);
    for (const [block, name] of entries) overlay.#push(block, name);
    return overlay;
  }

  /** Reads the binary form, for a volume of so many blocks. Throws a VaultError for anything else. */
  static decode(bytes: Buffer, blockCount: number): Overlay {
    const entries: Entry[] = [];
    let last = -1;
    for (let at = 0; at < bytes.length; ) {
      if (at + ENTRY_HEAD_BYTES > bytes.length)
        throw new VaultError("corrupt", "a step ends within an entry");
      const block = bytes.readUInt32LE(at);
      const kind = bytes.readUInt8(at + 4);
      at += ENTRY_HEAD_BYTES;
      if (block <= last || block >= blockCount)
        throw new VaultError("corrupt", `a step has an entry of block ${block} where none can be`);
      last = block;
      if (kind !== ENTRY_KIND.zero && kind !== ENTRY_KIND.full)
        throw new VaultError("unknownFormat", `entry kind ${kind} of a step is not known here`);
      const end = kind === ENTRY_KIND.full ? at + NAME_BYTES : at;
      if (end > bytes.length) throw new VaultError("corrupt", "a step ends within an entry");
      entries.push([block, kind === ENTRY_KIND.full ? bytes.subarray(at, end) : undefined]);
      at = end;
    }
    return Overlay.of(entries);
  }

  /** How many blocks have changed. */
  get size(): number {
    return this.#size;
  }

  get memoryBytes(): number {
    return this.#blocks.length * BYTES_IN_MEMORY;
  }

  encode(): Buffer {
    const parts: Buffer[] = [];
    for (let i = 0; i < this.#size; i++) {
      const head = Buffer.alloc(ENTRY_HEAD_BYTES);
      head.writeUInt32LE(this.blockAt(i), 0);
      head.writeUInt8(this.#kinds[i] ?? 0, 4);
      parts.push(head);
      const name = this.nameAt(i);
      if (name !== undefined) parts.push(name);
    }
    return Buffer.concat(parts);
  }

  /** The block of the entry at `index`; past the end: infinite. */
  blockAt(index: number): number {
    return index < this.#size ? (this.#blocks[index] ?? 0) : Number.POSITIVE_INFINITY;
  }

  /** The name in the entry at `index`; undefined: zeros. It is shared and must not be changed. */
  nameAt(index: number): Buffer | undefined {
    if (this.#kinds[index] !== ENTRY_KIND.full) return undefined;
    return this.#names.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES);
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
    const both = new Overlay(this.#size + above.#size);
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

  #push(block: number, name: Buffer | undefined): void {
    const at = this.#size;
    assert(at === 0 || block > (this.#blocks[at - 1] ?? 0));
    this.#size = at + 1;
    this.#blocks[at] = block;
    this.#kinds[at] = name === undefined ? ENTRY_KIND.zero : ENTRY_KIND.full;
    if (name === undefined) return;
    assert(name.length === NAME_BYTES);
    name.copy(this.#names, at * NAME_BYTES);
  }

  #append(from: Overlay, start: number, end: number): void {
    const at = this.#size;
    this.#size += end - start;
    this.#blocks.set(from.#blocks.subarray(start, end), at);
    this.#kinds.set(from.#kinds.subarray(start, end), at);
    from.#names.copy(this.#names, at * NAME_BYTES, start * NAME_BYTES, end * NAME_BYTES);
  }

  #trimmed(): Overlay {
    const trimmed = new Overlay(this.#size);
    trimmed.#append(this, 0, this.#size);
    return trimmed;
  }
}

/** No changes at all. */
export const NO_CHANGES = Overlay.of([]);
